"""The hash of a value: of its content, the same in every process, whatever order a set or a dict happens to have."""

from __future__ import annotations

import copyreg
import datetime as dt
import decimal
import enum
import io
import pathlib
import pickle
import struct
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FunctionType, MappingProxyType, ModuleType
from typing import Any

import xxhash

from ..core import origin
from ..core.code_key import CodeKey, code_key
from ..core.code_token import outline
from ..errors import Unhashable
from .arrays import TELL, Token
from .effort import counted, effort
from .formats import Unsaved, has_format, saved

Code = Callable[[Any], str | None]  # tells functions, classes and modules; None for anything else

_FAST = {type(None), bool, int, float, str}
_PLAIN = {*_FAST, complex, bytes}
_LEAVES = {*_PLAIN, dt.date, dt.datetime, dt.timedelta, decimal.Decimal}  # whose pickles are equal for equal ones
_DEEP = 3  # how far rows within rows are looked into to tell them at once
_KINDS_KEPT = 1024
_DIGITS = 10**4000  # of a number that Python writes
_LONG = 1024  # bytes that are hashed before they are passed on
_registered: dict[type, Callable[[Any], Any]] = {}
_tellers: dict[type, Callable[[Any, Token], bytes] | None] = {}  # what tells the values of a class, once looked for


def register_hash(kind: type, function: Callable[[Any], Any]) -> None:
    """Tell what the content of values of a class, and of its subclasses, is.

    `function(value)` returns what two equal values have in common: text, numbers, or anything else that has a
    hash. A value whose hash is equal is taken for the same value.

    >>> import fractions
    >>> register_hash(fractions.Fraction, lambda value: (value.numerator, value.denominator))
    """
    if not isinstance(kind, type) or not callable(function):
        raise TypeError("register_hash takes a class and a function of one of its values")
    _registered[kind] = function
    _tellers.clear()


def registered() -> Iterator[tuple[type, Callable[[Any], Any]]]:
    """What has been registered, for a worker to register it too."""
    yield from _registered.items()


def hash_value(value: Any, code: Code | None = None) -> str:
    """The hash of a value's content, 32 hexadecimal digits. Raises Unhashable for one that has none.

    `code` tells the functions and classes in it, where somebody else keeps account of them; else they count
    by the key of their code. A value that travels has its dicts in an order that a step can see, which counts;
    what code refers to is equal if it is equal in Python.
    """
    if type(value) in _FAST:
        return xxhash.xxh3_128_hexdigest(pickle.dumps(value, 5))
    with counted():
        return xxhash.xxh3_128_hexdigest(_Hashing(code or _keyed, ordered=code is None).token(value))


def _keyed(thing: Any) -> str | None:
    """A function, class or module as it counts by itself: the user's own by its code, an installed one by its name."""
    if isinstance(thing, (type, FunctionType)):
        module = thing.__module__
        if module is not None and not origin.is_own(module) and not hasattr(thing, "__wrapped__"):
            return f"installed {module}.{thing.__qualname__}"
    elif (not callable(thing) and not isinstance(thing, ModuleType)) or outline(thing) is None:
        return None
    key = key_of(thing)
    if key.unkeyable is not None:
        raise Unhashable(key.unkeyable)
    return key.digest


def key_of(thing: Any) -> CodeKey:
    """The key of the code of a function or class that is part of a value."""
    kept = getattr(_steady, "kept", None)
    if kept is None:
        return code_key(thing, None, hash_value)
    if id(thing) not in kept:
        kept[id(thing)] = (thing, code_key(thing, None, hash_value))
    return kept[id(thing)][1]  # type: ignore[no-any-return]


@contextmanager
def steady() -> Iterator[None]:
    """While this lasts, this thread makes the key of a class once: nobody defines it anew in between."""
    before = getattr(_steady, "kept", None)
    _steady.kept = {} if before is None else before
    try:
        yield
    finally:
        _steady.kept = before


_steady = threading.local()


