#!/bin/sh
# Makes PE's layout around Debian's Puppet, where that is not to stay as it is.
# Environment: ROLE CERTNAME SERVICE_MANAGER SSH_USER OPENSSL SERVICES SH LOGIN_SHELL OLD_SSH; and /opt/pe-lab/generation
set -eu
. /opt/pe-lab/generation
ruby=/usr/lib/ruby/vendor_ruby

lay_out() {
    for user in $ACCOUNTS; do
        # The one of them that is a person's.
        if [ "$user" = peadmin ]; then
            useradd --system --user-group --create-home --home-dir /var/lib/peadmin --shell /bin/bash "$user"
        else
            useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$user"
        fi
    done

    # Puppet at PE's paths, also for one that is started without a configuration.
    sed -i \
        -e 's|which_dir("/etc/puppet", |which_dir("/etc/puppetlabs/puppet", |' \
        -e 's|which_dir("/etc/puppet/code", |which_dir("'"$CODEDIR"'", |' \
        -e 's|which_dir("/var/cache/puppet", |which_dir("'"$VARDIR"'", |' \
        -e 's|which_dir("/run/puppet", |which_dir("'"$RUNDIR"'", |' \
        -e 's|which_dir("/var/log/puppet", |which_dir("'"$LOGDIR"'", |' \
        "$ruby/puppet/util/run_mode.rb"
    mkdir -p "$PROGRAMS"
    mv /usr/bin/puppet "$PROGRAMS/puppet"
    ln -s /usr/bin/ruby /usr/bin/facter "$PROGRAMS/"
    if [ -n "$LINKS" ]; then
        mkdir -p "$LINKS"
        ln -s "$PROGRAMS/puppet" "$PROGRAMS/facter" "$LINKS/"
    fi
    rm -rf /etc/puppet /var/cache/puppet /var/lib/puppet /var/log/puppet /etc/default/puppet
    case "$SERVICE_MANAGER $SERVICES " in
        # The lab's own, which is there already. Debian's takes whatever is called puppet for its agent.
        init*' puppet '*) ;;
        *) rm -f /etc/init.d/puppet ;;
    esac
    rm -f /etc/rc?.d/???puppet /lib/systemd/system/puppet*.service \
        /usr/lib/tmpfiles.d/puppet*.conf /etc/systemd/system/*.wants/puppet*.service
    if id puppet >/dev/null 2>&1; then
        userdel puppet
    fi
    install -d /etc/puppetlabs/puppet
    # shellcheck disable=SC2086 # a list of words
    install -d $LOG_DIRECTORIES
    install -d -o "$ACCOUNT" -g "$ACCOUNT" -m 0750 "$LOGDIR"
    install -d -o "$ACCOUNT" -g "$ACCOUNT" -m 0755 "$VARDIR"

    if [ "$ROLE" = master ]; then
        install -d -o pe-activemq -g pe-activemq -m 0750 /etc/puppetlabs/activemq
        echo "$PLACES" | while IFS=: read -r directory account _; do
            install -d -o "$account" -g "$account" "$directory"
        done
        if [ -n "$SERVER_VARDIR" ]; then
            install -d -o pe-puppet -g pe-puppet "$SERVER_VARDIR"
        fi
        if [ "$SERVER_STATUS" = yes ]; then
            # Among what the server answers, the first.
            route='Puppet::Network::HTTP::Route.path(%r{^/status/v1/simple$}).get('
            route="$route"'->(_, response) { response.respond_with(200, "text/plain", "running") }), '
            sed -i "s|^ *register(\\[|&$route|" "$ruby/puppet/network/http/webrick/rest.rb"
            grep -q status/v1 "$ruby/puppet/network/http/webrick/rest.rb"
        fi
    fi
}

if [ "$PACKAGED" = no ]; then
    lay_out
else
    rm -rf "$CONFDIR/puppet.conf" "$SSLDIR"
fi
install -d /etc/pe-lab
echo "$CERTNAME" >/etc/pe-lab/certname

rm -f /etc/ssh/ssh_host_*
key=ed25519
if [ "$OLD_SSH" = yes ]; then key=rsa; fi
ssh-keygen -q -t "$key" -N '' -C '' -f "/etc/ssh/ssh_host_${key}_key"
cat >/etc/ssh/sshd_config.d/lab.conf <<CONFIG
HostKey /etc/ssh/ssh_host_${key}_key
AuthorizedKeysFile /etc/ssh/lab_authorized_keys
AllowUsers $SSH_USER
PasswordAuthentication no
UseDNS no
MaxSessions 100
MaxStartups 100
CONFIG
if [ "$SSH_USER" != root ]; then
    useradd --create-home --shell /bin/sh --password '*' "$SSH_USER"
    echo "$SSH_USER ALL=(ALL) NOPASSWD: ALL" >"/etc/sudoers.d/$SSH_USER"
    chmod 0440 "/etc/sudoers.d/$SSH_USER"
    echo 'PermitRootLogin no' >>/etc/ssh/sshd_config.d/lab.conf
fi

if [ "$OLD_SSH" = yes ]; then
    # What OpenSSH 4.3 knows, and of that what today's server and libraries still do.
    cat >>/etc/ssh/sshd_config.d/lab.conf <<CONFIG
HostKeyAlgorithms ssh-rsa
PubkeyAcceptedKeyTypes ssh-rsa
KexAlgorithms diffie-hellman-group-exchange-sha1,diffie-hellman-group14-sha1,diffie-hellman-group1-sha1
Ciphers aes128-ctr,aes128-cbc,aes256-ctr,aes256-cbc,3des-cbc
MACs hmac-md5,hmac-sha1
CONFIG
    echo 'Defaults requiretty' >/etc/sudoers.d/requiretty
    chmod 0440 /etc/sudoers.d/requiretty
fi

ln -sf "$SH" /bin/sh
if [ "$LOGIN_SHELL" != bash ]; then
    usermod --shell "$(command -v "$LOGIN_SHELL")" root
fi

if [ "$SERVICE_MANAGER" = systemd ]; then
    # shellcheck disable=SC2086 # a list of words
    systemctl enable $SERVICES
    systemctl mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer getty.target
    systemctl set-default multi-user.target
else
    dpkg --purge systemd-sysv systemd
    order=20
    for name in $SERVICES; do
        for level in 2 3 4 5; do
            ln -s "../init.d/$name" "/etc/rc$level.d/S$order$name"
        done
        for level in 0 1 6; do
            ln -s "../init.d/$name" "/etc/rc$level.d/K$order$name"
        done
        order=$((order + 1))
    done
fi
if [ "$OPENSSL" = no ]; then
    # Other packages want it, and none of what runs here calls it.
    dpkg --purge --force-depends openssl
fi
