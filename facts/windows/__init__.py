"""What a Windows host is like: asked in cmd.exe's language, and of the Ruby that Puppet brings."""
