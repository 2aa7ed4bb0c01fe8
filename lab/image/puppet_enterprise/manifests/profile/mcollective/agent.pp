# Every node: TLS with the node's own credential; messages are signed with the keys that all nodes share.
class puppet_enterprise::profile::mcollective::agent {
  include puppet_enterprise::params
  $ssldir = $puppet_enterprise::params::ssldir
  $own_ssldir = $puppet_enterprise::params::own_ssldir
  $etc = $puppet_enterprise::params::mco_etc
  $certname = $facts['clientcert']
  $shared = 'pe-internal-mcollective-servers'

  File {
    backup => false,
    notify => Service['pe-mcollective'],
  }
  # Windows has none of these: what a file's directory grants holds for the file.
  unless $puppet_enterprise::params::windows {
    File {
      owner => 'root',
      group => 'root',
      mode  => '0660',
    }
  }

  # Puppet lets who may read a directory enter it.
  file { ["${etc}/ssl", "${etc}/ssl/clients"]:
    ensure => directory,
  }
  # What is on the node itself.
  file {
    "${etc}/ssl/ca.cert.pem":
      source => "${own_ssldir}/certs/ca.pem";
    "${etc}/ssl/${certname}.cert.pem":
      source => "${own_ssldir}/certs/${certname}.pem";
    "${etc}/ssl/${certname}.private_key.pem":
      source => "${own_ssldir}/private_keys/${certname}.pem";
  }
  # What only the master has. Like PE's, a catalog made while it has none empties the file.
  file {
    "${etc}/ssl/mcollective-private.pem":
      content => file("${ssldir}/private_keys/${shared}.pem", '/dev/null');
    "${etc}/ssl/mcollective-public.pem":
      content => file("${ssldir}/public_keys/${shared}.pem", '/dev/null');
    "${etc}/ssl/clients/peadmin-public.pem":
      content => file("${ssldir}/public_keys/pe-internal-peadmin-mcollective-client.pem", '/dev/null');
    "${etc}/ssl/clients/puppet-dashboard-public.pem":
      content => file("${ssldir}/public_keys/pe-internal-puppet-console-mcollective-client.pem", '/dev/null');
  }

  file { "${etc}/facts.yaml":
    content => epp('puppet_enterprise/facts.yaml.epp'),
    notify  => undef,
  }
  file { "${etc}/server.cfg":
    content => epp('puppet_enterprise/server.cfg.epp', {
      'etc'      => $etc,
      'certname' => $certname,
      'broker'   => $puppet_enterprise::params::broker,
      'port'     => $puppet_enterprise::params::stomp_port,
      'user'     => $puppet_enterprise::params::stomp_user,
      'password' => $puppet_enterprise::params::stomp_password,
      'plugins'  => $puppet_enterprise::params::mco_plugins,
      'classes'  => $puppet_enterprise::params::own_classes,
      'log'      => $puppet_enterprise::params::mco_log,
    }),
  }

  # The lab's Windows nodes have a Puppet of Linux, which does not find their service manager by itself.
  if $puppet_enterprise::params::windows {
    Service {
      provider => base,
      start    => '/opt/pe-lab/service pe-mcollective start',
      stop     => '/opt/pe-lab/service pe-mcollective stop',
      restart  => '/opt/pe-lab/service pe-mcollective restart',
      status   => '/opt/pe-lab/service pe-mcollective status',
    }
  } else {
    Service {
      enable => true,
    }
  }
  service { 'pe-mcollective':
    ensure => running,
  }
}
