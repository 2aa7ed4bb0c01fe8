#!/bin/sh
# Gives a host of Puppet Server's the life of a deployment in use: a CA, everybody's certificates, a successful run of
# Puppet. Environment: CERTNAME ALT_NAMES AGENTS and what `configure` wants; and /opt/pe-lab/generation
set -eu
. /opt/pe-lab/generation
credentials=/opt/pe-lab/credentials
cadir=$CONFDIR/puppetserver/ca
here=$(dirname "$0")

# Until it answers; nothing manages services in here.
start_server() {
    . /etc/default/puppetserver
    install -d -o "$ACCOUNT" -g "$ACCOUNT" /run/puppetserver /var/log/puppetserver
    setpriv --reuid="$ACCOUNT" --regid="$ACCOUNT" --init-groups sh -c 'umask 027; echo $$ >/run/puppetserver/pid; exec "$@"' \
        sh /usr/bin/java $JAVA_ARGS -Djruby.lib=/usr/share/jruby/lib \
        -cp /usr/share/puppetserver/compiled.jar:/usr/share/puppetserver/puppetserver.jar puppetlabs.trapperkeeper.main \
        --config "$CONFDIR/puppetserver/conf.d" --bootstrap-config "$CONFDIR/puppetserver/services.d" \
        --restart-file /run/puppetserver/restart </dev/null >/var/log/puppetserver/seed.log 2>&1 &
    tries=0
    until curl -ks https://127.0.0.1:8140/status/v1/simple | grep -q running; do
        tries=$((tries + 1))
        if [ "$tries" -gt 900 ]; then
            tail -n 20 /var/log/puppetserver/*.log >&2
            exit 1
        fi
        sleep 0.2
    done
}

stop_server() {
    kill "$(cat /run/puppetserver/pid)"
    wait
    rm -r /run/puppetserver /var/log/puppetserver/seed.log
}

admit_agents() {
    for agent in $AGENTS; do
        name=${agent%%=*}
        mkdir -p "$credentials/$name/private_keys" "$credentials/$name/public_keys" "$credentials/$name/certs"
        "$here/make_credential" agent "$name" "$cadir/requests" "$credentials/$name"
    done
    for name in gone01.lab.test retired01.lab.test; do
        "$here/make_credential" request "$name" "$cadir/requests"
    done
    chown "$ACCOUNT:$ACCOUNT" "$cadir"/requests/*
    puppetserver ca sign --all
    puppetserver ca revoke --certname retired01.lab.test
    for agent in $AGENTS; do
        name=${agent%%=*}
        cp "$cadir/signed/$name.pem" "$credentials/$name/certs/"
        cp "$cadir/ca_crt.pem" "$credentials/$name/certs/ca.pem"
        cp "$cadir/ca_crl.pem" "$credentials/$name/crl.pem"
        tar -C "$credentials/$name" -cf "$credentials/$name.tar" .
        rm -r "${credentials:?}/$name"
    done
    "$here/make_credential" request waiting01.lab.test "$cadir/requests"
    chown "$ACCOUNT:$ACCOUNT" "$cadir"/requests/*
}

"$here/configure" >"$CONFDIR/puppet.conf"
install -d -m 0700 "$credentials"
# Which makes its CA, of one certificate, where it finds none.
start_server
admit_agents
status=0
puppet agent --test --waitforcert 0 || status=$?
test "$status" -eq 0 || test "$status" -eq 2
stop_server
rm -f "$AGENT_PIDFILE"