class _Hashing:
    """Makes tokens of a value and of all in it: bytes that are equal for equal content only."""

    def __init__(self, code: Code, *, ordered: bool = False) -> None:
        self._code = code
        self._open: dict[int, int] = {}  # containers that are being told, by how deep they are
        self._effort = effort()
        self._reached = sys.maxsize  # how far up something has referred to what is being told
        self._done: dict[int, tuple[Any, bytes]] = {}  # of objects, which are kept so that their ids stay theirs
        self._rows = {list, tuple, dict} if ordered else {list, tuple}
        self._kinds: dict[type, Callable[[Any], bytes]] = {
            list: self._row, tuple: self._row, dict: self._ordered if ordered else self._mapping,
            OrderedDict: self._ordered, set: self._set, frozenset: self._set, MappingProxyType: self._mapping,
            bytearray: bytes,
        }  # fmt: skip

    def token(self, value: Any) -> bytes:
        """The bytes that stand for a value."""
        kind = type(value)
        if kind in _LEAVES:
            return _plain(kind, value)
        known = self._done.get(id(value))
        if known is not None:
            return known[1]
        if id(value) in self._open:  # it holds itself
            self._reached = min(self._reached, self._open[id(value)])
            return b"^%d;" % (len(self._open) - self._open[id(value)])
        return self._nested(kind, value)

    def _nested(self, kind: type, value: Any) -> bytes:
        self._effort.begin(kind, value)
        depth = self._open[id(value)] = len(self._open)
        above, self._reached = self._reached, sys.maxsize
        try:
            content = self._kinds[kind](value) if kind in self._kinds else self._object(kind, value)
        except RecursionError:
            raise Unhashable(f"a {kind.__name__} is nested too deeply to be compared") from None
        finally:
            del self._open[id(value)]
        token = b"%b:%b" % (kind.__name__.encode(), xxhash.xxh3_128_digest(content))
        if self._reached >= depth:  # nothing in it refers to what is around it
            self._done[id(value)] = (value, token)
            self._effort.end(value)
            self._reached = above
        else:
            self._reached = min(above, self._reached)
        return token

    def _row(self, value: Any) -> bytes:
        if self._at_once(value, _DEEP):
            return _pickled(value)
        return b"".join([b"%d;" % len(value), *map(self.token, value)])

    def _at_once(self, value: Any, depth: int) -> bool:
        """Whether a row holds nothing but plain values, and rows and dicts of them."""
        items = (*value, *value.values()) if type(value) is dict else value
        inner = set(map(type, items)) - _LEAVES
        if not inner:
            return True
        if not depth or not inner <= self._rows:
            return False
        return all(self._at_once(item, depth - 1) for item in items if type(item) not in _LEAVES)

    def _mapping(self, value: dict[Any, Any]) -> bytes:
        """A dict's items by key: dicts are equal whatever order they were made in."""
        order = sorted((self._rank(key), number, key) for number, key in enumerate(value))
        return b"".join([b"%d;" % len(value), *(self.token(key) + self.token(value[key]) for _, _, key in order)])

    def _ordered(self, value: Any) -> bytes:
        return self._row([part for item in value.items() for part in item])

    def _set(self, value: Any) -> bytes:
        order = sorted((self._rank(item), number) for number, item in enumerate(value))
        items = list(value)
        return b"".join([b"%d;" % len(value), *(self.token(items[number]) for _, number in order)])

    def _rank(self, item: Any) -> bytes:
        """What items that have no order are sorted by: their content, told without numbering what is in them."""
        return _plain(type(item), item) if type(item) in _LEAVES else _Hashing(outline).token(item)

    def _object(self, kind: type, value: Any) -> bytes:
        """Anything else: as registered, as libraries' data are told, as code, or by what it is pickled as."""
        told = _tellers[kind] if kind in _tellers else _teller(kind)
        if has_format(kind) and _registered.keys().isdisjoint(kind.__mro__):
            told = _as_saved
        if told is not None:
            return self._class(kind) + told(value, self.token)
        token = self._code(value)
        if token is not None:
            return b"code " + token.encode("utf-8", "surrogatepass")
        if isinstance(value, enum.Enum):
            return self._class(kind) + b"%b=%b" % (value.name.encode() if value.name else b"", self.token(value.value))
        if isinstance(value, pathlib.PurePath):
            return self._class(kind) + str(value).encode("utf-8", "surrogatepass")
        return self._reduced(kind, value)

    def _class(self, kind: type) -> bytes:
        token = self._code(kind)
        return (token or "").encode("utf-8", "surrogatepass") + b" "

    def _reduced(self, kind: type, value: Any) -> bytes:
        """What pickle would make of an object: how it is made again, from what, and its state."""
        try:
            reducer = copyreg.dispatch_table.get(kind)
            reduced: Any = reducer(value) if reducer is not None else value.__reduce_ex__(5)
        except Exception as error:
            raise Unhashable(
                f"a {kind.__qualname__} has no content that can be compared: {getattr(error, 'what', error)}",
                do=f"tell what it is with fanlab.register_hash({kind.__qualname__}, function)",
            ) from error
        if isinstance(reduced, str):
            return f"global {kind.__module__}.{reduced}".encode()
        make, args, state, items, pairs = [*reduced, None, None, None][:5]
        made = self._class(kind) + self._class(make) + self.token(args) + self._state(state)
        rest = (None if items is None else list(items), None if pairs is None else dict(pairs))
        return b"".join([made, *map(self.token, rest)])

    def _state(self, state: Any) -> bytes:
        """An object's attributes, in whatever order they have been set."""
        if type(state) is tuple and len(state) == 2:  # of a class with slots
            return b"".join(map(self._state, state))
        return self._mapping(state) if type(state) is dict else self.token(state)


