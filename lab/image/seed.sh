#!/bin/sh
# Gives the host the life of a deployment in use: a CA, everybody's certificates, the copies of steps 3 and 4 of
# the vendor's procedure as its commands leave them, and a successful run of Puppet.
# Environment: CERTNAME ALT_NAMES LEFTOVERS, AGENTS (NAME or NAME=ALT_NAME,... of each), AUTOSIGNS, and what `configure`
# wants, PUPPETDB (yes: a run of Puppet stores what it knows in it); and /opt/pe-lab/generation
set -eu
. /opt/pe-lab/generation
PATH=$PATH:$PROGRAMS
ssl=$SSLDIR
credentials=/opt/pe-lab/credentials
here=$(dirname "$0")

make_authority() {
    puppet cert list -a
    puppet cert generate "$CERTNAME" "--dns_alt_names=$ALT_NAMES"
    if [ -n "$INTERNAL_CERTNAMES" ]; then
        # shellcheck disable=SC2086 # a list of words
        puppet cert generate $INTERNAL_CERTNAMES
    fi
}

# The agents' keys are on the agents: only what they sent is here. Those of the lab's own agents wait in
# $credentials for the build of their images; all other agents are but names.
admit_agents() {
    names=
    for agent in $AGENTS; do
        name=${agent%%=*}
        alt_names=$(echo "${agent#"$name"}" | tr '=,' '  ')
        mkdir -p "$credentials/$name/private_keys" "$credentials/$name/public_keys" "$credentials/$name/certs"
        # shellcheck disable=SC2086 # a list of words
        "$here/make_credential" agent "$name" "$ssl/ca/requests" "$credentials/$name" $alt_names
        names="$names $name"
    done
    for agent in agent01 agent02 agent03 agent04 agent05 retired01; do
        name=$agent.lab.test
        if [ ! -e "$ssl/ca/requests/$name.pem" ]; then
            "$here/make_credential" request "$name" "$ssl/ca/requests"
            names="$names $name"
        fi
    done
    "$here/make_credential" request compile01.lab.test "$ssl/ca/requests" puppet puppet.lab.test
    # shellcheck disable=SC2086 # a list of words
    puppet cert sign --allow-dns-alt-names $names compile01.lab.test
    puppet cert revoke retired01.lab.test
    "$here/make_credential" request waiting01.lab.test "$ssl/ca/requests"
}

# copy NAME DIRECTORY
copy() {
    cp "$ssl/certs/$1.pem" "$2/$1.cert.pem"
    cp "$ssl/public_keys/$1.pem" "$2/$1.public_key.pem"
    cp "$ssl/private_keys/$1.pem" "$2/$1.private_key.pem"
}

# What an agent's ssldir holds once it has its certificate.
pack_credentials() {
    for agent in $AGENTS; do
        name=${agent%%=*}
        cp "$ssl/ca/signed/$name.pem" "$credentials/$name/certs/"
        cp "$ssl/ca/ca_crt.pem" "$credentials/$name/certs/ca.pem"
        cp "$ssl/ca/ca_crl.pem" "$credentials/$name/crl.pem"
        tar -C "$credentials/$name" -cf "$credentials/$name.tar" .
        rm -r "${credentials:?}/$name"
    done
}

leave_behind() {
    "$here/make_credential" self-signed old-master /etc/puppetlabs/puppetdb/ssl
    console=/opt/puppet/share/console-services/certs
    mkdir "$console/backup"
    "$here/make_credential" self-signed old-master "$console/backup"
}

# words A,B,...
words() {
    echo "$1" | tr ',' ' '
}

distribute() {
    cp "$ssl/ca/ca_crl.pem" "$ssl/crl.pem"
    chown -R "$ACCOUNT:$ACCOUNT" "$ssl"

    echo "$PLACES" | while IFS=: read -r directory account traits names custom files; do
        [ -n "$directory" ] || continue
        for name in $(words "$names"); do
            copy "$name" "$directory"
        done
        for name in $(words "$custom"); do
            "$here/make_credential" self-signed "$name" "$directory"
        done
        for file in $(words "$files"); do
            cp "${file%%=*}" "$directory/${file#*=}"
        done
        case ,$traits, in
            *,pk8,*)
                openssl pkcs8 -topk8 -nocrypt -inform PEM -outform DER \
                    -in "$directory/$CERTNAME.private_key.pem" -out "$directory/$CERTNAME.private_key.pk8"
                ;;
        esac
        case ,$traits, in
            *,tight,*)
                chmod 400 "$directory"/*
                chown "$account:$account" "$directory"/*
                ;;
            *) chown -R "$account:$account" "$directory" ;;
        esac
    done
}

# stop PID_FILE SIGNAL
stop() {
    pid=$(head -n 1 "$1")
    kill "-$2" "$pid"
    tries=0
    # Process 1 of a container in which an image is made collects nobody.
    until [ "$(ps -o state= -p "$pid" | cut -c 1)" = Z ] || ! kill -0 "$pid" 2>/dev/null; do
        tries=$((tries + 1))
        if [ "$tries" -gt 300 ]; then
            echo "process $pid of $1 does not end" >&2
            exit 1
        fi
        sleep 0.1
    done
    rm -f "$1"
}

# Also makes the archive of classes from which PuppetDB starts in a third of the time.
start_puppetdb() {
    /opt/pe-lab/start-postgresql
    setpriv --reuid=pe-postgres --regid=pe-postgres --init-groups \
        /opt/puppet/bin/psql -q -v ON_ERROR_STOP=1 -h /run/pe-postgresql postgres <<'SQL'
CREATE ROLE "pe-puppetdb" LOGIN;
CREATE DATABASE "pe-puppetdb" OWNER "pe-puppetdb";
CREATE ROLE "pe-classifier" LOGIN;
CREATE DATABASE "pe-classifier" OWNER "pe-classifier";
\connect pe-puppetdb
CREATE EXTENSION pg_trgm;
SQL
    PUPPETDB_JAVA_OPTIONS=-XX:ArchiveClassesAtExit=/var/lib/pe-puppetdb/classes.jsa /opt/pe-lab/start-puppetdb
    /opt/pe-lab/wait-for-puppetdb 120
}

stop_puppetdb() {
    stop /run/pe-puppetdb.pid TERM
    stop /run/pe-postgresql.pid INT
    mv /var/lib/pe-puppetdb/classes.jsa /opt/puppet/share/puppetdb/
}

run_agent() {
    /opt/pe-lab/start-puppetserver
    status=0
    # Nothing manages services in here.
    puppet agent --test --waitforcert 0 --skip_tags service || status=$?
    stop "$SERVER_PIDFILE" TERM
    rm -f "$AGENT_PIDFILE"
    if [ "$status" -ne 0 ] && [ "$status" -ne 2 ]; then
        echo "the first run of Puppet ended with $status" >&2
        exit 1
    fi
    test -s "$CATALOGS/$CERTNAME.json"
}

"$here/configure" >"$CONFDIR/puppet.conf"
sed "s/@CERTNAME@/$CERTNAME/g" "$here/classifier-groups.json.in" >/etc/pe-lab/classifier-groups.json
make_authority
install -d -m 0700 "$credentials"
admit_agents
pack_credentials
if [ "$AUTOSIGNS" = yes ]; then
    echo '*.lab.test' >"$CONFDIR/autosign.conf"
fi
if [ "$LEFTOVERS" = yes ]; then
    leave_behind
fi
distribute
if [ "$PUPPETDB" = yes ]; then
    start_puppetdb
    run_agent
    stop_puppetdb
else
    run_agent
fi
