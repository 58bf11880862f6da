"""The values of `-p name=value`."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

import typer

from ..errors import NotFound, listed, near

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_WORDS = {"true": True, "false": False, "null": None}


def pairs(words: Iterable[str]) -> dict[str, str]:
    """Names and what was written for them. Raises typer.BadParameter for a word without `=` or a name given twice."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not name.isidentifier():
            raise typer.BadParameter(f"{word!r} is not name=value, as in -p alpha=0.1")
        if name in found:
            raise typer.BadParameter(f"'{name}' is given twice")
        found[name] = text
    return found


def value(text: str) -> Any:
    """What a person meant: a Python literal, `true`, `false` or `null`, and else the text itself.

    >>> value("0.1"), value("[1, 2]"), value("true"), value("houses.csv")
    (0.1, [1, 2], True, 'houses.csv')
    """
    if text in _WORDS:
        return _WORDS[text]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def known(given: Iterable[str], names: Iterable[str], owner: str) -> None:
    """Raise NotFound for a name that `owner` has no parameter for, with the nearest ones."""
    names = list(names)
    for name in given:
        if name not in names:
            do = near(name, names) or (f"its parameters are {listed(names)}" if names else "it has no parameters")
            raise NotFound(f"{owner} has no parameter '{name}'", do=do)


def span(text: str | None) -> float | None:
    """Seconds that a time as `30d`, `12h`, `90m` or `3600` stands for. Raises typer.BadParameter for anything else.

    >>> span("12h"), span("1.5m"), span("3600"), span(None)
    (43200.0, 90.0, 3600.0, None)
    """
    if text is None:
        return None
    number, unit = (text[:-1], text[-1:]) if text[-1:] in _SECONDS else (text, "s")
    try:
        found = float(number) * _SECONDS[unit]
    except ValueError:
        found = -1.0
    if not 0 <= found < float("inf"):
        raise typer.BadParameter(f"{text!r} is no time: write it as 30d, 12h, 90m or 3600s")
    return found
