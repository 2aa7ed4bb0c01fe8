"""The public halves of private keys, computed on the host that has them."""

from __future__ import annotations

_KEY_OF_NOBODY = """\
-----BEGIN RSA PRIVATE KEY-----
MIIBOQIBAAJBAJrN1h04sm+QQUw3mjTXybUAdOeVSeZKB9Zdj1vEwrZzwmv3fr78
PFcX/fSQ77dQ/ZEuIFQte3V+KmqThnHzm6MCAwEAAQJAPY5T8dK1wX8POAt0Gkck
QgEoe131wMj3TNpvQwJ+mqXW5LM9qmNXB67Ukw06tIr1+KYVCSv1+n6/GfDQfV5w
IQIhAM3nwbk1dr2Qzx87zQ3IN/MQNFlpEAumkIUhRHp9E/ZnAiEAwHdhFvAvx/0e
5sw8u8McjYN9bzjAAQ3KnntUrmBQU2UCIDz9LLCDWYyE3BTQTciLSadBYYAqUopg
5+XHGNV/Pu55AiEArSX465jzc3itZzdQYB7cvhcQLpIgchJFOaR8f0/Yk90CHwZQ
Y2iyNo2hV1fgadFHCSCtTtA+fgxXA1+XTal+2wk=
-----END RSA PRIVATE KEY-----"""
"""Short, made for this, and used for nothing else."""

READING_KEYS = (
    f"\nkey_of_nobody='{_KEY_OF_NOBODY}'"
    + r"""
is_public() { case $1 in (*'-----END PUBLIC KEY-----'*) ;; (*) return 1 ;; esac; }
half_of_nobody() { openssl rsa -passin pass: -pubout <<END
$key_of_nobody
END
}
openssl_reads_keys() { is_public "$(half_of_nobody)"; }
half_of_nobody_by_ruby() {
    ruby --disable-gems -ropenssl \
        -e "puts OpenSSL::PKey::RSA.new(STDIN.read).public_key.to_pem" <<END
$key_of_nobody
END
}
ruby_reads_keys() { is_public "$(half_of_nobody_by_ruby)"; }
"""
)
"""Whether openssl, or Puppet's Ruby, reads private keys at all."""

PUBLIC_HALVES = (
    READING_KEYS
    + r"""
by_openssl() {
    KEY_PASSWORD=$password openssl rsa -passin env:KEY_PASSWORD -pubout 2>/dev/null ||
        cat >/dev/null
}
halved() { stage as_it_lies "$1" 2 | stage by_openssl; }
half_by_openssl() { # of the private key $1
    half=$(halved "$1")
    is_public "$half"
}
halves_by_ruby() { # those of the paths that come in
    KEY_PASSWORD=$password ruby --disable-gems -ropenssl -e '
        halves = STDIN.each_line.map do |line|
            path = line.chomp
            half = begin
                flags = File::RDONLY | File::NONBLOCK
                pem = File.open(path, flags) { |file| file.read(131_072).to_s }
                OpenSSL::PKey::RSA.new(pem, ENV["KEY_PASSWORD"].to_s).public_key.to_pem
            rescue StandardError
                ""
            end
            ["3", "key", path, half].join("\0") + "\0"
        end
        print halves.join
    ' 2>/dev/null
}
public_halves() { # says those of the files whose paths come in, with the password in file $1
    left='' password=
    [ ! -f "$1" ] || password=$(first_line "$1")
    while IFS= read -r path; do
        if half_by_openssl "$path"; then say key "$path" "$half"
        else left="$left$path
"
        fi
    done
    [ -n "$left" ] || return 0
    halves_by_ruby <<END && return
${left%?}
END
    openssl_reads_keys 2>/dev/null || fail "Neither openssl nor ruby can read a private key."
    while IFS= read -r path; do say key "$path" ''; done <<END
${left%?}
END
}
"""
)
"""`public_halves` asks Ruby for what openssl cannot read. Where there is no Ruby, that is no key if
openssl can read one of ours: a program that does not work tells nothing. Needs `READING`."""
