"""Formats of the user's own: values of a class written into a file by one function and read by another."""

from __future__ import annotations

import mmap
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pickle import PickleBuffer
from typing import Any, NamedTuple

from ..errors import NotAvailable, StoreError

Save = Callable[[Any, str], Any]
Load = Callable[[str], Any]

_BUILT_IN = {type(None), bool, int, float, complex, str, bytes, bytearray, list, tuple, dict, set, frozenset, type}


class Unsaved(Exception):  # noqa: N818
    """The function that saves a value has not done it: told by whoever wants to keep the value, with its step."""

    do = "mend the function that fanlab.register_format has been given, or return something else"


class _Format(NamedTuple):
    save: Save
    load: Load


_registered: dict[type, _Format] = {}
_by_name: dict[str, _Format] = {}  # by the name that stands in what is stored
_once = threading.local()


def register_format(kind: type, save: Save, load: Load) -> None:
    """Keep values of a class as the files that functions of yours write and read, instead of as pickles.

    `save(value, path)` writes one file at `path`, `load(path)` returns an equal value; the file is gone
    afterwards, since its bytes are kept in the store. This holds for values of just this class, wherever they are
    inside of what a step takes or returns, and in workers too. The content of such a value is what
    `register_hash` says, else the bytes of its file.

    >>> import json, pathlib, types
    >>> register_format(
    ...     types.SimpleNamespace,
    ...     save=lambda value, path: pathlib.Path(path).write_text(json.dumps(vars(value))),
    ...     load=lambda path: types.SimpleNamespace(**json.loads(pathlib.Path(path).read_text())),
    ... )
    """
    if not isinstance(kind, type) or not callable(save) or not callable(load):
        raise TypeError("register_format takes a class and two functions, save(value, path) and load(path)")
    if kind in _BUILT_IN:
        raise TypeError(f"register_format cannot change how a {kind.__name__} is kept: give it a class of your own")
    _registered[kind] = _by_name[_name(kind)] = _Format(save, load)


def registered() -> Iterator[tuple[type, Save, Load]]:
    """What has been registered, for a worker to register it too."""
    for kind, (save, load) in _registered.items():
        yield kind, save, load


def any_is_registered() -> bool:
    """Whether any class has a format of its own; asked for each value that is kept."""
    return bool(_registered)


def has_format(kind: type) -> bool:
    """Whether values of a class have a format of their own."""
    return kind in _registered


def reduced(value: Any) -> tuple[Any, ...]:
    """What a pickle holds of a value that has a format: its file's bytes, and who reads them. Raises Unsaved."""
    return _restored, (_name(type(value)), PickleBuffer(saved(value)))


@contextmanager
def once() -> Iterator[None]:
    """While this lasts, this thread saves each value once: for its hash, and for what is stored."""
    _once.kept = {}
    try:
        yield
    finally:
        _once.kept = None


def saved(value: Any) -> bytes | mmap.mmap:
    """What a value's file holds. Raises Unsaved."""
    kept = getattr(_once, "kept", None)
    if kept is None:
        return _saved(value)
    if id(value) not in kept:
        kept[id(value)] = (value, _saved(value))
    return kept[id(value)][1]  # type: ignore[no-any-return]


def _saved(value: Any) -> bytes | mmap.mmap:
    kind = type(value)
    with tempfile.TemporaryDirectory(prefix="fanlab-") as folder:
        path = os.path.join(folder, "value")
        try:
            _registered[kind].save(value, path)
        except Exception as error:
            raise Unsaved(
                f"the function that saves a {kind.__qualname__} raised {type(error).__name__}: {error}"
            ) from error
        try:
            with open(path, "rb") as file:
                length = os.fstat(file.fileno()).st_size
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if length else b""
        except OSError as error:
            raise Unsaved(
                f"the function that saves a {kind.__qualname__} wrote no file at the path that it was given"
            ) from error


def _restored(name: str, content: bytes | memoryview) -> Any:
    """The value in a file. Called where a pickle is opened."""
    if name not in _by_name:
        plain = name.rpartition(".")[2]
        raise NotAvailable(
            f"the stored {name} has a format of its own, which is not registered here",
            do=f"call fanlab.register_format({plain}, save, load) as it was called where the value was stored",
        )
    with tempfile.TemporaryDirectory(prefix="fanlab-") as folder:
        path = os.path.join(folder, "value")
        with open(path, "xb") as file:
            file.write(content)
        try:
            return _by_name[name].load(path)
        except Exception as error:
            raise StoreError(
                f"the stored {name} cannot be read: the function that loads it raised {type(error).__name__}: {error}",
                do="mend the function that fanlab.register_format has been given",
            ) from error


def _name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "__main__" else f"{kind.__module__}.{kind.__qualname__}"
