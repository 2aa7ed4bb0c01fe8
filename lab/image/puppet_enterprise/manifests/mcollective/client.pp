# A user of the master who may command all nodes: TLS with the master's own credential, requests signed with `keypair`.
define puppet_enterprise::mcollective::client(String $home, String $keypair) {
  include puppet_enterprise::params
  $ssldir = $puppet_enterprise::params::ssldir
  $certname = $facts['clientcert']
  $dir = "${home}/.mcollective.d"

  File {
    owner  => $title,
    group  => $title,
    mode   => '0400',
    backup => false,
  }

  file { $dir:
    ensure => directory,
    mode   => '0700',
  }
  file {
    "${dir}/ca.cert.pem":
      source => "${ssldir}/certs/ca.pem";
    "${dir}/${certname}.cert.pem":
      source => "${ssldir}/certs/${certname}.pem";
    "${dir}/${certname}.private_key.pem":
      source => "${ssldir}/private_keys/${certname}.pem";
    "${dir}/${title}-private.pem":
      content => file("${ssldir}/private_keys/${keypair}.pem", '/dev/null');
    "${dir}/${title}-public.pem":
      content => file("${ssldir}/public_keys/${keypair}.pem", '/dev/null');
    "${dir}/mcollective-public.pem":
      content => file("${ssldir}/public_keys/pe-internal-mcollective-servers.pem", '/dev/null');
  }
  file { "${home}/.mcollective":
    mode    => '0600',
    content => epp('puppet_enterprise/client.cfg.epp', {
      'dir'      => $dir,
      'certname' => $certname,
      'client'   => $title,
      'broker'   => $puppet_enterprise::params::broker,
      'port'     => $puppet_enterprise::params::stomp_port,
      'user'     => $puppet_enterprise::params::stomp_user,
      'password' => $puppet_enterprise::params::stomp_password,
    }),
  }
}
