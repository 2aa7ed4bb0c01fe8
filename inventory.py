"""The inventory that the README's commands name; as shipped it is the lab.

For a real site see inventories/example.py.
"""

from inventories.lab import agents, master, windows_agents

__all__ = ["agents", "master", "windows_agents"]
