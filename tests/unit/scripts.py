"""Every script that the suite can send to a host with a POSIX shell, found in its source.

Scripts are sent by a handful of functions only, so that whoever reads the calls of these reads all
scripts. What this cannot read makes a test fail: a new script is looked at, or noticed.
"""

from __future__ import annotations

import ast
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from pyinfra.api import StringCommand

from facts.host import WhoAndWhen
from facts.script import answer_script, record_script, shell
from facts.together import Together
from operations.step import LookingCommand, changing
from procedures.host import Look

ROOT = Path(__file__).resolve().parents[2]
SENDERS = {"shell": 0, "answer_script": 0, "record_script": 0, "changing": 1, "Typed": 0}
"""The functions that send a script, and which of their arguments it is."""

PASSED_ON = {"_changing": 0, "_looking": 0}
"""Methods that hand on to one of those what they are called with."""

_SENT_BY: dict[str, Callable[[str], StringCommand]] = {
    "shell": shell,
    "answer_script": answer_script,
    "record_script": record_script,
    "changing": lambda script: changing("/lock", script),
    "Typed": lambda script: changing("/lock", script),
    "_changing": lambda script: changing("/lock", script),
    "_looking": lambda script: changing("/lock", script),
}


@dataclass(frozen=True)
class Script:
    """`place`: file and line. `text`: what a host's shell parses, all of it."""

    place: str
    text: str


class UnreadableError(Exception):
    """A script that is not made of literals and constants of its module."""


def sources() -> list[Path]:
    """The modules that have scripts for POSIX shells, except the one that defines what sends."""
    return [
        path
        for folder in ("facts", "operations", "operations/authority", "procedures")
        for path in sorted((ROOT / folder).glob("*.py"))
        if path != ROOT / "facts/script.py"
    ]


@cache
def scripts() -> tuple[Script, ...]:
    """Every script, as it is sent.

    :raises UnreadableError: there is one that cannot be told from the source.
    """
    return tuple(script for path in sources() for script in _scripts_of(path))


@cache
def lines() -> tuple[Script, ...]:
    """What the shell parses that pyinfra runs: whole commands, with their quotes."""
    alone = changing("/a 'lock'", "echo \"it's\"; fail '!'", "it's", "a\nb")
    look = Look([(WhoAndWhen, {}), (WhoAndWhen, {})], lambda: None, lambda answers: None)
    together = Together().command(look.questions)
    commands = {"change": alone, "look": LookingCommand(alone, look), "together": together}
    return tuple(Script(name, command.get_raw_value()) for name, command in commands.items())


def _scripts_of(path: Path) -> Iterator[Script]:
    tree = ast.parse(path.read_text())
    names = vars(import_module(".".join(path.relative_to(ROOT).with_suffix("").parts)))
    handed_on = {id(node) for node in _parameters_called_script(tree)}
    for node in ast.walk(tree):
        sender = _name(node.func) if isinstance(node, ast.Call) else None
        position = {**SENDERS, **PASSED_ON}.get(sender or "")
        if not isinstance(node, ast.Call) or sender is None or position is None:
            continue
        place = f"{path.relative_to(ROOT)}:{node.lineno}"
        argument = node.args[position]
        # What hands on what it was called with, or was `Typed`, is read where it is.
        typed = isinstance(argument, ast.Attribute) and argument.attr == "script"
        if id(argument) in handed_on or typed:
            continue
        for text in _texts(argument, names, place):
            for part in _parsed(_SENT_BY[sender](text)):
                yield Script(place, part)


def _parameters_called_script(tree: ast.AST) -> Iterator[ast.Name]:
    """Where functions use the parameter of that name."""
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef):
            continue
        if not any(argument.arg == "script" for argument in function.args.args):
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Name) and node.id == "script":
                yield node


