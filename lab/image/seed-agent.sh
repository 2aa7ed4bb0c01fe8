#!/bin/sh
# Gives the host the credential that its master's CA signed, with owners and modes as Puppet leaves them.
# Environment: CERTNAME and what `configure` wants; and /opt/pe-lab/generation
set -eu
. /opt/pe-lab/generation
ssl=$SSLDIR
here=$(dirname "$0")

"$here/configure" >"$CONFDIR/puppet.conf"
install -d -m 0771 "$ssl"
tar -C "$ssl" -xf "$here/credential.tar"
install -d -m 0755 "$ssl/certificate_requests"
install -d -m 0750 "$ssl/private" "$ssl/private_keys"
chown -R "$ACCOUNT:$ACCOUNT" "$ssl"
