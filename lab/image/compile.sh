#!/bin/sh
# Compiles the Ruby of a host with stand-ins, which are there to be quick. One with real services starts Puppet as it comes.
set -eu
ruby -W0 /opt/pe-lab/compiled.rb
if [ -e /opt/pe-lab/ready.rb ]; then
    sed -i -e '1s|^#!/usr/bin/ruby$|& --disable-gems|' -e "1a require '/opt/pe-lab/ready'" /usr/bin/puppet
    grep -q -e --disable-gems /usr/bin/puppet
else
    sed -i '1s|^#!/usr/bin/ruby$|#!/usr/bin/ruby -r/opt/pe-lab/compiled.rb|' /usr/bin/puppet
    grep -q compiled.rb /usr/bin/puppet
fi
