"""The scripts, held to what every shell understands that a host of that time has as `sh`."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from tests.unit.scripts import Token, lines, scripts, senders_elsewhere, tokens

SHELLS = {
    "dash": ["dash"],
    "bash --posix": ["bash", "--posix"],
    "bash as sh": ["sh"],
    "mksh": ["mksh"],
    "ksh93": ["ksh93"],
    "posh": ["posh"],
    "yash": ["yash"],
    "busybox": ["busybox", "sh"],
}

TAKEN = {
    # Aliases of ksh93 and of mksh: a function of that name is never called there.
    *("2d", "autoload", "command", "compound", "fc", "float", "functions", "hash", "history"),
    *("integer", "local", "login", "nameref", "nohup", "r", "redirect", "source", "stop"),
    *("suspend", "times", "type"),
    # Built in, and not to be replaced.
    *("break", "continue", "eval", "exec", "exit", "export", "readonly", "return", "set", "shift"),
    *("trap", "unset", "bg", "cd", "fg", "getopts", "jobs", "kill", "let", "print", "pwd", "read"),
    *("select", "test", "time", "typeset", "ulimit", "umask", "wait", "whence"),
}

SEPARATORS = {"&&", "||", ";;", ";", "&", "(", ")"}
OPENING = {"{", "do", "then", "else", "elif", "if", "while", "until"}


def test_every_script_is_known() -> None:
    """Commands are made in three modules, and what those are called with can be read."""
    assert sorted(senders_elsewhere()) == [
        "facts/together.py StringCommand",
    ]
    places = {script.place.partition(":")[0] for script in scripts()}
    assert {"facts/ssl.py", "facts/credential_files.py", "operations/posix.py"} <= places
    assert len(scripts()) > 70


@pytest.mark.parametrize("name", SHELLS)
def test_every_script_is_understood(name: str, tmp_path: Path) -> None:
    argv = SHELLS[name]
    if name == "bash as sh":
        (tmp_path / "sh").symlink_to(shutil.which("bash") or "bash")
        argv = [str(tmp_path / "sh")]
    elif shutil.which(argv[0]) is None:
        pytest.skip(f"{argv[0]} is not installed here; the lab has it")
    path = tmp_path / "script"
    refused = []
    for script in dict.fromkeys((*scripts(), *lines())):
        path.write_text(script.text)
        done = subprocess.run([*argv, "-n", str(path)], capture_output=True, text=True)
        if done.returncode != 0:
            refused.append(f"{script.place}: {done.stderr}")
    assert refused == []


def broken(rule: str) -> Iterator[str]:
    for script in scripts():
        for found in RULES[rule](tokens(script.text)):
            yield f"{script.place}: {found}"


def without_parenthesis(read: list[Token]) -> Iterator[str]:
    """Patterns of a `case`: bash 3.2 takes their parenthesis for the end of a substitution."""
    read = [token for token in read if token.kind in ("word", "operator")]
    after_case = False
    for token, following in pairwise(read):
        after_case = after_case or token.text == "case"
        begins = token.text == ";;" or (after_case and token.text == "in")
        if begins and following.text not in ("(", "esac"):
            yield following.text
        after_case = after_case and token.text != "in"


def within_substitutions(read: list[Token]) -> Iterator[str]:
    """Comments: bash up to 5.1 looks for quotes and parentheses in them."""
    yield from (token.text for token in read if token.kind == "comment" and token.depth)


def case_within_substitutions(read: list[Token]) -> Iterator[str]:
    """A whole `case`, or a document, is no better there."""
    yield from (token.text for token in read if token.depth and token.text in ("case", "<<"))


def names_that_are_taken(read: list[Token]) -> Iterator[str]:
    for name, left, right in zip(read, read[1:], read[2:], strict=False):
        if (left.text, right.text) == ("(", ")") and name.text in TAKEN:
            yield name.text


def stages_that_nobody_looks_at(read: list[Token]) -> Iterator[str]:
    """A pipeline tells the status of its last stage only. What reads in a loop has none to tell."""
    read = [token for token in read if token.kind != "comment"]
    for position, token in enumerate(read):
        if token.text != "|" or token.kind != "operator" or is_pattern(read, position):
            continue
        after = next(t for t in read[position + 1 :] if t.kind != "line")
        before = first_word_before(read, position)
        for stage in (before, after):
            if stage.text not in ("stage", "while"):
                yield stage.text


def is_pattern(read: list[Token], position: int) -> bool:
    """Whether a `|` stands between patterns of a `case`."""
    for token in reversed(read[:position]):
        if token.kind == "operator" and token.text != "|":
            return token.text == "("
        if token.kind == "line":
            return False
    return False


def first_word_before(read: list[Token], position: int) -> Token:
    depth = read[position].depth
    first = read[position]
    for token in reversed(read[:position]):
        if token.depth > depth:
            continue
        ends = token.kind == "line" and first.text != "|"
        if ends or token.depth < depth or token.text in SEPARATORS | OPENING | {"|"}:
            break
        first = token if token.kind == "word" else first
    return first


def of_bash_alone(read: list[Token]) -> Iterator[str]:
    for token in read:
        if token.text in ("[[", "function", "declare", "echo -e", "pipefail") or (
            token.kind == "word" and re.match(r"\$'|.*\$\{\w+(//|\^|,)", token.text)
        ):
            yield token.text


RULES = {
    "a parenthesis before every pattern": without_parenthesis,
    "no comment within a substitution": within_substitutions,
    "no case and no document within a substitution": case_within_substitutions,
    "no function with a name that is taken": names_that_are_taken,
    "no stage of a pipeline that nobody looks at": stages_that_nobody_looks_at,
    "nothing that only bash has": of_bash_alone,
}


@pytest.mark.parametrize("rule", RULES)
def test_rules_for_what_these_shells_cannot_show(rule: str) -> None:
    assert list(dict.fromkeys(broken(rule))) == []


@pytest.mark.parametrize(
    ("rule", "script"),
    [
        ("a parenthesis before every pattern", "case $1 in\n    a) b ;;\nesac"),
        ("a parenthesis before every pattern", "case $1 in (a) b ;; c) d ;; esac"),
        ("no comment within a substitution", 'a "$(b\n# it\'s\nc)"'),
        ("no case and no document within a substitution", "a=$(case $1 in (b) ;; esac)"),
        ("no case and no document within a substitution", "a=$(cat <<E\nb\nE\n)"),
        ("no function with a name that is taken", "stop() { :; }"),
        ("no stage of a pipeline that nobody looks at", "stage a | b"),
        ("no stage of a pipeline that nobody looks at", "x=$(a '|' | stage b)"),
        ("no stage of a pipeline that nobody looks at", "if a; then b | stage c; fi"),
        ("no stage of a pipeline that nobody looks at", "stage a |\n    b"),
        ("nothing that only bash has", "if [[ a ]]; then :; fi"),
    ],
)
def test_what_breaks_a_rule_is_seen(rule: str, script: str) -> None:
    assert list(RULES[rule](tokens(script)))


@pytest.mark.parametrize("rule", RULES)
def test_what_keeps_the_rules_is_left_alone(rule: str) -> None:
    script = r"""
stopped() { case $1 in (a|b) stage c "$(d 'e | f')" | while read -r x; do y; done ;; esac; }
# a comment (with a | and it's) outside
{ stage a | stage b '
    | # no comment
'; } <"$1" || c "${d%%[!0-9]*}" "$((1 + 2))"
lines() { cat <<END
$1 | case )
END
}
"""
    assert list(RULES[rule](tokens(script))) == []
