# What the classes of this module share. `file` reads on the master.
class puppet_enterprise::params {
  $ssldir = '/etc/puppetlabs/puppet/ssl'
  $broker = $settings::certname
  $stomp_port = 61613
  $stomp_user = 'mcollective'
  $stomp_password = file('/etc/puppetlabs/mcollective/credentials')
  # As PE has it by default.
  $keystore_password = 'puppet'

  # Where the node has its own. Only Windows has the fact common_appdata.
  $windows = 'common_appdata' in $facts
  if $windows {
    $puppetlabs = "${facts['common_appdata']}/PuppetLabs"
    $own_ssldir = "${puppetlabs}/puppet/etc/ssl"
    $own_classes = "${puppetlabs}/puppet/var/state/classes.txt"
    $mco_etc = "${puppetlabs}/mcollective/etc"
    $mco_plugins = "${puppetlabs}/mcollective/plugins"
    $mco_log = "${puppetlabs}/mcollective/var/log/mcollective.log"
  } else {
    $own_ssldir = $ssldir
    $own_classes = '/var/opt/lib/pe-puppet/classes.txt'
    $mco_etc = '/etc/puppetlabs/mcollective'
    $mco_plugins = '/opt/puppet/libexec/mcollective/'
    $mco_log = '/var/log/pe-mcollective/mcollective.log'
  }
}
