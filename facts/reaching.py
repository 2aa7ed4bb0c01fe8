"""Whether a host can connect to its master at all."""

from __future__ import annotations

from collections.abc import Iterable

from pyinfra.api import FactBase, StringCommand

from facts.few import require_few
from facts.numbers import count
from facts.reading import READING
from facts.script import read_records, record_script

LONGEST_WAIT = 10
"""Seconds for one connection, names and all."""

MOST_SERVERS = 2
"""Its master, and its CA where that is another."""

_CONNECTING = r"""
require 'socket'
require 'timeout'
limit = ARGV.shift.to_i
ARGV.each_slice(2) do |name, port|
  begin
    Timeout.timeout(limit) { TCPSocket.new(name, port.to_i).close }
  rescue Timeout::Error
    said = "no answer within #{limit} s"
  rescue StandardError => error
    said = error.message.to_s
  end
  print [4, 'unreached', name, port, said].join("\0"), "\0" if said
end
"""


class Unreached(FactBase[dict[tuple[str, int], str]]):
    """
    Why there is no connection to some servers. Nothing is tried where puppet.conf names a proxy.

    + servers: names and ports
    + config: Puppet's setting

    .. code:: python

        {("master.example.com", 8140): "Connection refused - connect(2)"}
    """

    def command(self, servers: Iterable[tuple[str, int]], config: str) -> StringCommand:
        return record_script(
            READING
            + r"""
config=$1 connecting=$2; shift 2
proxy='/^[[:space:]]*http_proxy_host[[:space:]]*=/p'
proxies() { stage as_it_lies "$config" | stage sed -n "$proxy"; }
proxied() { [ -f "$config" ] && [ -n "$(proxies)" ]; }
[ "$#" -eq 1 ] || proxied || stage ruby --disable-gems -e "$connecting" -- "$@"
""",
            config,
            _CONNECTING,
            str(LONGEST_WAIT),
            *(word for name, port in servers for word in (name, str(port))),
        )

    def process(self, output: list[str]) -> dict[tuple[str, int], str]:
        unreached = {}
        for number, (_, name, port, said) in enumerate(read_records(output), 1):
            require_few(number, MOST_SERVERS, "servers of its own")
            unreached[name, count(port)] = said[:200]
        return unreached
