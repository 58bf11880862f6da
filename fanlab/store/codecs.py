"""Values to bytes and back: pickle 5, with large buffers kept apart so that they can be mapped."""

from __future__ import annotations

import dataclasses
import io
import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import xxhash

from ..core.seal import Piece, Stored, is_scalar
from . import travel

# Above this many bytes a file is faster than a database row (crossing measured near 50 kB).
INLINE_BYTES = 64 * 1024
_BUFFER_BYTES = 4096  # a smaller buffer stays in the pickle: a page of its own would cost more than it saves
_FAST = {type(None), bool, int, float, str}
_TEXT = {str}
_TEXT_END = pickle.MEMOIZE + pickle.STOP
_SCALAR = 1  # the first byte of the short form; a pickle begins with 0x80


def dump(value: Any) -> tuple[bytes, list[memoryview]]:
    """A value's pickle and the large buffers that belong to it. Raises whatever pickling it raises.

    The user's own code in it goes by value, since its name may mean something else in another process.
    """
    if type(value) in _FAST:
        return pickle.dumps(value, 5), []
    buffers: list[memoryview] = []

    def apart(buffer: pickle.PickleBuffer) -> bool:
        try:
            raw = buffer.raw()
        except BufferError:  # not contiguous
            return True
        if raw.nbytes < _BUFFER_BYTES:
            return True
        buffers.append(raw)
        return False

    def afresh(pickled: Callable[..., bytes], **options: bool) -> bytes:
        buffers.clear()
        return pickled(value, apart, **options)

    ways = [
        lambda: afresh(travel.by_name), lambda: afresh(travel.by_value), lambda: afresh(travel.by_value, modules=False)
    ]  # fmt: skip
    return travel.first_of(ways), buffers


def load(body: bytes | memoryview, buffers: list[memoryview] | None = None) -> Any:
    """The value of what `dump` made. Raises whatever unpickling it raises."""
    return pickle.loads(body, buffers=buffers or ())


def glimpse(body: bytes) -> Any:
    """The value of a pickle with a stand-in for each object whose class is not there: to look at, not to use.

    Raises whatever unpickling it raises all the same.
    """
    return _Glimpse(io.BytesIO(body)).load()


class _Glimpse(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """The class, or one of its name that takes anything."""
        try:
            return super().find_class(module, name)
        except (ImportError, AttributeError):
            return type(name.rpartition(".")[2], (_StandIn,), {"__module__": module, "__qualname__": name})


class _StandIn:
    """In place of an object whose class is gone."""

    def __new__(cls, *_: Any, **__: Any) -> Any:
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


def digest(body: bytes | memoryview, buffers: list[memoryview] | None = None) -> str:
    """The hash of stored bytes, 32 hexadecimal digits."""
    if not buffers:
        return xxhash.xxh3_128_hexdigest(body)
    state = xxhash.xxh3_128(body)
    for buffer in buffers:
        state.update(buffer)
    return state.hexdigest()


def short_digest(data: bytes) -> bytes:
    """The digest of a few bytes, 16 bytes long."""
    return xxhash.xxh3_128_digest(data)


def pack(outputs: Mapping[str, Stored]) -> bytes:
    """A branch's outputs as one row's bytes, opaque to all who only pass them on."""
    return pickle.dumps(tuple((name, *stored) for name, stored in outputs.items()), 5)


def pack_scalar(name: str, value: Any) -> bytes | None:
    """A shorter form of what `pack` makes of one plain value; None for any other value.

    Packing, hashing and storing would be most of the work of a very short branch otherwise: here the
    hash and the type are made when somebody asks.
    """
    if type(value) not in _FAST:
        return None
    body = pickle.dumps(value, 5)
    return short_form(name) + body if len(body) <= INLINE_BYTES else None


def short_form(name: str) -> bytes:
    """What the short form of an output of this name begins with; the value's pickle follows."""
    return b"%c%b\n" % (_SCALAR, name.encode())


def unpack(packed: bytes) -> dict[str, Stored]:
    """The outputs that `pack` or `pack_scalar` packed, by name."""
    if packed[0] == _SCALAR:
        name, _, body = packed[1:].partition(b"\n")
        return {name.decode(): Stored(type_name(pickle.loads(body)), len(body), digest(body), body)}
    return {item[0]: _tuple(Stored, item[1:]) for item in pickle.loads(packed)}


def sole_inline(packed: bytes) -> bytes | None:
    """The pickle of what `pack` packed, if it is one small value; `unpack` tells all that there is to know."""
    if packed[0] == _SCALAR:
        return None
    items = pickle.loads(packed)
    return items[0][_INLINE] if len(items) == 1 else None


_INLINE = 1 + Stored._fields.index("inline")
_tuple = tuple.__new__  # a NamedTuple's own way takes as long as all the rest


def scalar(packed: bytes) -> tuple[bool, Any]:
    """Whether outputs are one plain value, and that value."""
    if packed[0] != _SCALAR:
        return False, None
    return True, pickle.loads(packed[packed.index(b"\n") + 1 :])


def is_scalar_form(outputs: Sequence[bytes]) -> bool:
    """Whether each branch's outputs are one plain value."""
    return all(packed[0] == _SCALAR for packed in outputs)


def may_name_files(outputs: Sequence[bytes]) -> list[int]:
    """The branches whose outputs may be a text, or are more than one plain value.

    Of plain values only a text's pickle ends with its being remembered.
    """
    return [i for i, packed in enumerate(outputs) if packed[0] != _SCALAR or packed.endswith(_TEXT_END)]


def type_name(value: Any) -> str:
    """A value's class as a person writes it: `float`, `numpy.ndarray`, `sklearn.svm.SVC`."""
    kind = type(value)
    package = kind.__module__.partition(".")[0]
    return kind.__qualname__ if package in ("builtins", "__main__") else f"{package}.{kind.__qualname__}"


def fields_of(value: Any) -> dict[str, Any] | None:
    """The fields of a dict with text keys, a NamedTuple or a dataclass; None for anything else."""
    if type(value) is dict:
        return value if value and _TEXT.issuperset(map(type, value)) else None
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return dict(zip(value._fields, value, strict=True))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return None


def summary(value: Any) -> tuple[tuple[str, Any], ...]:
    """What a table shows of a value that is too large to be loaded for it: its fields."""
    fields = fields_of(value) or {}
    return tuple((name, item if is_scalar(item) else Piece(type_name(item))) for name, item in fields.items())
