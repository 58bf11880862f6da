"""Whose code a module is: the user's own, which is followed, or installed, which counts by name and version."""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import os
import sys
import sysconfig
import tokenize
from collections.abc import Iterator
from importlib.machinery import PathFinder
from types import ModuleType

from ..place import PACKAGE
from .code_source import parse, source_digest

_MAIN = ("__main__", "__mp_main__", "builtins")
_SITE = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


def is_own(module: str | None) -> bool:
    """Whether a module is the user's own: the notebook, the program, or a file that is not installed.

    A package installed in editable mode is a folder of the user's, so it is the user's own too.
    """
    if module is None or module in _MAIN[:2]:
        return True
    if module.partition(".")[0] in sys.stdlib_module_names:
        return False
    return _is_own_file(_file(module))


def _file(module: str) -> str | None:
    found = sys.modules.get(module)
    return getattr(found, "__file__", None) or next(iter(getattr(found, "__path__", ())), None)


@functools.lru_cache(maxsize=4096)
def _is_own_file(file: str | None) -> bool:
    if file is None:  # made at run time, and nowhere else to be found
        return True
    path = os.path.abspath(file)
    if any(part in path for part in _SITE) or path.startswith((PACKAGE, _STDLIB)):
        return False
    return not os.path.realpath(path).startswith((os.path.realpath(PACKAGE), os.path.realpath(_STDLIB)))


def own_modules() -> list[ModuleType]:
    """The user's own modules that this process has imported, without the program itself."""
    found = [module for name, module in sys.modules.copy().items() if name not in _MAIN and _imported(module, name)]
    return [module for module in found if is_own(module.__name__)]


def _imported(module: object, name: str) -> bool:
    """Whether an entry of sys.modules is a module that came from a file or folder, under its own name."""
    return isinstance(module, ModuleType) and module.__name__ == name and _file(name) is not None


def version(module: str) -> tuple[str, str]:
    """The name and the version that an installed module counts by; Python's own modules by Python's version."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names:
        return "Python", PYTHON
    told = getattr(sys.modules.get(top), "__version__", None)
    if isinstance(told, str):
        return top, told
    return (top, found) if (found := _distributed(top)) else (module, content(module))


PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
_STDLIB = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
if sysconfig.get_paths()["stdlib"] + os.sep != _STDLIB:  # a Python that keeps os.py elsewhere
    _STDLIB = sysconfig.get_paths()["stdlib"] + os.sep


@functools.lru_cache(maxsize=1024)
def _distributed(top: str) -> str | None:
    """The version of the distribution that a top-level name comes from."""
    try:
        return importlib.metadata.version(top)
    except importlib.metadata.PackageNotFoundError:
        names = _distributions().get(top, [])
        return ", ".join(importlib.metadata.version(name) for name in sorted(set(names))) or None


@functools.cache
def _distributions() -> dict[str, list[str]]:
    return dict(importlib.metadata.packages_distributions())


def content(module: str) -> str:
    """The digest of a module's file; "" where it has none."""
    file = _file(module)
    return source_digest(file) if file is not None else ""


def absolute(module: str, package: str | None) -> str:
    """The whole name of a module that an import statement in a package names: `..helpers` counts from there."""
    bare = module.lstrip(".")
    level = len(module) - len(bare)
    if level == 0:
        return bare
    base = (package or "").split(".")
    return ".".join([*base[: len(base) - level + 1], *([bare] if bare else [])])


def unloaded(module: str) -> Iterator[tuple[str, str]]:
    """A module that nobody has imported yet: name and version, or the content of its file and of those it imports.

    Nothing is run to find it.
    """
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        file = _find(name)
        if name.partition(".")[0] in sys.stdlib_module_names or (file is not None and not _is_own_file(file)):
            yield version(name)
        elif file is not None:
            yield name, source_digest(file)
            waiting += _imports(file, name)


def _find(module: str) -> str | None:
    """The file of a module, found without importing what it is in."""
    path: list[str] | None = None
    file = None
    for part in module.split("."):
        try:
            spec = PathFinder.find_spec(part, path)
        except (ImportError, ValueError):
            spec = None
        if spec is None:
            return None
        path = list(spec.submodule_search_locations or ())
        file = spec.origin if spec.origin not in (None, "built-in", "frozen") else next(iter(path), None)
    return file


def _imports(file: str, module: str) -> list[str]:
    """The modules that a file imports anywhere in it."""
    try:
        with tokenize.open(file) as opened:
            tree = parse(opened.read())
    except (OSError, SyntaxError, ValueError):
        return []
    package = module if os.path.basename(file).startswith("__init__.") else module.rpartition(".")[0]
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = absolute("." * node.level + (node.module or ""), package)
            found += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return found
