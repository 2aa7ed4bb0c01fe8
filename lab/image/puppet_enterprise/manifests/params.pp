# What the classes of this module share. `file` reads on the master.
class puppet_enterprise::params {
  $ssldir = '/etc/puppetlabs/puppet/ssl'
  $mco_etc = '/etc/puppetlabs/mcollective'
  $broker = $settings::certname
  $stomp_port = 61613
  $stomp_user = 'mcollective'
  $stomp_password = file("${mco_etc}/credentials")
  # As PE has it by default.
  $keystore_password = 'puppet'
}
