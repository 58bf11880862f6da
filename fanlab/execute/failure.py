"""An exception as data that travels: its frames outside fanlab, and itself where it can be pickled."""

from __future__ import annotations

import traceback
from typing import Any

from ..core.events import Failure, Frame
from ..place import PACKAGE
from ..store.travel import dumps

_LARGEST_EXCEPTION = 1 << 20  # bytes; a larger one travels as its message only


def plain(text: str) -> str:
    """A text as nothing but a text: one of a class of the user's may hold what cannot be sent."""
    return str.__str__(text)


def failure_of(error: BaseException, retry_on: Any = ()) -> Failure:
    """An exception as data: its frames outside fanlab, and itself where it can be pickled."""
    frames = tuple(
        Frame(found.filename, found.lineno or 0, found.name, found.line or "")
        for found in traceback.extract_tb(error.__traceback__)
        if not found.filename.startswith(PACKAGE)
    )
    try:
        message = plain(str(error))
    except Exception:  # noqa: BLE001 (an exception whose own text fails is still a failure to tell)
        message = "(its message cannot be read)"
    try:
        pickled: bytes | None = dumps(error)
    except Exception:  # noqa: BLE001 (what cannot be pickled is told by its type and message)
        pickled = None
    if pickled is not None and len(pickled) > _LARGEST_EXCEPTION:
        pickled = None
    return Failure(plain(type(error).__qualname__), message, frames, pickled, isinstance(error, retry_on))
