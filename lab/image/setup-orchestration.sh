#!/bin/sh
# Puts Debian's MCollective and ActiveMQ at PE's paths. Environment: ROLE
set -eu

install -d /opt/puppet/sbin /opt/puppet/libexec/mcollective /var/log/pe-mcollective /etc/puppetlabs/mcollective
mv /usr/sbin/mcollectived /opt/puppet/sbin/
rm -f /lib/systemd/system/mcollective.service /etc/systemd/system/*.wants/mcollective.service
rm -f /etc/mcollective/server.cfg
if [ "$ROLE" != master ]; then
    exit 0
fi

mv /usr/bin/mco /opt/puppet/bin/
ln -s /opt/puppet/bin/mco /usr/local/bin/
ln -s /usr/bin/java /usr/bin/keytool /opt/puppet/bin/
useradd --system --user-group --create-home --home-dir /var/lib/peadmin --shell /bin/bash peadmin
usermod --home /opt/puppet/share/puppet-dashboard puppet-dashboard

rm -f /etc/init.d/activemq /etc/rc?.d/???activemq
userdel activemq
install -d -o pe-activemq -g pe-activemq /var/log/pe-activemq /var/lib/pe-activemq
cat >/etc/puppetlabs/activemq/log4j.properties <<'PROPERTIES'
log4j.rootLogger=INFO, console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d %-5p %c{1}: %m%n
PROPERTIES

# What PE's installer leaves there: the password of STOMP's one user.
install -o pe-puppet -g pe-puppet -m 0600 /dev/null /etc/puppetlabs/mcollective/credentials
openssl rand -hex 10 | tr -d '\n' >/etc/puppetlabs/mcollective/credentials
