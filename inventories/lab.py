"""The default inventory: the lab's containers, which `python3 -m lab up` starts."""

from inventories.lab_hosts import hosts_up, lab_host, lab_host_over_winrm

master = [lab_host("master")]
# Those that are up: all that the master's own steps need is the master.
agents = [
    lab_host(name) for name in (f"agent0{number}" for number in range(1, 6)) if name in hosts_up()
]
windows_agents = [
    reached(name)
    for name, reached in (("win01", lab_host_over_winrm), ("win03", lab_host))
    if name in hosts_up()
]
