"""The words of a magic's line: argparse, without abbreviations, unknown options answered with the nearest."""

from __future__ import annotations

import argparse
import keyword
import operator
from typing import Any

from IPython.core.error import UsageError
from IPython.utils._process_common import arg_split

from ..core.sizes import size
from ..core.spans import span
from ..core.spec import Step
from ..errors import StepCallError, listed, near
from ..execute.backends import check_backend


def parse(magic: Any, name: str, line: str) -> argparse.Namespace:
    """The arguments in a magic's line. Raises UsageError, which IPython shows as one line."""
    __tracebackhide__ = True
    parser = magic.parser
    parser.allow_abbrev = False
    try:
        words = arg_split(line, posix=True)
    except ValueError as error:
        raise UsageError(f"{name}: {error} in {line!r}") from None
    options = [option for action in parser._actions for option in action.option_strings]
    unknown = [word.partition("=")[0] for word in words if word.startswith("--")]
    unknown = [word for word in unknown if word not in options]
    if unknown:
        hint = near(unknown[0], [o for o in options if o.startswith("--")], quote="")
        known = f"its options are {', '.join(options)}" if options else "it takes none"
        raise UsageError(f"{name} has no option {unknown[0]}: {hint or known}")
    words_only = [word for word in words if not word.startswith("-")]
    for action, word in zip([a for a in parser._actions if not a.option_strings], words_only, strict=False):
        if action.choices is not None and word not in action.choices:
            hint = near(word, action.choices)
            raise UsageError(f"{name} has no '{word}': {hint or f'it has {listed(action.choices, 9)}'}")
    return parser.parse_args(words)  # type: ignore[no-any-return]


class Suggested(tuple[str, ...]):
    """Words that completion offers for an option whose `type` checks what is given: other words may be right too."""

    __slots__ = ()

    def __contains__(self, word: object) -> bool:
        return True


def backend_name(text: str) -> str:
    """A backend's name or a cluster's address, for argparse, which tells the error."""
    try:
        check_backend(text)
    except StepCallError as error:
        raise argparse.ArgumentTypeError(f"{error.what}; {error.do}") from None
    return text


def time(text: str) -> float:
    """A length of time like 30d in seconds, for argparse, which tells the error."""
    try:
        return span(text)
    except StepCallError as error:
        raise argparse.ArgumentTypeError(f"{error.what}: {error.do}") from None


def nbytes(text: str) -> int:
    """A size like 10GB in bytes, for argparse, which tells the error."""
    try:
        return size(text, "it")
    except StepCallError as error:
        raise argparse.ArgumentTypeError(f"{error.what}: {error.do}") from None


def number(shell: Any, name: str, option: str, text: str | None) -> int | None:
    """An option's whole number, written out or as a variable of the notebook. Raises UsageError for anything else."""
    if text is None:
        return None
    value = _looked_up(shell, text)
    try:
        return operator.index(value) if not isinstance(value, str) else int(value)
    except (TypeError, ValueError):
        raise UsageError(f"{name} {option} takes a whole number or the name of one, not {text!r}") from None


def seconds(shell: Any, name: str, option: str, text: str | None) -> float | None:
    """An option's number, written out or as a variable of the notebook. Raises UsageError for anything else."""
    if text is None:
        return None
    try:
        return float(_looked_up(shell, text))
    except (TypeError, ValueError):
        raise UsageError(f"{name} {option} takes a number or the name of one, not {text!r}") from None


def variable_name(magic: str, name: str) -> None:
    """Raise UsageError for a name that no variable can have."""
    if not name.isidentifier() or keyword.iskeyword(name):
        raise UsageError(f"{magic} takes a name that a variable can have, not {name!r}")


def bindable(shell: Any, magic: str, name: str) -> None:
    """Raise UsageError for a name that a cell's result cannot have: no variable's, or that of a step."""
    variable_name(magic, name)
    if isinstance(shell.user_ns.get(name), Step):
        raise UsageError(f"{magic} {name} would take the name of a step: give it another one")


def _looked_up(shell: Any, text: str) -> Any:
    return shell.user_ns.get(text, text) if text.isidentifier() else text
