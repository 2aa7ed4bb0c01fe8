from inventories.lab_hosts import lab_host

master = [lab_host("puppet5")]
agents = [lab_host("agent09"), lab_host("agent10")]
