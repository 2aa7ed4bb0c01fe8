"""Data of the group `master`. Each can be given on the command line: --data name=value"""

# Where backups are kept on the master: root only, never overwritten.
backup_dir = "/var/lib/pe-recert/backups"

# The SHA-256 fingerprint of the CA certificate to destroy. Better typed than written here.
# retire_ca = "AB:CD:…"

# Exactly these alternative names, instead of puppet.conf's and the certificate's together.
# dns_alt_names = "puppet,puppet.example.com"

# Set it once you have looked: needed where the console's classifier does not answer.
# pe_groups_classified = True
