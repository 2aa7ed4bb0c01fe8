"""The hosts of the lab: the one place to add one."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from lab.generations import (
    DEBIAN_5,
    DEBIAN_7,
    PE_3_7,
    PE_3_8,
    PE_2015_2,
    PE_2015_3,
    PE_2016_1,
    PE_2016_2,
    Generation,
)
from lab.progress import LabError
from lab.services import STAND_INS, Kind, Service, services_of


@dataclass(frozen=True)
class Windows:
    """What kind of Windows an agent is; directories are below C:/."""

    # As winecfg names it.
    version: str
    data: str
    program: str


@dataclass(frozen=True)
class Host:
    """A container of the lab: a monolithic master, or an agent of one."""

    name: str
    hostname: str
    certname: str
    service_manager: Literal["systemd", "init", "windows"]
    ssh_user: str = "root"
    alt_names: tuple[str, ...] = ()
    # False: only the certificate in use carries the alternative names.
    alt_names_configured: bool = True
    # An agent's master, by the name of its host.
    master: str = ""
    # A master whose CA signs every request from lab.test by itself.
    autosigns: bool = False
    openssl: bool = True
    # What `sh` is there, and root's login shell.
    sh: Literal["dash", "bash", "mksh"] = "dash"
    login_shell: Literal["bash", "tcsh", "fish"] = "bash"
    # True: its SSH server knows no more than that of EL 5, and its sudo wants a terminal.
    old_ssh: bool = False
    # True: it carries files that years of administration leave behind.
    leftovers: bool = False
    windows: Windows | None = None
    # What it runs; an agent runs what its master runs.
    kind: Kind = STAND_INS
    # A master, with its agents, of which there is no variant with the real services.
    only_stand_ins: bool = False
    generation: Generation = field(default=PE_3_7, repr=False)

    @property
    def role(self) -> Literal["master", "agent"]:
        """What the host is in its deployment."""
        return "agent" if self.master else "master"

    @property
    def server(self) -> str:
        """The certname of the master that the host's own agent talks to."""
        return HOSTS[self.master].certname if self.master else self.certname

    def running(self, kind: Kind) -> "Host":
        """The same host with services of this kind, if it has them."""
        master = HOSTS[self.master or self.name]
        return replace(self, kind=STAND_INS if master.only_stand_ins else kind)

    @property
    def its_master(self) -> "Host":
        """An agent's master, with services of the same kind."""
        return HOSTS[self.master].running(self.kind)

    @property
    def services(self) -> tuple[Service, ...]:
        """What the host runs."""
        return services_of(self.role, self.kind, self.generation)

    @property
    def ports(self) -> dict[str, int]:
        """What answers to the machine that the lab is on."""
        if self.windows:
            return {"ssh": 22, "winrm_http": 5985, "winrm_https": 5986}
        return {"ssh": 22}

    @property
    def own_names(self) -> tuple[str, ...]:
        """Every name under which the host has to find itself."""
        return tuple(dict.fromkeys((self.hostname, self.certname, *self.alt_names)))

    @property
    def agents(self) -> "tuple[Host, ...]":
        """The agents of this master."""
        return tuple(host for host in HOSTS.values() if host.master == self.name)


