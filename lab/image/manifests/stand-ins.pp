# As PE does for its broker, only in PEM: the credentials in the ssldir become those of ActiveMQ.
if $::clientcert == $settings::certname {
  $ssl = '/etc/puppetlabs/puppet/ssl'
  $broker = 'pe-internal-mcollective-servers'
  $sources = {
    "${broker}.cert.pem"        => "${ssl}/certs/${broker}.pem",
    "${broker}.public_key.pem"  => "${ssl}/public_keys/${broker}.pem",
    "${broker}.private_key.pem" => "${ssl}/private_keys/${broker}.pem",
    'ca.pem'                    => "${ssl}/certs/ca.pem",
  }
  $sources.each |$file, $source| {
    file { "/etc/puppetlabs/activemq/${file}":
      ensure => file,
      source => $source,
      owner  => 'pe-activemq',
      group  => 'pe-activemq',
      mode   => '0400',
      backup => false,
      notify => Exec['restart pe-activemq'],
    }
  }
  # Not a service of Puppet's: on some hosts it is not installed.
  exec { 'restart pe-activemq':
    command     => '/bin/sh -c "service pe-activemq status || exit 0; service pe-activemq restart"',
    path        => '/usr/sbin:/usr/bin:/sbin:/bin',
    refreshonly => true,
  }
}
