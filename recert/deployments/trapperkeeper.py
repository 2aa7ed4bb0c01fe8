"""Where Puppet Server and PuppetDB listen, and the other services that are made like them."""

from __future__ import annotations

from recert.deployments.model import Endpoint

SSL_PORT = r"s/#.*//; s,//.*,,; s/.*ssl-port[\"[:space:]:=]*\([0-9]*\).*/\1/p"
"""Of a service's webserver.conf, without its comments."""

ADDRESS = r"\([[:alnum:]:][[:alnum:]._:-]*\)"
SSL_HOST = (
    rf"s/#.*//; s,//.*,,; s/^/ /; h; s/.*ssl-host[\"[:space:]]*[:=][\"[:space:]]*{ADDRESS}.*/\1/p; "
    rf"g; s/.*[^[:alnum:]-]host[\"[:space:]]*[:=][\"[:space:]]*{ADDRESS}.*/\1/p"
)
"""There, too: `host` counts where there is no `ssl-host`."""


def server_endpoint(configuration: str, log: str, path: str) -> Endpoint:
    """
    :param configuration: Puppet Server's own directory.
    :param path: what it answers to anybody.
    """
    # puppet.conf's `masterport` is the agents'; where both differ, this is where it listens.
    configured = (f"{configuration}/conf.d/webserver.conf", SSL_PORT)
    return Endpoint(8140, log, path=path, configured=configured, bound=SSL_HOST)


def database_endpoint(configuration: str, log: str) -> Endpoint:
    """
    :param configuration: PuppetDB's own directory.
    """
    # 2.x listens once it is ready, and does not know that path; later ones answer it with 503.
    return Endpoint(
        8081,
        log,
        path="/pdb/meta/v1/version",
        configured=(
            f"{configuration}/conf.d/jetty.ini",
            r"s/^[[:space:]]*ssl-port[[:space:]]*=[[:space:]]*\([0-9]*\).*/\1/p",
        ),
        bound=rf"s/^[[:space:]]*\(ssl-\)\{{0,1\}}host[[:space:]]*=[[:space:]]*{ADDRESS}.*/\2/p",
    )
