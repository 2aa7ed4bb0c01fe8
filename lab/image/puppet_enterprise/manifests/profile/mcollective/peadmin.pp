# The administrator's `mco`.
class puppet_enterprise::profile::mcollective::peadmin {
  puppet_enterprise::mcollective::client { 'peadmin':
    home    => '/var/lib/peadmin',
    keypair => 'pe-internal-peadmin-mcollective-client',
  }
}
