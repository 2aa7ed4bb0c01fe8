#!/bin/sh
# Compiles Debian's Puppet Server, which it would do anew at each start: that takes most of a start.
set -eu
here=$(dirname "$0")
classes=$(mktemp -d)
program=/usr/share/puppetserver

java -XX:TieredStopAtLevel=1 -Djruby.lib=/usr/share/jruby/lib -Dclojure.compile.path="$classes" \
    -cp "$classes:$program/puppetserver.jar" clojure.main "$here/compiled.clj" "$program/compiled.jar"
rm -r "$classes"
mkdir -p /etc/systemd/system/puppetserver.service.d
# As the unit has it, but for what Java takes its classes from.
sed -n -e 's|-jar /usr/share/puppetserver/puppetserver.jar|-cp /usr/share/puppetserver/compiled.jar:/usr/share/puppetserver/puppetserver.jar puppetlabs.trapperkeeper.main|' \
    -e '/^ExecStart=/,/[^\\]$/p' /lib/systemd/system/puppetserver.service |
    sed -e '1i [Service]\nExecStart=' >/etc/systemd/system/puppetserver.service.d/compiled.conf
grep -q compiled.jar /etc/systemd/system/puppetserver.service.d/compiled.conf
# A small site, whose server is started often.
options='-Xms512m -Xmx512m -XX:TieredStopAtLevel=1 -Djruby.compile.mode=OFF'
sed -i "s|^JAVA_ARGS=\"-Xms1g -Xmx1g|JAVA_ARGS=\"$options|" /etc/default/puppetserver
grep -q -e "$options" /etc/default/puppetserver
systemctl disable puppetserver
