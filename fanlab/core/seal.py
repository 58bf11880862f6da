"""Arguments as they are kept and sent: scalars as they are, other literals stored, Outputs by reference."""

from __future__ import annotations

import datetime as dt
import decimal
import fractions
import pathlib
import uuid
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from . import origin
from .expand import LONGEST_TEXT, Items
from .pending import Branches, Flattened, Gathered, Grouped, Output

_PLAIN = (type(None), bool, int, float, complex)
_KEYS = {*_PLAIN, str, bytes}
_VALUES = (
    dt.date,
    dt.time,
    dt.timedelta,
    decimal.Decimal,
    fractions.Fraction,
    pathlib.PurePath,
    uuid.UUID,
)


class Stored(NamedTuple):
    """A value that is kept: its bytes where they are few, else the digest of an artifact file."""

    type: str
    nbytes: int
    hash: str  # of the value's content: equal values have one, whatever bytes they are kept as
    inline: bytes | None
    fields: tuple[tuple[str, Any], ...] = ()  # of a dict, NamedTuple or dataclass in a file: scalars, else Piece
    digest: str = ""  # of the bytes in its file, which is named by it; "" where that is the hash


class Piece(NamedTuple):
    """A field that is not a scalar, inside a stored value."""

    type: str


class Ref(NamedTuple):
    """The value of another node: of one branch, or of all of them as a list or dict."""

    node: str
    branch: int | None
    output: str | None  # None: the whole value
    many: bool = False
    kind: str = ""  # of all of them: "successful" ones, "results" as a table, their "items", or "groups" of them
    at_least: float = 0.0  # share of successful ones
    by: str = ""  # the argument that groups them


class Packed(NamedTuple):
    """A reference made ready to be sent: the stored outputs of one branch, and which of them is meant."""

    outputs: bytes
    output: str | None


class Unsendable(NamedTuple):
    """In place of a literal that cannot be sent: why, so that just the branches that need it fail."""

    reason: str


_LEAVES = (Stored, Ref, Packed, Piece, Unsendable)


def is_scalar(value: Any) -> bool:
    """Whether a value is shown in a table as it is: numbers, short text, dates, paths and the like."""
    kind = type(value)
    if kind in _PLAIN:
        return True
    if kind is str or kind is bytes:
        return len(value) <= LONGEST_TEXT
    if isinstance(value, _VALUES):
        return not origin.is_own(kind.__module__)
    return kind.__module__ == "numpy" and getattr(value, "ndim", None) == 0 and kind.__name__ != "ndarray"


def rebuild(value: Any, leaf: Callable[[Any], Any], whole: Callable[[Any], Any] | None = None) -> Any:
    """Lists, tuples, NamedTuples, dicts and Items anew, all the way down, with `leaf` applied to everything else.

    What holds something of the user's that is no leaf, the keys of a dict or the class of a NamedTuple, is handed
    to `whole` once it is made.
    """
    kind = type(value)
    if kind is list:
        return [rebuild(item, leaf, whole) for item in value]
    if kind is tuple:
        return tuple([rebuild(item, leaf, whole) for item in value])
    if kind is dict:
        made: Any = {key: rebuild(item, leaf, whole) for key, item in value.items()}
        return made if whole is None or has_plain_keys(made) else whole(made)
    if kind is Items:
        made = value if value.plain else Items(tuple([rebuild(i, leaf, whole) for i in value.values]), value.keys)
        return made if whole is None or has_plain_keys(made.keys or ()) else whole(made)
    if isinstance(value, tuple) and hasattr(value, "_fields") and not isinstance(value, _LEAVES):
        made = kind(*(rebuild(item, leaf, whole) for item in value))
        return made if whole is None else whole(made)
    return leaf(value)


def has_plain_keys(keys: Iterable[Any]) -> bool:
    """Whether keys are texts, numbers and the like, and tuples of them: what goes anywhere as it is."""
    return all(type(key) in _KEYS or (type(key) is tuple and has_plain_keys(key)) for key in keys)


def seal(value: Any, keep: Callable[[Any], Stored | Unsendable], whole: Callable[[Any], Any] | None = None) -> Any:
    """A recorded argument with each literal that is no scalar handed to `keep`, and Outputs made Refs.

    What `rebuild` hands to `whole` is kept as that returns it.
    """

    def leaf(found: Any) -> Any:
        if is_scalar(found) or isinstance(found, _LEAVES):
            return found
        if isinstance(found, Output):
            return Ref(found._node, found._branch, found._output)
        if isinstance(found, Gathered):
            return Ref(found._node, None, found._output, many=True, kind=found._kind, at_least=found._at_least)
        if isinstance(found, Flattened):
            return Ref(found._node, None, found._output, many=True, kind="items")
        if isinstance(found, Grouped):
            return Ref(found._node, None, found._output, many=True, kind="groups", by=found._by)
        if isinstance(found, Branches):
            return Ref(found._node, None, found._output, many=True)
        if hasattr(type(found), "fanlab_items"):  # the branches of an earlier run, as a fan-in receives them
            items = found.fanlab_items()
            return list(items.values) if items.keys is None else dict(zip(items.keys, items.values, strict=True))
        return keep(found)

    return rebuild(value, leaf, whole)


def unsendable(value: Any) -> str | None:
    """The reason of the first part of a sealed value that cannot be sent, or None."""
    found: list[str] = []

    def look(leaf: Any) -> None:
        if isinstance(leaf, Unsendable):
            found.append(leaf.reason)

    rebuild(value, look)
    return found[0] if found else None