HOSTS = {
    host.name: host
    for host in (
        Host(
            name="master",
            hostname="master.lab.test",
            certname="master.lab.test",
            alt_names=("puppet", "puppet.lab.test"),
            service_manager="systemd",
        ),
        # All that an administrator's oldest machine can do differently, in one host.
        Host(
            name="master-init",
            hostname="pe-box-2",
            certname="puppet-ca.lab.test",
            alt_names=("puppet", "puppet.lab.test", "ca-alias.lab.test"),
            service_manager="init",
            ssh_user="admin",
            alt_names_configured=False,
            autosigns=True,
            openssl=False,
            sh="bash",
            old_ssh=True,
            leftovers=True,
            only_stand_ins=True,
        ),
        Host(
            name="agent01",
            hostname="agent01.lab.test",
            certname="agent01.lab.test",
            service_manager="systemd",
            master="master",
        ),
        Host(
            name="agent02",
            hostname="agent02.lab.test",
            certname="agent02.lab.test",
            service_manager="init",
            sh="bash",
            login_shell="tcsh",
            master="master",
        ),
        Host(
            name="agent03",
            hostname="agent03.lab.test",
            certname="agent03.lab.test",
            service_manager="systemd",
            ssh_user="admin",
            master="master",
        ),
        # Only its puppet.conf knows what it is called in its certificate.
        Host(
            name="agent04",
            hostname="db-box-7",
            certname="agent04.lab.test",
            service_manager="init",
            sh="mksh",
            login_shell="fish",
            master="master",
        ),
        # Puppet's CA signs its requests only when told that alternative names are all right.
        Host(
            name="agent05",
            hostname="agent05.lab.test",
            certname="agent05.lab.test",
            alt_names=("www.lab.test", "agent05-alias.lab.test"),
            service_manager="systemd",
            master="master",
        ),
        # Reached over WinRM in the inventory; 32-bit Puppet on a 64-bit Windows.
        Host(
            name="win01",
            hostname="win01",
            certname="win01.lab.test",
            service_manager="windows",
            ssh_user="Administrator",
            master="master",
            windows=Windows(
                version="win2008r2",
                data="ProgramData/PuppetLabs",
                program="Program Files (x86)/Puppet Labs/Puppet Enterprise",
            ),
        ),
        # Reached over SSH.
        Host(
            name="win03",
            hostname="win03",
            certname="win03.lab.test",
            service_manager="windows",
            ssh_user="Administrator",
            master="master",
            windows=Windows(
                version="win2003",
                data="Documents and Settings/All Users/Application Data/PuppetLabs",
                program="Program Files/Puppet Labs/Puppet",
            ),
        ),
        Host(
            name="auto01",
            hostname="auto01.lab.test",
            certname="auto01.lab.test",
            service_manager="systemd",
            master="master-init",
        ),
        # Other generations of PE: they come up where they are named.
        Host(
            name="master-38",
            hostname="master-38.lab.test",
            certname="master-38.lab.test",
            alt_names=("puppet", "puppet.lab.test"),
            service_manager="systemd",
            only_stand_ins=True,
            generation=PE_3_8,
        ),
        Host(
            name="master-2016",
            hostname="master-2016.lab.test",
            certname="master-2016.lab.test",
            alt_names=("puppet", "puppet.lab.test"),
            service_manager="systemd",
            only_stand_ins=True,
            generation=PE_2016_2,
        ),
        # For what their documents leave on a master: they have no agents.
        *(
            Host(
                name=f"master-{generation.name.replace('.', '-')}",
                hostname=f"master-{generation.name.replace('.', '-')}.lab.test",
                certname=f"master-{generation.name.replace('.', '-')}.lab.test",
                alt_names=("puppet", "puppet.lab.test"),
                service_manager="systemd",
                only_stand_ins=True,
                generation=generation,
            )
            for generation in (PE_2015_2, PE_2015_3, PE_2016_1)
        ),
        Host(
            name="agent06",
            hostname="agent06.lab.test",
            certname="agent06.lab.test",
            service_manager="init",
            sh="bash",
            master="master-2016",
            generation=PE_2016_2,
        ),
        Host(
            name="agent07",
            hostname="agent07.lab.test",
            certname="agent07.lab.test",
            service_manager="systemd",
            master="master-2016",
            generation=PE_2016_2,
        ),
        # Of the next generation than its master, which the vendor supports.
        Host(
            name="agent08",
            hostname="agent08.lab.test",
            certname="agent08.lab.test",
            service_manager="systemd",
            master="master-38",
            generation=PE_2016_2,
        ),
        # Open source, of Debian's own packages.
        Host(
            name="puppet5",
            hostname="puppet5.lab.test",
            certname="puppet5.lab.test",
            alt_names=("puppet", "puppet.lab.test"),
            service_manager="systemd",
            only_stand_ins=True,
            generation=DEBIAN_5,
        ),
        Host(
            name="agent09",
            hostname="agent09.lab.test",
            certname="agent09.lab.test",
            service_manager="systemd",
            master="puppet5",
            generation=DEBIAN_5,
        ),
        # Of another vendor than its master, as agents are that have stayed when a site moved.
        Host(
            name="agent10",
            hostname="agent10.lab.test",
            certname="agent10.lab.test",
            service_manager="init",
            sh="bash",
            master="puppet5",
        ),
        # Puppet Server with its own CA.
        Host(
            name="puppet7",
            hostname="puppet7.lab.test",
            certname="puppet7.lab.test",
            alt_names=("puppet", "puppet.lab.test"),
            service_manager="systemd",
            only_stand_ins=True,
            generation=DEBIAN_7,
        ),
        Host(
            name="agent11",
            hostname="agent11.lab.test",
            certname="agent11.lab.test",
            service_manager="systemd",
            master="puppet7",
            generation=DEBIAN_7,
        ),
        # Of an older generation than its master.
        Host(
            name="agent12",
            hostname="agent12.lab.test",
            certname="agent12.lab.test",
            service_manager="systemd",
            ssh_user="admin",
            master="puppet7",
            generation=DEBIAN_5,
        ),
    )
}


def named_hosts(names: Sequence[str]) -> list[Host]:
    """The hosts of these names, masters first; if none is named, those of PE 3.7.

    :raises LabError: there is no such host.
    """
    unknown = [name for name in names if name not in HOSTS]
    if unknown:
        raise LabError(f"no such host: {', '.join(unknown)}; there are {', '.join(HOSTS)}")
    if not names:
        masters = {host.name for host in HOSTS.values() if host.generation == PE_3_7}
        return [host for host in HOSTS.values() if (host.master or host.name) in masters]
    return [host for host in HOSTS.values() if host.name in names]
