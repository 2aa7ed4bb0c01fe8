#!/bin/sh
# Steps 1 to 5 as the document has them typed, one command after the other, and a Puppet run.
# Run as root on the master; it is what the deploy is measured against and compared with.
PATH=$PATH:/opt/puppet/bin
CERTNAME=$(puppet config print certname 2>/dev/null)
DNS_ALT_NAMES=$(puppet config print dns_alt_names 2>/dev/null)
ssl=/etc/puppetlabs/puppet/ssl
puppetdb=/etc/puppetlabs/puppetdb/ssl
console=/opt/puppet/share/console-services/certs
dashboard=/opt/puppet/share/puppet-dashboard/certs
pgsql=/opt/puppet/var/lib/pgsql/9.2/data/certs

# Step 1
puppet resource service pe-puppet ensure=stopped

puppet resource service pe-puppetserver ensure=stopped
puppet resource service pe-activemq ensure=stopped
puppet resource service pe-mcollective ensure=stopped
puppet resource service pe-puppetdb ensure=stopped
puppet resource service pe-postgresql ensure=stopped
puppet resource service pe-console-services ensure=stopped
puppet resource service pe-httpd ensure=stopped

# Step 2
mkdir -p /root/by-hand
for directory in $ssl $puppetdb $console $dashboard $pgsql; do
    cp -a --parents $directory /root/by-hand
done
rm -rf ${ssl:?}/*
rm -f "/var/opt/lib/pe-puppet/client_data/catalog/$CERTNAME.json"
puppet cert list -a
puppet cert generate "$CERTNAME" --dns_alt_names="$DNS_ALT_NAMES"
puppet cert generate pe-internal-classifier
puppet cert generate pe-internal-dashboard
puppet cert generate pe-internal-mcollective-servers
puppet cert generate pe-internal-peadmin-mcollective-client
puppet cert generate pe-internal-puppet-console-mcollective-client
cp $ssl/ca/ca_crl.pem $ssl/crl.pem
chown -R pe-puppet:pe-puppet $ssl

copy() { # credential $1 to directory $2
    cp "$ssl/certs/$1.pem" "$2/$1.cert.pem"
    cp "$ssl/public_keys/$1.pem" "$2/$1.public_key.pem"
    cp "$ssl/private_keys/$1.pem" "$2/$1.private_key.pem"
}

# Step 3
rm -rf ${puppetdb:?}/*
copy "$CERTNAME" $puppetdb
chown -R pe-puppetdb:pe-puppetdb $puppetdb
rm -rf ${pgsql:?}/*
copy "$CERTNAME" $pgsql
chmod 400 $pgsql/*
chown pe-postgres:pe-postgres $pgsql/*

# Step 4
rm -rf ${dashboard:?}/*
rm -rf ${console:?}/*
copy pe-internal-classifier $console
copy "$CERTNAME" $console
copy pe-internal-dashboard $console
chown -R pe-console-services:pe-console-services $console
copy "$CERTNAME" $dashboard
copy pe-internal-dashboard $dashboard
chown -R puppet-dashboard:puppet-dashboard $dashboard

# Step 5
puppet resource service pe-puppetserver ensure=running
puppet resource service pe-postgresql ensure=running
puppet resource service pe-puppetdb ensure=running
puppet resource service pe-console-services ensure=running
puppet resource service pe-httpd ensure=running
puppet resource service pe-activemq ensure=running
puppet resource service pe-mcollective ensure=running
puppet resource service pe-puppet ensure=running

# "Kick off a Puppet run": none succeeds before PuppetDB answers, and two do not run at once, of which the agent service
# has begun one.
until /opt/puppet/bin/ruby -rnet/http -ropenssl -e '
    name, ssl = ARGV
    http = Net::HTTP.new(name, 8081)
    http.use_ssl = true
    http.ca_file = "#{ssl}/certs/ca.pem"
    http.cert = OpenSSL::X509::Certificate.new(File.read("#{ssl}/certs/#{name}.pem"))
    http.key = OpenSSL::PKey.read(File.read("#{ssl}/private_keys/#{name}.pem"))
    exit http.get("/pdb/meta/v1/version").code.to_i < 500
' "$CERTNAME" $ssl 2>/dev/null; do sleep 0.2; done
while [ -e /var/opt/lib/pe-puppet/state/agent_catalog_run.lock ]; do sleep 0.2; done
puppet agent --test --waitforcert 0
