"""Which failures are of one kind: those of one step, one class, and one line of the user's."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from ..place import is_own
from .events import Failure, Frame
from .record import NodeRecord


class Kind(NamedTuple):
    """What failures of one kind share, whatever their messages say."""

    step: str
    error: str  # the exception's class
    line: Hashable  # where it was raised


def kind(node: NodeRecord, failure: Failure) -> Kind:
    """The kind of a branch's failure."""
    frame = raised(failure)
    return Kind(node.info.step, failure.type, frame and (frame.file, frame.line))


def raised(failure: Failure) -> Frame | None:
    """The innermost frame of the user's own code, else the innermost one."""
    own = (frame for frame in reversed(failure.frames) if is_own(frame.file))
    return next(own, failure.frames[-1] if failure.frames else None)
