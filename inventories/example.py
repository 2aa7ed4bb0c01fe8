"""A real site: copy this file and change the names.

    pyinfra inventories/mysite.py deploys/master.py

The data in inventories/group_data/ is found by pyinfra, because it lies beside this file.
"""

# Exactly one host: the monolithic master. How to reach it is pyinfra's business; without
# ssh_user and ssh_key your SSH configuration and agent are used. A host whose key is not known is
# not worked on (group_data/all.py; the runbook says how to have the keys beforehand).
master = [
    ("puppet.example.com", {"ssh_user": "root"}),
]

# Linux nodes: step 6. An ordinary user needs sudo: add `"_sudo": True` here, or --sudo on the
# command line. Give a node's certname where it is not the name below: a node that says another one
# has to prove it with the key of its old certificate, and is refused if it cannot. Where a certname
# is given, no other one is believed.
agents = [
    "web01.example.com",
    "web02.example.com",
    ("10.0.0.17", {"certname": "db01.example.com", "ssh_user": "admin", "_sudo": True}),
]

# Windows nodes, over WinRM or over SSH with cmd.exe: see docs/windows.md.
windows_agents = [
    ("@winrm/win01.example.com", {"winrm_user": "Administrator"}),
    ("win02.example.com", {"ssh_user": "Administrator"}),
]
