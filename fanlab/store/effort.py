"""How much work one hash may take: what refers to one another in many rings would have no end."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import Unhashable

_MOST = 10_000
_thread = threading.local()


class Effort:
    """Counts how often something had to be told once more, since it refers to what is around it.

    What refers to one another in a ring is told anew wherever it is met. It is counted together for a value and for
    the values that the code in it holds.
    """

    def __init__(self) -> None:
        self._begun: dict[int, Any] = {}  # what has been begun and may be met again; kept, so that ids stay theirs
        self._again = 0
        self._of = ""  # the class of the first object in it

    def begin(self, kind: type, value: Any) -> None:
        """Something is told. Raises Unhashable where things have been told again too often."""
        if not self._of and kind.__module__ != "builtins":
            self._of = kind.__qualname__
        self._again += id(value) in self._begun
        if self._again > _MOST:
            what = self._of or kind.__qualname__
            raise Unhashable(
                f"a {what} has parts that refer to one another in too many ways to be compared",
                do=f"tell what it is with fanlab.register_hash({what}, function)",
            )
        self._begun[id(value)] = value

    def end(self, value: Any) -> None:
        """It is known from now on, and not told again."""
        self._begun.pop(id(value), None)


@contextmanager
def counted() -> Iterator[None]:
    """What this thread tells while this lasts counts as one effort, also where it begins within another."""
    before = getattr(_thread, "effort", None)
    _thread.effort = before or Effort()
    try:
        yield
    finally:
        _thread.effort = before


def effort() -> Effort:
    """The effort that is counted in this thread."""
    return _thread.effort  # type: ignore[no-any-return]
