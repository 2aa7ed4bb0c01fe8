"""What a Puppet Server is configured to do with credentials, and with its CA."""

from __future__ import annotations

import re

from pyinfra.api import FactBase, StringCommand

from facts.reading import READING
from facts.script import read_records, record_script
from recert.deployments.model import ServerFiles
from recert.server_configuration import ServerConfiguration

_SETTING = re.compile(
    r"(?<![\w-])(ssl-cert|ssl-cert-chain|ssl-key|ssl-ca-cert|ssl-crl-path|allow-subject-alt-names"
    r"|enable-infra-crl)\"?\s*[=:]\s*\"?([^\s\",}]+)"
)
_DISABLED = "certificate-authority-disabled-service"


class ConfiguredServer(FactBase[ServerConfiguration]):
    """
    What of Puppet Server's and PuppetDB's configuration is about credentials. Passwords, which
    stand in the same files, stay there.

    + files: where it is

    .. code:: python

        ServerConfiguration(
            credentials={"/etc/puppetdb/conf.d/jetty.ini": {"ssl-key": "/etc/puppetdb/key.pem"}},
            ca_disabled="",
            allows_alt_names=False,
            infra_crl="",
        )
    """

    def command(self, files: ServerFiles) -> StringCommand:
        return record_script(
            READING
            + r"""
count=$1 named=$2; shift 2
comments='/^[[:space:]]*\([#;]\|\/\/\)/d; s,[[:space:]]//.*,,; s/[[:space:]]#.*//'
lines() { # of the file $1 those that the pattern $2 is in, less comments
    stage as_it_lies "$1" | stage tr -d '\000' | stage sed -n -e "$comments" -e "/$2/p"
}
looked=0
for pattern; do
    looked=$((looked + 1))
    for file in $pattern; do
        [ ! -f "$file" ] || say "$looked" "$file" "$(lines "$file" "$named")"
    done
done
""",
            "3",
            r"ssl-[ck]\|ssl-ca\|allow-subject\|enable-infra\|authority-disabled",
            *(files.server, files.services, files.database),
        )

    def process(self, output: list[str]) -> ServerConfiguration:
        credentials: dict[str, dict[str, str]] = {}
        ca: dict[str, str] = {}
        disabled = ""
        where: dict[str, str] = {}
        for _, file, text in read_records(output):
            if _DISABLED in text:
                disabled = file
            for name, value in _SETTING.findall(text):
                if name.startswith("ssl-"):
                    credentials.setdefault(file, {})[name] = value
                else:
                    ca[name], where[name] = value, file
        return ServerConfiguration(
            credentials=credentials,
            ca_disabled=disabled,
            allows_alt_names=ca.get("allow-subject-alt-names") == "true",
            infra_crl=where["enable-infra-crl"] if ca.get("enable-infra-crl") == "true" else "",
        )
