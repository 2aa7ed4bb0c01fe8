"""What a host is like: read-only, cheap, tolerant of a half-finished host."""
