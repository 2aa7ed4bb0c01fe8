"""The command line: python3 -m lab COMMAND."""

import argparse
import os
import signal
import sys

from lab.containers import build_images, down, reset, status, up
from lab.hosts import HOSTS
from lab.progress import LabError, say
from lab.reaching import cut, exec_argv, mend, ssh_argv, switch_off, switch_on
from lab.services import KINDS


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m lab",
        description="The lab's hosts on this machine.",
        epilog="PE_LAB=NAME in the environment is a second lab, with all its own;"
        " PE_LAB_SERVICES=KIND stands for --services KIND.",
    )
    commands = parser.add_subparsers(dest="command", required=True)

    command = commands.add_parser("up", help="build what is missing, start what is not running")
    command.add_argument(
        "hosts",
        nargs="*",
        metavar="HOST",
        help=f"of {', '.join(HOSTS)}; if none, all of PE 3.7",
    )

    _add_services(command)

    command = commands.add_parser(
        "images", help="make the images that are not there; start nothing"
    )
    command.add_argument("hosts", nargs="*", metavar="HOST", help="all if none")

    command = commands.add_parser("down", help="remove the containers and their network")
    command.add_argument("--images", action="store_true", help="remove the images too")

    command = commands.add_parser("reset", help="put hosts back to their seeded state")
    command.add_argument("hosts", nargs="+", metavar="HOST")
    _add_services(command)

    commands.add_parser("status", help="what is up, and which services are not")

    for name, text in (
        ("off", "shut a host down; its disk stays"),
        ("on", "boot it again (`up` would put it to its seeded state)"),
        ("cut", "cut an agent off from its master, but not from SSH"),
        ("mend", "undo that"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("host", metavar="HOST")

    for name, text in (
        ("ssh", "a session or a command over SSH"),
        ("exec", "a command as root, past SSH"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("host", metavar="HOST")
        command.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")
    return parser


def _add_services(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--services",
        choices=KINDS,
        help="what masters and with them their agents run: the real programs, or stand-ins that"
        " start at once (without it: what they run already, else the real ones)",
    )


def _show_status() -> None:
    found = status()
    # Whoever reads (`| head`) may have had enough.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    for name, host in found.items():
        services = (
            "" if host.state in ("down", "off") else f"not running: {host.services_down or 'none'}"
        )
        print(f"{name:<14} {host.state:<9} {host.services:<10} {host.ssh:<24} {services}".rstrip())


def main() -> None:
    """Do what the command line says."""
    arguments = _parser().parse_args()
    try:
        match arguments.command:
            case "up":
                up(arguments.hosts, arguments.services)
                say("the lab is up")
            case "images":
                build_images(arguments.hosts)
                say("all images are there")
            case "down":
                down(images=arguments.images)
            case "reset":
                reset(*arguments.hosts, services=arguments.services)
            case "off":
                switch_off(arguments.host)
            case "on":
                switch_on(arguments.host)
            case "cut":
                cut(arguments.host)
            case "mend":
                mend(arguments.host)
            case "status":
                _show_status()
            case "ssh":
                argv = ssh_argv(arguments.host, arguments.words)
                os.execvp(argv[0], argv)
            case "exec":
                argv = exec_argv(arguments.host, arguments.words)
                os.execvp(argv[0], argv)
    except LabError as error:
        sys.exit(f"lab: {error}")


if __name__ == "__main__":
    main()
