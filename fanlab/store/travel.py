"""Pickles that take the user's own code along: functions, classes and modules go as they are now, not by name."""

from __future__ import annotations

import io
import marshal
import pickle
import re
import sys
import threading
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from types import CodeType, FunctionType, ModuleType
from typing import Any, ClassVar
from weakref import WeakSet, WeakValueDictionary

import cloudpickle

from ..core import origin
from ..core.code_form import Form, nested
from ..core.code_parts import module_of
from ..core.code_token import known, learn
from ..core.seal import is_scalar
from .around import is_around, reduce_around, reduce_cached_property
from .formats import Unsaved, has_format, reduced
from .hashes import key_of

Uses = Mapping[str, frozenset[str] | None]  # of each module, the attributes that are needed; None: all of them
Apart = Callable[[pickle.PickleBuffer], bool] | None

_MOST_ITEMS = 10_000
_lock = threading.RLock()  # cloudpickle keeps account of what goes by value for the whole process
_classes: WeakValueDictionary[tuple[str, str, str], type] = WeakValueDictionary()  # made here, by name and key
_away = False  # whether this process is a worker
_unfinished: WeakSet[type] = WeakSet()  # made, and without their attributes so far


def by_name(value: Any, apart: Apart = None) -> bytes:
    """Python's own pickle, ten times as fast. Raises OwnCode where a name in it means something else elsewhere."""
    file = io.BytesIO()
    _ByName(file, 5, buffer_callback=apart).dump(value)
    return file.getvalue()


def by_value(value: Any, apart: Apart = None, uses: Uses | None = None, *, modules: bool = True) -> bytes:
    """A pickle that takes along what the user's own code is, with its modules' globals as they are now.

    Of a module, what is in `uses` goes; all of it where nothing is said. Without `modules`, only code of the
    notebook or program goes by value, and what is in a module by its name. Raises whatever pickling raises.
    """
    file = io.BytesIO()
    with _registry() as register:
        _ByValue(file, apart, uses or {}, register if modules else None).dump(value)
    return file.getvalue()


def dumps(value: Any) -> bytes:
    """A pickle for another process of the same Python: by name where that is as good, else by value where it can be."""
    ways: list[Callable[[], bytes]] = [
        lambda: by_name(value), lambda: by_value(value), lambda: by_value(value, modules=False)
    ]  # fmt: skip
    return first_of(ways)


def fault(value: Any) -> str | None:
    """Why a value does not arrive as it is sent, or None. It is made anew for this, so it should be a small one."""
    try:
        pickle.loads(dumps(value))
    except Exception as error:  # noqa: BLE001 (pickling raises what it likes)
        return str(error) or type(error).__name__
    return None


def first_of(ways: Sequence[Callable[[], bytes]]) -> bytes:
    """What the first way that does not fail returns. If all fail, raises what the last has raised."""
    for way in ways[:-1]:
        try:
            return way()
        except Unsaved:  # no way of pickling mends it
            raise
        except Exception:  # noqa: BLE001 (pickling raises what it likes)
            continue
    return ways[-1]()


class OwnCode(Exception):  # noqa: N818
    """A pickle would refer to something of the user's by a name that means something else in another process."""


class _ByName(pickle.Pickler):
    """Python's own."""

    def reducer_override(self, thing: Any) -> Any:
        """Refuse functions and classes of the user's; what has a format of its own is as its file."""
        if has_format(type(thing)):
            return reduced(thing)
        if isinstance(thing, (type, FunctionType)) and origin.is_own(module_of(thing)):
            raise OwnCode
        if is_around(thing) and origin.is_own(thing.__module__):  # an installed decorator's, under the user's name
            raise OwnCode
        return NotImplemented


@contextmanager
def _registry() -> Iterator[Callable[[str], None]]:
    """A function that has cloudpickle take what is in a module by value, until this ends."""
    added: list[ModuleType] = []

    def register(name: str) -> None:
        module = sys.modules.get(name)
        if module is not None and name not in cloudpickle.list_registry_pickle_by_value():
            cloudpickle.register_pickle_by_value(module)
            added.append(module)

    with _lock:
        try:
            yield register
        finally:
            for module in added:
                cloudpickle.unregister_pickle_by_value(module)


def _reduce_code(code: CodeType) -> tuple[Any, ...]:
    """Code with its file and lines, which cloudpickle drops from 3.1.3 on, and with the forms that keys are made of."""
    forms = [known(each)[0] if _is_function(each) else None for each in nested(code)]
    return _code, (marshal.dumps(code), tuple(forms))


def _is_function(code: CodeType) -> bool:
    return not code.co_name.startswith("<") or code.co_name == "<lambda>"


