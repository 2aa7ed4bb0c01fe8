# As PE's console classifies nodes.
include puppet_enterprise::profile::mcollective::agent
if $facts['clientcert'] == $settings::certname {
  include puppet_enterprise::profile::amq::broker
  include puppet_enterprise::profile::mcollective::peadmin
  include puppet_enterprise::profile::mcollective::console
}
