"""Several questions in one command: what a host is asked costs less than each time it is asked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pyinfra.api import FactBase, QuoteString, StringCommand
from pyinfra.api.exceptions import FactProcessError

NEXT = "pe-recert, next:"
"""The line before each answer and after the last."""


def is_next(line: str) -> bool:
    """Whether a line is that, be it after something that a login prints without ending its line."""
    return line.rstrip("\r").endswith(NEXT)


Question = tuple[type[FactBase[Any]], dict[str, Any]]
"""A fact and its arguments."""


class Together(FactBase[list[Any]]):
    """
    What several facts tell, in their order, in one command. If one of them fails, all do.

    + facts: pairs of a fact and its arguments

    .. code:: python

        [Identity(uid=0, clock=1448272000.0), {"pe-puppet": Service.RUNNING}]
    """

    def __init__(self) -> None:
        self._facts: list[FactBase[Any]] = []

    def command(self, facts: Iterable[Question]) -> StringCommand:
        bits: list[object] = []
        for fact, arguments in facts:
            asked = fact()
            self._facts.append(asked)
            command = asked.command(**arguments)
            assert isinstance(command, StringCommand)
            bits += ["echo", QuoteString(NEXT), "&&", *command.bits, "&&"]
        return StringCommand(*bits, "echo", QuoteString(NEXT))

    def process(self, output: list[str]) -> list[Any]:
        answers: list[list[str]] = []
        for line in output:
            if is_next(line):
                answers.append([])
            elif answers:  # before the first is what a login prints
                answers[-1].append(line)
        if len(answers) != len(self._facts) + 1:
            raise FactProcessError("the host's answer was cut short")
        return [
            fact.process(answer) if answer else fact.default()
            for fact, answer in zip(self._facts, answers, strict=False)
        ]


def names_of(fact: type[FactBase[Any]], arguments: Mapping[str, Any]) -> str:
    """What is asked, for a message."""
    if not issubclass(fact, Together):
        return fact.name
    return " and ".join(question.name for question, _ in arguments["facts"])
