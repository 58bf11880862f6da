"""The files that a stored value may name: paths and texts in it, found without making anything of the user's."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

from ..core.seal import Stored
from .artifacts import Artifacts

_ROWS = {"list", "tuple", "dict", "set", "frozenset"}
_MOST_BYTES = 4 << 20  # of a value that is looked into: tens of thousands of paths
_LONGEST = 4096  # characters of a path


def names(stored: Stored, artifacts: Artifacts) -> list[str]:
    """The value itself, or what is in its lists, tuples, dicts and sets, each once, sorted."""
    kind = stored.type
    if kind not in _ROWS and kind != "str" and not kind.startswith("pathlib."):
        return []
    return sorted(set(_within(_read(stored, artifacts))))


def may_be(text: str) -> bool:
    """Whether a text is looked for on the disk: most are words, which have neither a dot nor a separator in them."""
    return ("." in text or os.sep in text) and len(text) <= _LONGEST


def _read(stored: Stored, artifacts: Artifacts) -> Any:
    if stored.nbytes > _MOST_BYTES:
        return None
    try:
        body = artifacts.pickled(stored)
        if not any(mark in body[:-1] for mark in (b".", b"/", b"pathlib")):
            return None
        return _Harmless(io.BytesIO(body)).load()
    except Exception:  # noqa: BLE001 (who needs the value is told what is wrong with it)
        return None


def _within(value: Any) -> Iterator[str]:
    waiting, seen = [value], set()
    while waiting:
        found = waiting.pop()
        if type(found) is str:
            if may_be(found):
                yield found
        elif isinstance(found, PurePath):
            yield str(found)
        elif type(found) in (list, tuple, dict, set, frozenset) and id(found) not in seen:
            seen.add(id(found))
            waiting += found
            if type(found) is dict:
                waiting += found.values()


class _Harmless(pickle.Unpickler):
    """Makes paths and what is built in; in place of any other object something that takes anything."""

    def find_class(self, module: str, name: str) -> Any:
        """The class of a path, or of nothing."""
        return super().find_class(module, name) if module.partition(".")[0] == "pathlib" else _Nothing


class _Taking(type):
    """A class that takes anything that a pickle does with a class or with an object."""

    def _taken(cls, *_: Any, **__: Any) -> Any:
        return cls

    __call__ = __setstate__ = __setitem__ = append = extend = add = _taken


class _Nothing(metaclass=_Taking):
    """In place of any object and any class: a class that is made by a call may be called itself."""

    def __new__(cls, *_: Any, **__: Any) -> Any:
        return cls
