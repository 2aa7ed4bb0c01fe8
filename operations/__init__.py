"""What changes a host: pyinfra operations over the facts. Every change is one of these."""
