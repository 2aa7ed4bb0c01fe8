#!/bin/sh
# debian-settings.sh ROOT: before packages are chosen for the Debian below ROOT. Puppet and its Ruby come from the last
# Debian that had Puppet 5; Wine's 32-bit half is left out, for there is no 32-bit program to run.
set -eu
etc=${1%/}/etc
mkdir -p "$etc/apt/preferences.d" "$etc/apt/sources.list.d" "$etc/dpkg/dpkg.cfg.d"
echo deb http://deb.debian.org/debian bullseye main >"$etc/apt/sources.list.d/bullseye.list"
cat >"$etc/apt/preferences.d/puppet" <<PREFERENCES
Package: puppet facter hiera rake ruby* libruby* rubygems-integration
Pin: release n=bullseye
Pin-Priority: 1001
PREFERENCES
echo 'path-exclude=/usr/lib/*/wine/i386-windows/*' >"$etc/dpkg/dpkg.cfg.d/pe-lab"
