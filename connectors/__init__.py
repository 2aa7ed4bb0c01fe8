"""How to reach a host that pyinfra's own connectors cannot: Windows, by WinRM."""
