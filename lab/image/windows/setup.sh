#!/bin/sh
# Makes a Windows out of Debian's Wine and Puppet: accounts, a drive C: with a service manager, and what Wine lacks.
set -eu
here=$(dirname "$0")
drive=/opt/pe-lab/windows/drive_c

# Both accounts are root to Linux, since a Wine belongs to one user; session.exe takes operator's rights away. The first
# name of user 0 is what Wine calls its user.
sed -i '1i Administrator:x:0:0::/:/opt/pe-lab/cmd-shell' /etc/passwd
echo 'operator:x:0:0::/:/opt/pe-lab/cmd-shell' >>/etc/passwd
useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin pe-lab-operator
if id puppet >/dev/null 2>&1; then
    userdel puppet
fi

cat >/etc/ssh/sshd_config <<CONFIG
HostKey /etc/ssh/ssh_host_ed25519_key
AuthorizedKeysFile /etc/ssh/lab_authorized_keys
AllowUsers Administrator operator
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
MaxSessions 100
MaxStartups 100
Subsystem sftp internal-sftp
CONFIG
rm -f /etc/ssh/ssh_host_*

mkdir -p "$drive"
/opt/pe-lab/wine wineboot -i
ln -s "$drive" /C:
ln -s "$drive" /c:
mkdir -p "$drive/windows/pe-lab" "$drive/pe-lab" "$drive/users/operator" "$drive/users/Administrator"
for program in session boot ruby service sc icacls certutil; do
    # shellcheck disable=SC2046 # an option or none
    x86_64-w64-mingw32-gcc $(grep -q wmain "$here/$program.c" && echo -municode) -O2 -s -Wall -Werror \
        -o "$drive/windows/pe-lab/$program.exe" "$here/$program.c" -ladvapi32 -lcrypt32
done

"$here/compile.sh"

# No way into the container's own file system by a drive letter.
rm "$drive/../dosdevices/z:"
WINEPREFIX=$drive/.. /usr/lib/wine/wineserver64 -w
