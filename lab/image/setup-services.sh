#!/bin/sh
# Puts PostgreSQL, PuppetDB, Apache and what they are configured with at PE's paths. Environment: CERTNAME
set -eu
ca=/etc/puppetlabs/puppet/ssl/certs/ca.pem
bin=/opt/puppet/bin

# owned OWNER DIRECTORY...
owned() {
    owner=$1
    shift
    install -d -o "$owner" -g "$owner" "$@"
}

set_up_postgresql() {
    data=/opt/puppet/var/lib/pgsql/9.2/data
    ln -s /usr/lib/postgresql/13/bin/pg_ctl /usr/lib/postgresql/13/bin/psql "$bin/"
    rm -r "$data"
    owned pe-postgres /opt/puppet/var/lib/pgsql/9.2 "$data" /var/log/pe-postgresql
    rm -f /lib/systemd/system/postgresql*.service /etc/init.d/postgresql /etc/systemd/system/*.wants/postgresql*.service
    cd /
    setpriv --reuid=pe-postgres --regid=pe-postgres --init-groups \
        "$bin/pg_ctl" initdb -s -D "$data" -o '--auth=peer --encoding=UTF8 --no-locale --no-sync'
    owned pe-postgres "$data/certs"
    cat >>"$data/postgresql.conf" <<CONFIG
listen_addresses = '*'
unix_socket_directories = '/run/pe-postgresql'
max_connections = 40
shared_buffers = 32MB
ssl = on
ssl_cert_file = 'certs/$CERTNAME.cert.pem'
ssl_key_file = 'certs/$CERTNAME.private_key.pem'
ssl_ca_file = '$ca'
# What is in there is thrown away with the container.
fsync = off
full_page_writes = off
CONFIG
    cat >"$data/pg_hba.conf" <<CONFIG
local   all             pe-postgres                     peer
hostssl pe-puppetdb     pe-puppetdb     0.0.0.0/0       cert map=puppetdb
hostssl pe-classifier   pe-classifier   0.0.0.0/0       cert map=classifier
CONFIG
    cat >"$data/pg_ident.conf" <<CONFIG
puppetdb    $CERTNAME               pe-puppetdb
classifier  pe-internal-classifier  pe-classifier
CONFIG
}

set_up_puppetdb() {
    etc=/etc/puppetlabs/puppetdb
    ssl=$etc/ssl/$CERTNAME
    owned pe-puppetdb /var/lib/pe-puppetdb /var/log/pe-puppetdb
    mkdir -p "$etc/conf.d"
    cp /opt/puppet/share/puppetdb/bootstrap.cfg "$etc/"
    cp /opt/puppet/share/puppetdb/auth.conf "$etc/conf.d/"
    printf '%s\n' "$CERTNAME" pe-internal-dashboard >"$etc/certificate-whitelist"
    cat >"$etc/logback.xml" <<'CONFIG'
<configuration>
  <appender name="file" class="ch.qos.logback.core.FileAppender">
    <file>/var/log/pe-puppetdb/pe-puppetdb.log</file>
    <encoder><pattern>%d %-5p [%c{2}] %m%n</pattern></encoder>
  </appender>
  <root level="info"><appender-ref ref="file"/></root>
</configuration>
CONFIG
    cat >"$etc/conf.d/config.ini" <<CONFIG
[global]
vardir = /var/lib/pe-puppetdb
logging-config = $etc/logback.xml

[puppetdb]
certificate-allowlist = $etc/certificate-whitelist
disable-update-checking = true

[nrepl]
enabled = false
CONFIG
    # The names are those of the certificates: PostgreSQL is believed only under its own.
    cat >"$etc/conf.d/database.ini" <<CONFIG
[database]
subname = //$CERTNAME:5432/pe-puppetdb?ssl=true&sslmode=verify-full&sslrootcert=$ca&sslcert=$ssl.cert.pem&sslkey=/run/pe-puppetdb/key.pk8
username = pe-puppetdb
maximum-pool-size = 10
CONFIG
    cat >"$etc/conf.d/jetty.ini" <<CONFIG
[jetty]
host = localhost
port = 8080
ssl-host = 0.0.0.0
ssl-port = 8081
ssl-key = $ssl.private_key.pem
ssl-cert = $ssl.cert.pem
ssl-ca-cert = $ca
CONFIG
}

# Puppet 5 lacks a few names of the Puppet that Debian's terminus is for.
set_up_terminus() {
    ruby=/usr/lib/ruby/vendor_ruby
    cp -r /opt/puppet/share/puppetdb/terminus/puppet "$ruby/"
    cp "$(dirname "$0")/puppet5_runtime.rb" "$ruby/puppet/util/puppetdb/"
    sed -i '1i require "puppet/util/puppetdb/puppet5_runtime"' "$ruby/puppet/util/puppetdb/http.rb"
    cat >/etc/puppetlabs/puppet/puppetdb.conf <<CONFIG
[main]
server_urls = https://$CERTNAME:8081
soft_write_failure = false
CONFIG
    cat >/etc/puppetlabs/puppet/routes.yaml <<'CONFIG'
master:
  facts:
    terminus: puppetdb
    cache: yaml
CONFIG
}

set_up_console() {
    certs=/opt/puppet/share/puppet-dashboard/certs
    modules=/usr/lib/apache2/modules
    owned pe-console-services /var/log/pe-console-services
    mkdir -p /etc/puppetlabs/httpd/conf /var/log/pe-httpd /opt/puppet/sbin
    ln -s /usr/sbin/apache2 /opt/puppet/sbin/httpd
    rm -f /lib/systemd/system/apache*.service /etc/init.d/apache* /etc/systemd/system/*.wants/apache*
    cat >/etc/puppetlabs/httpd/conf/httpd.conf <<CONFIG
ServerName $CERTNAME
ServerRoot /etc/puppetlabs/httpd
PidFile /run/pe-httpd.pid
DefaultRuntimeDir /run/pe-httpd
Mutex file:/run/pe-httpd default
ErrorLog /var/log/pe-httpd/error.log
User pe-apache
Group pe-apache
Listen 443
StartServers 1

LoadModule mpm_event_module $modules/mod_mpm_event.so
LoadModule authz_core_module $modules/mod_authz_core.so
LoadModule socache_shmcb_module $modules/mod_socache_shmcb.so
LoadModule ssl_module $modules/mod_ssl.so
LoadModule proxy_module $modules/mod_proxy.so
LoadModule proxy_http_module $modules/mod_proxy_http.so

SSLEngine on
SSLCertificateFile $certs/$CERTNAME.cert.pem
SSLCertificateKeyFile $certs/$CERTNAME.private_key.pem

SSLProxyEngine on
SSLProxyVerify require
SSLProxyCheckPeerName on
SSLProxyCACertificateFile $ca
SSLProxyMachineCertificateFile /run/pe-httpd/client.pem
ProxyPass / https://$CERTNAME:4435/ retry=0
CONFIG
}

# At boot the agent waits until PuppetDB answers: its first run would fail without. A later start does not wait.
set_up_boot() {
    cat >/etc/systemd/system/pe-puppetdb-answers.service <<'CONFIG'
[Unit]
Description=PuppetDB answers
After=pe-puppetdb.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/opt/pe-lab/wait-for-puppetdb 60

[Install]
WantedBy=multi-user.target
CONFIG
    systemctl enable pe-puppetdb-answers
}

set_up_postgresql
set_up_puppetdb
set_up_terminus
set_up_console
set_up_boot
