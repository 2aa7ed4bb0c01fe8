#!/bin/sh
# Makes one jar of Debian's PuppetDB, and puts beside it what else of it a master needs.
set -eu
here=$(dirname "$0")
to=/opt/puppet/share/puppetdb
classes=$(mktemp -d)

mkdir -p "$to"
java -XX:TieredStopAtLevel=1 -Dclojure.compile.path="$classes" -cp "$classes:/usr/share/puppetdb/puppetdb.jar" \
    clojure.main "$here/one-jar.clj" "$to/puppetdb.jar"
rm -r "$classes"
cp /etc/puppetdb/bootstrap.cfg /etc/puppetdb/conf.d/auth.conf "$to/"
mkdir "$to/terminus"
dpkg -L puppet-terminus-puppetdb | sed -n 's|^/usr/lib/ruby/vendor_ruby/||p' | (
    cd /usr/lib/ruby/vendor_ruby && xargs tar --no-recursion -cf -
) | tar -C "$to/terminus" -xf -