def _texts(node: ast.expr, names: dict[str, Any], place: str) -> list[str]:
    """What an expression can come to, whichever way its conditions go."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [
            left + right
            for left in _texts(node.left, names, place)
            for right in _texts(node.right, names, place)
        ]
    if isinstance(node, ast.IfExp):
        return [*_texts(node.body, names, place), *_texts(node.orelse, names, place)]
    try:
        text = eval(compile(ast.Expression(node), place, "eval"), dict(names))
    except NameError as error:
        raise UnreadableError(f"{place}: {error}; make it a constant of the module") from error
    assert isinstance(text, str)
    return [text]


def _parsed(command: StringCommand) -> Iterator[str]:
    """What is parsed on its way: `sh -c TEXT pe-recert …`, for a change with one more text."""
    words = shlex.split(command.get_raw_value())
    text, arguments = words[words.index("-c") + 1], words[words.index("-c") + 3 :]
    yield text
    if '"$script"' in text:
        yield arguments[1]


def senders_elsewhere() -> list[str]:
    """Where a command is made other than by a call that `scripts` reads."""
    found = []
    for path in sources():
        tree = ast.parse(path.read_text())
        called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        told = {id(node.returns) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        for node in ast.walk(tree):
            name = _name(node)
            if name in SENDERS or name in PASSED_ON:
                if isinstance(node, ast.expr) and id(node) not in called | told:
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno} {name}")
            elif name in {"StringCommand", "run_shell_command"} and id(node) in called:
                found.append(f"{path.relative_to(ROOT)} {name}")
    return found


def _name(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else None


# A lexer, as far as the rules for scripts need one


@dataclass(frozen=True)
class Token:
    """`kind`: "word", "operator", "comment" or "line". `depth`: in how many substitutions."""

    kind: str
    text: str
    depth: int


OPERATORS = ("&&", "||", ";;", "<<", ">>", ">&", "<&", ";", "|", "&", "(", ")", "<", ">")


def tokens(text: str) -> list[Token]:
    """The tokens of a script, those of its command substitutions where they end."""
    found: list[Token] = []
    _Lexer(text, found).read(0, 0, nested=False)
    return found


class _Lexer:
    def __init__(self, text: str, found: list[Token]) -> None:
        self.text = text
        self.found = found
        self.heredocs: list[str] = []

    def read(self, at: int, depth: int, nested: bool) -> int:
        """Up to the end, or up to the parenthesis that ends a substitution."""
        text, parentheses = self.text, 0
        while at < len(text):
            char = text[at]
            if char == "\n":
                self.found.append(Token("line", "\n", depth))
                at = self._past_heredocs(at + 1)
            elif char in " \t":
                at += 1
            elif text.startswith("\\\n", at):
                at += 2
            elif char == "#":
                end = (text + "\n").index("\n", at)
                self.found.append(Token("comment", text[at:end], depth))
                at = end
            elif operator := next((o for o in OPERATORS if text.startswith(o, at)), None):
                if operator == ")" and nested and parentheses == 0:
                    return at + 1
                parentheses += {"(": 1, ")": -1}.get(operator, 0)
                self.found.append(Token("operator", operator, depth))
                at += len(operator)
                if operator == "<<":
                    end = at + len(text[at:].split(None, 1)[0])
                    self.heredocs.append(text[at:end])
                    at = end
            else:
                at = self._word(at, depth)
        return at

    def _past_heredocs(self, at: int) -> int:
        for end in self.heredocs:
            at = self.text.index(f"\n{end}\n", at - 1) + len(end) + 1
        self.heredocs.clear()
        return at

    def _word(self, at: int, depth: int) -> int:
        text, begin = self.text, at
        while at < len(text) and text[at] not in " \t\n;|&()<>":
            if text[at] == "'":
                at = text.index("'", at + 1) + 1
            elif text[at] == '"':
                at = self._quoted(at + 1, depth)
            else:
                at = self._expanded(at, depth)
        self.found.append(Token("word", text[begin:at], depth))
        return at

    def _quoted(self, at: int, depth: int) -> int:
        while self.text[at] != '"':
            at = self._expanded(at, depth)
        return at + 1

    def _expanded(self, at: int, depth: int) -> int:
        """Past one character, or what stands for something else."""
        text = self.text
        if text[at] == "\\":
            return at + 2
        if text.startswith("$((", at):
            at += 3
            while not text.startswith("))", at):
                at = self._expanded(at, depth)
            return at + 2
        if text.startswith("$(", at):
            return self.read(at + 2, depth + 1, nested=True)
        if text.startswith("${", at):
            at += 2
            while text[at] != "}":
                at = self._quoted(at + 1, depth) if text[at] == '"' else self._expanded(at, depth)
            return at + 1
        return at + 1
