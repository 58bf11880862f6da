"""What lets a type checker see through steps: a step's call has the type of its value, and takes what has none yet.

While a body is recorded a call gives an Output, elsewhere the value; a checker cannot tell where it reads, so it
sees the value. Output and Branches inherit from Any for it alone: they may be passed wherever a value may.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import ParamSpec, TypeVar  # which have defaults; nothing of it is there when it runs

    P = ParamSpec("P", default=...)
    R = TypeVar("R", default=Any)
    R_co = TypeVar("R_co", default=Any, covariant=True)

    class Passable(Any):  # type: ignore[misc]
        """What may be passed wherever a value may."""
else:
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")
    R = TypeVar("R")
    R_co = TypeVar("R_co", covariant=True)

    class Passable:
        """What may be passed wherever a value may."""

        __slots__ = ()
