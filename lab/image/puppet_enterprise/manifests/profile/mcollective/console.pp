# The console's live management.
class puppet_enterprise::profile::mcollective::console {
  puppet_enterprise::mcollective::client { 'puppet-dashboard':
    home    => '/opt/puppet/share/puppet-dashboard',
    keypair => 'pe-internal-puppet-console-mcollective-client',
  }
}