class _ByValue(cloudpickle.Pickler):  # type: ignore[misc]
    """cloudpickle, with modules in part and classes by what they are."""

    dispatch_table: ClassVar[Mapping[type, Any]] = ChainMap(
        {CodeType: _reduce_code, cached_property: reduce_cached_property}, cloudpickle.Pickler.dispatch_table
    )

    def __init__(self, file: io.BytesIO, apart: Apart, uses: Uses, register: Callable[[str], None] | None) -> None:
        super().__init__(file, 5, apart)
        self._uses, self._register = uses, register

    def reducer_override(self, thing: Any) -> Any:
        """How a function, class or module is made anew, or what has a format of its own."""
        if has_format(type(thing)):
            return reduced(thing)
        if isinstance(thing, ModuleType):
            return self._module(thing) if self._takes(thing.__name__) else NotImplemented
        if isinstance(thing, (type, FunctionType)) and self._takes(module_of(thing)):
            assert self._register is not None
            self._register(str(module_of(thing)))
        if is_around(thing) and (thing.__module__ == "__main__" or self._takes(thing.__module__)):
            around = reduce_around(thing)
            if around is not None:
                return around
        made = super().reducer_override(thing)
        if isinstance(made, tuple) and len(made) == 6:
            if isinstance(thing, type):
                return _reduce_class(thing, made)
            if isinstance(thing, FunctionType):
                _add_names(thing, made[2][1]["__globals__"])
        return made

    def _takes(self, module: str | None) -> bool:
        """Whether a module is one of the user's, with a source of its own."""
        if self._register is None or module in (None, "__main__") or not origin.is_own(module):
            return False
        return str(getattr(sys.modules.get(str(module)), "__file__", None) or "").endswith(".py")

    def _module(self, module: ModuleType) -> tuple[Any, ...]:
        used = self._uses.get(module.__name__)
        state = {
            name: value
            for name, value in vars(module).copy().items()
            if name != "__builtins__" and (used is None or name in used or name in _OF_MODULES)
        }
        return _module, (module.__name__,), state, None, None, _fill_module


def _add_names(function: FunctionType, taken: dict[str, Any]) -> None:
    """Give a function the globals that cloudpickle does not look for.

    Those are what classes in it read while they are made, and what a text in it may look up, as pandas does
    with `frame.query("year > @first")`: plain values of these only, since most words in a text mean nothing.
    """
    form, known_here = known(function.__code__)[0], function.__globals__
    for name, *_ in form.reads:
        if name in known_here:
            taken.setdefault(name, known_here[name])
    for word in form.words:
        if word in known_here and not word.startswith("__") and _is_plain(known_here[word]):
            taken.setdefault(word, known_here[word])


def _is_plain(value: Any) -> bool:
    if type(value) in (list, tuple, set, frozenset):
        return len(value) <= _MOST_ITEMS and all(map(is_scalar, value))
    return is_scalar(value)


_MARK = re.compile("[0-9a-f]{32}")
_OF_MODULES = ("__name__", "__package__", "__path__", "__file__", "__doc__")


def _reduce_class(thing: type, reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    """A class that another process takes for its own one of that name, if it is the same there."""
    make, args, state, _, _, fill = reduced
    key = key_of(thing)
    if key.unkeyable is not None:
        return reduced
    name = (str(module_of(thing)), thing.__qualname__, key.digest)
    if _living(name) is not thing:  # defined inside a function: nobody finds it by its name
        _classes[name] = thing
    # cloudpickle's own mark of a class means this object, whatever has become of it since
    args = tuple(None if isinstance(part, str) and _MARK.fullmatch(part) else part for part in args)
    return _class, (name, make, args), (fill, state), None, None, _fill_class


# what is called where a pickle is opened


def _code(dumped: bytes, forms: tuple[Form | None, ...]) -> CodeType:
    code: CodeType = marshal.loads(dumped)
    for each, form in zip(nested(code), forms, strict=True):
        if form is not None:
            learn(each, form)
    return code


def _class(name: tuple[str, str, str], make: Callable[..., type], args: tuple[Any, ...]) -> type:
    """The class of that name and key: at home the living one, elsewhere the one that came first."""
    ways = (_classes.get, _living) if _away else (_living, _classes.get)
    found = ways[0](name) or ways[1](name)
    if found is None:
        found = _classes[name] = make(*args)
        _unfinished.add(found)
    return found


def leave_home() -> None:
    """Say that this process is a worker: classes of the user's are those that came with their functions."""
    global _away
    _away = True


def _living(name: tuple[str, str, str]) -> type | None:
    """The class of that name in this process, if its code is the same."""
    module, qualname, key = name
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found if isinstance(found, type) and key_of(found).digest == key else None


def _fill_class(thing: type, state: tuple[Callable[[type, Any], None], Any]) -> None:
    """Give a class that has just been made its attributes; one that was there keeps what it has."""
    if thing in _unfinished:
        _unfinished.discard(thing)
        fill, attributes = state
        fill(thing, attributes)


def _module(name: str) -> ModuleType:
    return ModuleType(name)


def _fill_module(module: ModuleType, state: Mapping[str, Any]) -> None:
    vars(module).update(state)
