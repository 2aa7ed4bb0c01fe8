"""Command lines for cmd.exe. What it makes of them is tested on one, end to end."""

from __future__ import annotations

import re

import pytest

from recert.commandline import LIMIT, line, lines, native, quoted, writing
from recert.errors import RecertError


def test_path_gets_backslashes_and_quotes() -> None:
    assert native("C:/Program Files (x86)/R&D^1/ä") == r'"C:\Program Files (x86)\R&D^1\ä"'


def test_percent_sign_comes_out_of_a_loop_variable() -> None:
    assert line(f"rd {native('C:/100% %PATH%')}") == (
        r'for %q in (^%) do @(rd "C:\100%q %qPATH%q")'
    )


def test_line_without_percent_signs_needs_no_loop() -> None:
    assert line("ver") == "@ver"


def test_line_never_begins_with_a_quote() -> None:
    for parts in (['"C:\\x.exe" a'], ['"C:\\%q.exe" a'], ['"C:\\x.exe"', "ver"]):
        assert line(*parts)[0] != '"'


def test_an_if_has_its_own_parentheses() -> None:
    assert line("if exist C:\\x ver", "echo y") == "@(if exist C:\\x ver)&(echo y)"


@pytest.mark.parametrize("value", ['a"b', "a\nb", "a\rb", "a\0b", "\x1b[m", "C:\\"])
def test_what_cannot_be_quoted_is_refused(value: str) -> None:
    with pytest.raises(RecertError):
        quoted(value)


def test_line_that_is_too_long_is_refused() -> None:
    assert len(line("x" * (LIMIT - 1))) == LIMIT
    with pytest.raises(RecertError, match="longer than cmd"):
        line("x" * LIMIT)


def test_many_parts_make_several_lines_in_their_order() -> None:
    parts = [f"del {native(f'C:/{number:03}%')}" + "y" * 500 for number in range(100)]
    made = list(lines(parts))
    assert len(made) > 5 and all(len(one) <= LIMIT for one in made)
    numbers = [int(n) for one in made for n in re.findall(r"C:\\(\d+)", one)]
    assert numbers == list(range(100))
    assert list(lines([])) == []


def test_text_is_written_whatever_it_holds() -> None:
    (only,) = writing("C:/a b/f.txt", 'x & y | "z" <(100%)> ^\n  end\n')
    assert only == (
        r"for %q in (^%) do @((echo x ^& y ^| ^"
        '"z^" ^<^(100%q^)^> ^^&echo   end)>"C:\\a b\\f.txt" || exit 1)'
    )


def test_long_text_is_appended() -> None:
    text = "\n".join(f"{number:04}" + "z" * 60 for number in range(400))
    made = list(writing("C:/f", text))
    assert len(made) > 3 and all(len(one) <= LIMIT for one in made)
    assert [")>>" in one for one in made] == [False] + [True] * (len(made) - 1)
    assert re.findall(r"echo (\d{4})", "".join(made)) == [f"{n:04}" for n in range(400)]


@pytest.mark.parametrize("text", ["ä", "a\n\nb", "on", " OFF ", "/?", "a\x07b"])
def test_text_that_echo_would_not_print_is_refused(text: str) -> None:
    with pytest.raises(RecertError):
        list(writing("C:/f", text))