def _teller(kind: type) -> Callable[[Any, Token], bytes] | None:
    """What tells the values of a class: what has been registered for it or a base, else what is known of libraries."""
    for known in kind.__mro__:
        if known in _registered:
            found: Any = _as_registered(known, _registered[known])
            break
        if (found := TELL.get(f"{known.__module__}.{known.__qualname__}")) is not None:
            break
    if len(_tellers) >= _KINDS_KEPT:
        _tellers.clear()
    _tellers[kind] = found
    return found  # type: ignore[no-any-return]


def _as_registered(kind: type, function: Callable[[Any], Any]) -> Callable[[Any, Token], bytes]:
    def tell(value: Any, token: Token) -> bytes:
        try:
            content = function(value)
        except Exception as error:
            raise Unhashable(
                f"the function that tells what a {kind.__qualname__} is raised {type(error).__name__}: {error}",
                do="mend the function that fanlab.register_hash has been given",
            ) from error
        return b"registered " + token(content)

    return tell


def _as_saved(value: Any, token: Token) -> bytes:
    """The file of a value that has a format of its own."""
    try:
        return b"saved " + token(xxhash.xxh3_128_digest(saved(value)))
    except Unsaved as error:
        raise Unhashable(str(error), do=error.do) from error


def _plain(kind: type, value: Any) -> bytes:
    if kind is str:
        text = value.encode("utf-8", "surrogatepass")
        return b"s%d:%b" % (len(text), text if len(text) <= _LONG else xxhash.xxh3_128_digest(text))
    if kind is bytes:
        return b"b%d:%b" % (len(value), value if len(value) <= _LONG else xxhash.xxh3_128_digest(value))
    if kind is float:
        return b"f" + struct.pack("<d", value)
    if kind is complex:
        return b"c" + struct.pack("<dd", value.real, value.imag)
    if kind is int:
        return b"%b;" % (str(value) if -_DIGITS < value < _DIGITS else hex(value)).encode()
    if kind is bool or value is None:
        return repr(value).encode()
    told = _pickled(value)
    return b"p%d:%b" % (len(told), told)


def _pickled(value: Any) -> bytes:
    """Numbers and texts in a row, at once. Without a memo, or it would matter which of them are one object."""
    file = io.BytesIO()
    pickler = pickle.Pickler(file, 5)
    pickler.fast = True
    pickler.dump(value)
    return file.getvalue()
