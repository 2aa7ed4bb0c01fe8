"""Whether services answer, asked on the host itself by Puppet's own Ruby."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass

from pyinfra.api import FactBase, StringCommand

from facts.ruby import RUBY_CLIENT
from facts.script import read_records, record_script
from recert.observed import Answer

# Each service is asked until it answers or time is up, all of them side by side. Whom nobody
# verifies here is looked at by others: this is about being there. 502 to 504 is what a service
# says that waits for another one, or a proxy for the service behind it.
_ASK = r"""
WAITING = %w[502 503 504]
PROTOCOL_3 = 196608
CANNOT_CONNECT_NOW = "57P03"

def over_tls(socket, certificate, key)
  context = tls_context
  context.verify_mode = OpenSSL::SSL::VERIFY_NONE
  begin
    context.cert = OpenSSL::X509::Certificate.new(read_file(certificate))
    context.key = OpenSSL::PKey::RSA.new(read_file(key), "")
  rescue StandardError
    context = tls_context # whether it is usable without one is for the service to say
  end
  tls = OpenSSL::SSL::SSLSocket.new(socket, context)
  tls.connect
  tls
end

def ask_http(stream, host, path)
  stream.write("GET #{path} HTTP/1.0\r\nHost: #{host}\r\nAccept: */*\r\n\r\n")
  line = stream.gets.to_s.strip
  status = line[/\AHTTP\/\S+ (\d+)/, 1]
  raise "it speaks no HTTP: #{line[0, 80].inspect}" unless status
  raise "HTTP status #{status}" if WAITING.include?(status)
end

# It takes connections before it takes work, and says so only to who introduces himself.
def ask_postgresql(stream)
  words = [PROTOCOL_3].pack("N") + "user\0pe-recert\0database\0postgres\0\0"
  stream.write([words.bytesize + 4].pack("N") + words)
  return unless stream.read(1) == "E"
  fields = stream.read(stream.read(4).unpack("N")[0] - 4).split("\0")
  return unless fields.include?("C#{CANNOT_CONNECT_NOW}")
  raise fields.grep(/\AM/).map { |field| field[1..-1] }.join
end

def ask(addresses, host, service)
  _, port, protocol, path, certificate, key, bound = service
  socket = open_socket(bound.split(",") + addresses, port.to_i)
  begin
    plain = protocol == "postgresql" && !takes_tls?(socket)
    stream = plain ? socket : over_tls(socket, certificate, key)
    ask_http(stream, host, path) if protocol == "http"
    ask_postgresql(stream) if protocol == "postgresql"
  ensure
    socket.close
  end
end

def wait_for(addresses, host, service, finish)
  said = ""
  loop do
    left = finish - Time.now
    return [false, said] if left < 0 && said != ""
    begin
      Timeout.timeout([left, 1].max) { ask(addresses, host, service) }
      return [true, ""]
    rescue Timeout::Error
      said = "it takes connections and does not answer"
    rescue StandardError => error
      said = error.message.to_s
      said = error.class.to_s if said == ""
    end
    sleep 0.1
  end
end

words = ARGV.dup
finish = Time.now + words.shift.to_f
host = words.shift
addresses = words.shift(words.shift.to_i)
asked = words.each_slice(7).map do |service|
  [service, Thread.new { wait_for(addresses, host, service, finish) }]
end
asked.each do |service, thread|
  answered, said = thread.value
  say("answer", service[0], answered ? "yes" : "no", said)
end
"""


@dataclass(frozen=True)
class AskedService:
    """`protocol`: "http", "postgresql" or "tls". `path`: over HTTP. `certificate`, `key`: paths of
    what it is offered. `addresses`: where to try first, with commas."""

    name: str
    port: int
    protocol: str
    path: str
    certificate: str
    key: str
    addresses: str


class ServiceAnswers(FactBase[dict[str, Answer]]):
    """
    Which services answer: the TLS handshake comes to its end, what is asked over HTTP is answered
    with another status than 502 to 504, and PostgreSQL does not say that it is still starting.
    Returns as soon as all do.

    + addresses: where to try each, in this order
    + called: the name by which they are addressed
    + services: whom to ask
    + patience: seconds after which it returns in any case

    .. code:: python

        {"pe-puppetdb": Answer(False, "HTTP status 503")}
    """

    def command(
        self,
        addresses: list[str],
        called: str,
        services: Iterable[AskedService],
        patience: float,
    ) -> StringCommand:
        return record_script(
            """
client=$1; shift
ruby --disable-gems -e "$client" -- "$@" 2>/dev/null </dev/null ||
    fail "Ruby could not ask the services."
""",
            RUBY_CLIENT + _ASK,
            str(patience),
            called,
            str(len(addresses)),
            *addresses,
            *(str(word) for service in services for word in astuple(service)),
        )

    def process(self, output: list[str]) -> dict[str, Answer]:
        return {
            service: Answer(answered == "yes", said)
            for _, service, answered, said in read_records(output)
        }
