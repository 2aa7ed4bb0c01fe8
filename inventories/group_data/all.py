"""Data of every host. Each can be given on the command line: --data name=value"""

# Who a host is rests on its key, and what a first connection is offered may be anybody's. Keys are
# known beforehand: docs/runbook.md says how.
ssh_strict_host_key_checking = "yes"
