"""TLS handshakes with a master's services, made on the master itself by Puppet's own Ruby."""

from __future__ import annotations

from pyinfra.api import FactBase, StringCommand

from facts.numbers import count
from facts.ruby import RUBY_CLIENT
from facts.script import read_records, record_script
from recert.observed import ClientCredential, Handshake, Handshakes, Offered

# Keys are read into this process and nowhere else.
_CLIENT = (
    RUBY_CLIENT
    + r"""
def from_archive(archive, member)
  IO.popen(["tar", "-xOf", archive, member, {:err => "/dev/null"}]) { |tar| tar.read }
end

def load_credential(label, kind, certificate, key, archive)
  read = lambda { |path| kind == "archive" ? from_archive(archive, path) : read_file(path) }
  cert = OpenSSL::X509::Certificate.new(read.call(certificate))
  pair = [cert, OpenSSL::PKey::RSA.new(read.call(key), "")]
  raise "the private key is not that of the certificate" unless cert.check_private_key(pair[1])
  say("credential", label, cert.to_pem, "")
  pair
rescue StandardError => error
  say("credential", label, "", error.message)
  nil
end

def shake(addresses, service, port, protocol, label, pair)
  asked, answered, accepted, presented, said = false, false, false, "", ""
  begin
    Timeout.timeout(10) do
      socket = open_socket(addresses, port.to_i)
      raise "it speaks no TLS" if protocol == "postgresql" && !takes_tls?(socket)
      context = tls_context
      context.verify_mode = OpenSSL::SSL::VERIFY_PEER
      context.verify_callback = proc do |ok, store|
        presented = store.current_cert.to_pem if store.error_depth == 0
        answered = true
      end
      context.client_cert_cb = proc { |session| asked = true; pair }
      tls = OpenSSL::SSL::SSLSocket.new(socket, context)
      tls.connect
      accepted = true
      tls.close
      socket.close
    end
  rescue StandardError, Timeout::Error => error
    said = error.message.to_s
    said = "no answer within 10 s" if error.is_a?(Timeout::Error)
  end
  answers = [answered, accepted, asked].map { |truth| truth ? "yes" : "no" }
  say("handshake", service, port, label, *answers, presented, said)
end

credentials = {"NOTHING" => nil}
words = ARGV.dup
addresses = words.shift(words.shift.to_i)
words.shift(words.shift.to_i * 5).each_slice(5) do |label, *how|
  pair = load_credential(label, *how)
  credentials[label] = pair if pair
end
words.each_slice(4) do |service, port, protocol, bound|
  tried = bound.split(",") + addresses
  credentials.each { |label, pair| shake(tried, service, port, protocol, label, pair) }
end
"""
)


class TlsHandshakes(FactBase[Handshakes]):
    """
    What services present in a TLS handshake, and whether they take client certificates of the CA
    in place and of a retired one. A service that asks for none takes any.

    + addresses: where to try, in this order
    + services: (service, port, protocol, addresses), the protocol being "tls" or "postgresql", and
      the addresses where to try it first, with commas
    + current: paths of a certificate and its private key on the host
    + retired: a backup's archive, and the names of both in it; None if there is no backup
    """

    def command(
        self,
        addresses: list[str],
        services: list[tuple[str, int, str, str]],
        current: tuple[str, str],
        retired: tuple[str, str, str] | None,
    ) -> StringCommand:
        credentials = [(Offered.CURRENT.name, "file", *current, "")]
        if retired is not None:
            archive, certificate, key = retired
            credentials.append((Offered.RETIRED.name, "archive", certificate, key, archive))
        return record_script(
            """
client=$1; shift
ruby --disable-gems -e "$client" -- "$@" 2>/dev/null </dev/null ||
    fail "Ruby could not try the services."
""",
            _CLIENT,
            str(len(addresses)),
            *addresses,
            str(len(credentials)),
            *(word for credential in credentials for word in credential),
            *(
                word
                for service, port, protocol, bound in services
                for word in (service, str(port), protocol, bound)
            ),
        )

    def process(self, output: list[str]) -> Handshakes:
        made, credentials = [], []
        for record in read_records(output):
            if record[0] == "credential":
                _, label, pem, why = record
                credentials.append(ClientCredential(Offered[label], pem or None, why))
            else:
                _, service, port, label, answered, accepted, asked, presented, said = record
                made.append(
                    Handshake(
                        service,
                        count(port),
                        Offered[label],
                        answered == "yes",
                        accepted == "yes",
                        asked == "yes",
                        presented or None,
                        said,
                    )
                )
        return Handshakes(tuple(made), tuple(credentials))
