# The broker: its keystores hold the master's own certificate and the CA's, and it is restarted for new ones.
class puppet_enterprise::profile::amq::broker {
  include puppet_enterprise::params
  $ssldir = $puppet_enterprise::params::ssldir
  $keystore_password = $puppet_enterprise::params::keystore_password
  $certname = $facts['clientcert']
  $etc = '/etc/puppetlabs/activemq'

  Exec {
    path        => ['/opt/puppet/bin', '/usr/bin', '/bin'],
    environment => ["PASSWORD=${keystore_password}"],
    notify      => Service['pe-activemq'],
  }

  exec { 'broker.ts':
    command => "/opt/pe-lab/keystore trust ${etc}/broker.ts ${ssldir}/certs/ca.pem",
    unless  => "/opt/pe-lab/keystore holds ${etc}/broker.ts ${ssldir}/certs/ca.pem",
  }
  -> file { "${etc}/broker.ts":
    owner => 'root',
    group => 'pe-activemq',
    mode  => '0640',
  }

  $credential = "${ssldir}/certs/${certname}.pem ${ssldir}/private_keys/${certname}.pem"
  exec { 'broker.ks':
    command => "/opt/pe-lab/keystore key ${etc}/broker.ks ${credential}",
    unless  => "/opt/pe-lab/keystore holds ${etc}/broker.ks ${ssldir}/certs/${certname}.pem",
  }
  -> file { "${etc}/broker.ks":
    owner => 'root',
    group => 'pe-activemq',
    mode  => '0640',
  }

  file { "${etc}/activemq.xml":
    content => epp('puppet_enterprise/activemq.xml.epp', {
      'etc'               => $etc,
      'broker'            => $puppet_enterprise::params::broker,
      'port'              => $puppet_enterprise::params::stomp_port,
      'user'              => $puppet_enterprise::params::stomp_user,
      'password'          => $puppet_enterprise::params::stomp_password,
      'keystore_password' => $keystore_password,
    }),
    owner   => 'root',
    group   => 'pe-activemq',
    mode    => '0640',
    notify  => Service['pe-activemq'],
  }

  service { 'pe-activemq':
    ensure  => running,
    enable  => true,
    require => File["${etc}/broker.ts", "${etc}/broker.ks"],
    before  => Service['pe-mcollective'],
  }
}
