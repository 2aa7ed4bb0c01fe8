# As PE does on every node: no document has anybody start it after an agent got a new certificate.
service { 'pxp-agent':
  ensure => running,
}
