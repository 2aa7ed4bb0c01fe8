#!/bin/sh
# Makes an agent of this Windows: its version, Puppet at its place, the services, and the credential that its master's CA
# signed. Environment: CERTNAME SERVER, KIND of services (real or stand-ins), KEYLENGTH where it is not Puppet's own, and
# VERSION (as winecfg names it), DATA and PROGRAM (directories below C:/)
set -eu
here=$(dirname "$0")
drive=/opt/pe-lab/windows/drive_c
data=$drive/$DATA/puppet
program=$drive/$PROGRAM

with_crlf() {
    sed 's/$/\r/'
}

mkdir -p "$data/etc/ssl" "$data/var" "$program/bin" "$program/sys/ruby/bin" /etc/pe-lab
if [ "$VERSION" = win2003 ]; then
    mkdir -p "$drive/Documents and Settings"
    mv "$drive/users/Administrator" "$drive/users/operator" "$drive/Documents and Settings/"
fi
echo "$drive/$DATA" >/etc/pe-lab/data-directory

with_crlf >"$data/etc/puppet.conf" <<CONFIG
[main]
    certname = $CERTNAME
    server = $SERVER
${KEYLENGTH:+    keylength = $KEYLENGTH
}
[agent]
    environment = production
    report = true
    runinterval = 30m
CONFIG
sed -i \
    -e "s|which_dir(\"/etc/puppet[a-z/]*\"|which_dir(\"/C:/$DATA/puppet/etc\"|" \
    -e "s|which_dir(\"/var/cache/puppet\"|which_dir(\"/C:/$DATA/puppet/var\"|" \
    -e "s|which_dir(\"/run/puppet\"|which_dir(\"/C:/$DATA/puppet/var/run\"|" \
    -e "s|which_dir(\"/var/log/puppet\"|which_dir(\"/C:/$DATA/puppet/var/log\"|" \
    /usr/lib/ruby/vendor_ruby/puppet/util/run_mode.rb
tar -C "$data/etc/ssl" -xf "$here/credential.tar"
mkdir -p "$data/etc/ssl/certificate_requests"
chown -R 0:0 "$data"

cp "$drive/windows/pe-lab/ruby.exe" "$program/sys/ruby/bin/"
with_crlf >"$program/bin/puppet.bat" <<'BATCH'
@echo off
"%~dp0..\sys\ruby\bin\ruby.exe" -r/opt/pe-lab/windows_paths.rb -S puppet %*
BATCH

# By Wine's own sc.exe, which has `create`; then ours, which has what Wine's has not, takes its place.
windows_program="C:\\$(echo "$PROGRAM" | tr / '\\')"
service='C:\windows\pe-lab\service.exe'
/opt/pe-lab/wine sc create pe-puppet binPath= "$service pe-puppet \"$windows_program\\bin\\puppet.bat\"" \
    start= auto DisplayName= 'Puppet Agent'
daemon=
if [ "$KIND" = real ]; then
    daemon=--daemon
    mkdir -p "$drive/$DATA/mcollective/etc" "$drive/$DATA/mcollective/plugins" "$drive/$DATA/mcollective/var/log"
    # Facter has none of Windows' own here.
    mkdir -p /etc/facter/facts.d
    echo "common_appdata=/C:/${DATA%/PuppetLabs}" >/etc/facter/facts.d/windows.txt
fi
/opt/pe-lab/wine sc create pe-mcollective binPath= "$service pe-mcollective $daemon" \
    start= auto DisplayName= 'Marionette Collective'
for name in sc icacls certutil; do
    mv "$drive/windows/pe-lab/$name.exe" "$drive/windows/system32/"
    /opt/pe-lab/wine reg add 'HKCU\Software\Wine\DllOverrides' /v "$name.exe" /d native /f
done
/opt/pe-lab/wine reg add 'HKCU\Software\Wine' /v Version /d "$VERSION" /f
WINEPREFIX=/opt/pe-lab/windows /usr/lib/wine/wineserver64 -w

ssh-keygen -q -t ed25519 -N '' -C '' -f /etc/ssh/ssh_host_ed25519_key
openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=$CERTNAME" \
    -addext "subjectAltName=DNS:$CERTNAME,IP:127.0.0.1" -keyout /etc/pe-lab/winrm.key -out /etc/pe-lab/winrm.pem
