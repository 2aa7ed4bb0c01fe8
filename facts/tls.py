"""What services present and answer over TLS, asked on the host itself."""

from __future__ import annotations

from pyinfra.api import FactBase, StringCommand

from facts.script import read_records, record_script

_LIMIT = r"""
limit=
timeout 10 true >/dev/null 2>&1 && limit='timeout 10' # old ones want -t
"""


class PresentedCertificate(FactBase[str | None]):
    """
    The certificate (PEM) that a TLS server on the host presents, None if none answers.

    + addresses: where to try, in this order
    """

    def command(self, addresses: list[str], port: int) -> StringCommand:
        return record_script(
            _LIMIT
            + r"""
port=$1; shift
shaken() { $limit openssl s_client -connect "$1" </dev/null 2>/dev/null || :; } # nobody may listen
presented() {
    if openssl version >/dev/null 2>&1; then
        case $1 in (*:*) where="[$1]:$port" ;; (*) where=$1:$port ;; esac
        stage shaken "$where" |
            stage sed -n '/^-----BEGIN CERTIFICATE/,/^-----END CERTIFICATE/p'
    else
        $limit ruby --disable-gems -rsocket -ropenssl -e '
            tls = OpenSSL::SSL::SSLSocket.new(TCPSocket.new(ARGV[0], ARGV[1].to_i))
            tls.connect
            puts tls.peer_cert.to_pem
        ' "$1" "$port" 2>/dev/null </dev/null
    fi
}
for address in "$@"; do
    pem=$(presented "$address")
    if [ -n "$pem" ]; then say presented "$pem"; break; fi
done
""",
            str(port),
            *addresses,
        )

    def process(self, output: list[str]) -> str | None:
        for record in read_records(output):
            return record[1]
        return None


class ClassifierGroups(FactBase[str | None]):
    """
    The body of the classifier's `GET /classifier-api/v1/groups`, None if it does not answer
    with 200. Asked with the certificate of pe-internal-classifier, whose key stays on the host.

    + addresses: where to try, in this order
    """

    def command(
        self,
        addresses: list[str],
        port: int,
        certificate: str,
        private_key: str,
        cacert: str,
        certname: str,
    ) -> StringCommand:
        return record_script(
            _LIMIT
            + r"""
port=$1 certificate=$2 key=$3 ca=$4 name=$5; shift 5
request() {
    printf '%s\r\n' 'GET /classifier-api/v1/groups HTTP/1.0' "Host: $name" \
        'Accept: application/json' '' || :
}
# Nobody may listen, or whoever does refuse: that is no answer, and no failure of what asks.
asked() { # at the address $1
    if openssl version >/dev/null 2>&1; then
        $limit openssl s_client -quiet -verify_return_error -CAfile "$ca" \
            -cert "$certificate" -key "$key" -connect "$1:$port" 2>/dev/null
    else
        $limit ruby --disable-gems -rsocket -ropenssl -e '
            context = OpenSSL::SSL::SSLContext.new
            context.cert = OpenSSL::X509::Certificate.new(File.read(ARGV[1]))
            context.key = OpenSSL::PKey::RSA.new(File.read(ARGV[2]), "")
            context.ca_file = ARGV[3]
            context.verify_mode = OpenSSL::SSL::VERIFY_PEER
            tls = OpenSSL::SSL::SSLSocket.new(TCPSocket.new(ARGV[4], ARGV[0].to_i), context)
            tls.connect
            tls.write($stdin.read)
            print tls.read
        ' "$port" "$certificate" "$key" "$ca" "$1" 2>/dev/null
    fi || :
}
answered() { stage request | stage asked "$1" | stage tr -d '\000'; }
for address in "$@"; do
    answer=$(answered "$address")
    [ -z "$answer" ] || break
done
stage lines_of "$answer" | stage relay answer
""",
            str(port),
            certificate,
            private_key,
            cacert,
            certname,
            *addresses,
        )

    def process(self, output: list[str]) -> str | None:
        for record in read_records(output):
            head, _, body = record[1].replace("\r\n", "\n").partition("\n\n")
            status = head.split(" ")[1:2]
            return body if head.startswith("HTTP/") and status == ["200"] else None
        return None
