#!/bin/sh
# debian-settings.sh ROOT: before packages are chosen for the Debian below ROOT. ActiveMQ comes without its security
# updates, because the archive of those lists versions that it does not have; PostgreSQL without a cluster of its own.
set -eu
etc=${1%/}/etc
mkdir -p "$etc/apt/preferences.d" "$etc/postgresql-common/createcluster.d"
echo 'create_main_cluster = false' >"$etc/postgresql-common/createcluster.d/pe-lab.conf"
cat >"$etc/apt/preferences.d/activemq" <<PREFERENCES
Package: activemq libactivemq-java libjackson2-core-java libjackson2-databind-java
Pin: release n=bullseye
Pin-Priority: 990
PREFERENCES
