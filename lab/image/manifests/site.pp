file { '/etc/pe-lab/managed-by-puppet':
  ensure  => file,
  content => "Made by a run of Puppet.\n",
}
