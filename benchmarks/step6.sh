#!/bin/sh
# Step 6 as the document has it typed, on all agents at once over ssh, and signing by name:
#
#     step6.sh SSH_CONFIG HOST=CERTNAME...
#
# Run where the administrator sits; it is what the deploy is measured against. The document waits
# for the agents' services to ask for a certificate and, two minutes later, to fetch it; somebody
# who knows Puppet types the runs, and so does this script.
config=$1
shift
agents=$*

on_every_agent() { # the commands on the standard input, with the agent's certname as $1
    commands=$(cat)
    for agent in $agents; do
        printf '{ %s\n} </dev/null\n' "$commands" |
            ssh -F "$config" "${agent%%=*}" sudo sh -s "${agent#*=}" &
    done
    wait
}

on_every_agent <<'END'
PATH=$PATH:/opt/puppet/bin
cp -a /etc/puppetlabs/puppet/ssl /etc/puppetlabs/puppet/ssl_bak
puppet resource service pe-puppet ensure=stopped
puppet resource service pe-mcollective ensure=stopped
rm -rf /etc/puppetlabs/puppet/ssl
rm -f "/var/opt/lib/pe-puppet/client_data/catalog/$1.json"
puppet agent --test --waitforcert 0
END

# In one go: one start of Puppet for all, though only some of them need their alternative names.
names=
for agent in $agents; do names="$names ${agent#*=}"; done
ssh -F "$config" master sudo /opt/puppet/bin/puppet cert sign --allow-dns-alt-names "$names"

on_every_agent <<'END'
PATH=$PATH:/opt/puppet/bin
puppet agent --test --waitforcert 0
puppet resource service pe-puppet ensure=running
puppet resource service pe-mcollective ensure=running
END
