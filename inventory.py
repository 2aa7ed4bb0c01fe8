"""The inventory that the README's commands name; as shipped it is the lab.

For a real site copy inventories/example.py over this file, or name your own.
"""

from inventories import lab, with_data
from inventories.group_data import master as master_data

master = with_data(lab.master, master_data)
agents = lab.agents
windows_agents = lab.windows_agents
