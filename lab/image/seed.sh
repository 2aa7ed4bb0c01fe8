#!/bin/sh
# Gives the host the life of a deployment in use: a CA, everybody's certificates, the copies of steps 3 and 4 of
# the vendor's procedure as its commands leave them, and a successful run of Puppet.
# Environment: CERTNAME ALT_NAMES ALT_NAMES_CONFIGURED LEFTOVERS INTERNAL_CERTNAMES
set -eu
PATH=$PATH:/opt/puppet/bin
ssl=/etc/puppetlabs/puppet/ssl
puppetdb=/etc/puppetlabs/puppetdb/ssl
pgsql=/opt/puppet/var/lib/pgsql/9.2/data/certs
console=/opt/puppet/share/console-services/certs
dashboard=/opt/puppet/share/puppet-dashboard/certs
here=$(dirname "$0")

configure() {
    cat <<CONFIG
[main]
    certname = $CERTNAME
    server = $CERTNAME
    user = pe-puppet
    group = pe-puppet
    logdir = /var/log/pe-puppet
    rundir = /var/run/pe-puppet
CONFIG
    if [ "$ALT_NAMES_CONFIGURED" = yes ]; then
        echo "    dns_alt_names = $ALT_NAMES"
    fi
    cat <<CONFIG

[master]
    certname = $CERTNAME
    reports = store

[agent]
    environment = production
    report = true
    runinterval = 30m
CONFIG
}

make_authority() {
    puppet cert list -a
    puppet cert generate "$CERTNAME" "--dns_alt_names=$ALT_NAMES"
    # shellcheck disable=SC2086 # a list of words
    puppet cert generate $INTERNAL_CERTNAMES
}

# The agents' keys are on the agents: only what they sent is here.
admit_agents() {
    agents='agent01 agent02 agent03 agent04 agent05 retired01'
    names=
    for agent in $agents; do
        "$here/make_credential" request "$agent.lab.test" "$ssl/ca/requests"
        names="$names $agent.lab.test"
    done
    "$here/make_credential" request compile01.lab.test "$ssl/ca/requests" puppet puppet.lab.test
    # shellcheck disable=SC2086 # a list of words
    puppet cert sign $names
    puppet cert sign --allow-dns-alt-names compile01.lab.test
    puppet cert revoke retired01.lab.test
    "$here/make_credential" request waiting01.lab.test "$ssl/ca/requests"
}

# copy NAME DIRECTORY
copy() {
    cp "$ssl/certs/$1.pem" "$2/$1.cert.pem"
    cp "$ssl/public_keys/$1.pem" "$2/$1.public_key.pem"
    cp "$ssl/private_keys/$1.pem" "$2/$1.private_key.pem"
}

leave_behind() {
    "$here/make_credential" self-signed old-master "$puppetdb"
    mkdir "$console/backup"
    "$here/make_credential" self-signed old-master "$console/backup"
}

distribute() {
    cp "$ssl/ca/ca_crl.pem" "$ssl/crl.pem"
    chown -R pe-puppet:pe-puppet "$ssl"

    copy "$CERTNAME" "$puppetdb"
    chown -R pe-puppetdb:pe-puppetdb "$puppetdb"

    copy "$CERTNAME" "$pgsql"
    chmod 400 "$pgsql"/*
    chown pe-postgres:pe-postgres "$pgsql"/*

    copy pe-internal-classifier "$console"
    copy "$CERTNAME" "$console"
    copy pe-internal-dashboard "$console"
    chown -R pe-console-services:pe-console-services "$console"

    copy "$CERTNAME" "$dashboard"
    copy pe-internal-dashboard "$dashboard"
    chown -R puppet-dashboard:puppet-dashboard "$dashboard"
}

run_agent() {
    /opt/pe-lab/start-puppetserver
    status=0
    puppet agent --test --waitforcert 0 || status=$?
    master=$(cat /run/pe-puppet/master.pid)
    kill "$master"
    tries=0
    while kill -0 "$master" 2>/dev/null && [ "$tries" -lt 100 ]; do
        tries=$((tries + 1))
        sleep 0.1
    done
    rm -f /run/pe-puppet/*.pid
    if [ "$status" -ne 0 ] && [ "$status" -ne 2 ]; then
        echo "the first run of Puppet ended with $status" >&2
        exit 1
    fi
    test -s "/var/opt/lib/pe-puppet/client_data/catalog/$CERTNAME.json"
}

configure >/etc/puppetlabs/puppet/puppet.conf
sed "s/@CERTNAME@/$CERTNAME/g" "$here/classifier-groups.json.in" >/etc/pe-lab/classifier-groups.json
make_authority
admit_agents
if [ "$LEFTOVERS" = yes ]; then
    leave_behind
fi
distribute
run_agent
