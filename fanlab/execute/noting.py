"""What is noted of a run beside what happens in it: what it can be made again from, and what it ran in."""

from __future__ import annotations

import functools
import os
import platform
import sys
from collections.abc import Callable
from pickle import PickleBuffer
from typing import Any

from ..core.events import Noted
from ..core.seal import Stored
from ..store.artifacts import Artifacts
from ..store.travel import by_value, first_of

MOST_BYTES = 64 << 20  # of a body with its arguments; what is larger is not copied for the case of a resume elsewhere
_APART = 4096  # bytes; a smaller buffer stays in the pickle


class _TooLarge(Exception):  # noqa: N818
    pass


def noted(recipe: Callable[[], Any] | None, artifacts: Artifacts, backend: str) -> Noted:
    """The recipe pickled, or why it cannot be, and the environment."""
    kept, why = None, "nothing says how it was made"
    if recipe is not None:
        try:
            kept, why = _kept(recipe(), artifacts), ""
        except _TooLarge:
            why = f"its body and arguments take more than {MOST_BYTES >> 20} MB"
        except Exception as error:  # noqa: BLE001 (pickling raises what it likes)
            why = f"its body or its arguments cannot be pickled: {error}"
    return Noted(kept, why, environment(backend))


def _kept(recipe: Any, artifacts: Artifacts) -> Stored:
    buffers: list[memoryview] = []
    total = 0

    def apart(buffer: PickleBuffer) -> bool:
        nonlocal total
        try:
            raw = buffer.raw()
        except BufferError:  # not contiguous
            return True
        if raw.nbytes < _APART:
            return True
        total += raw.nbytes
        if total > MOST_BYTES:
            raise _TooLarge
        buffers.append(raw)
        return False

    def afresh(*, modules: bool) -> bytes:
        nonlocal total
        buffers.clear()
        total = 0
        return by_value(recipe, apart, modules=modules)

    body = first_of([lambda: afresh(modules=True), lambda: afresh(modules=False)])
    if len(body) > MOST_BYTES:
        raise _TooLarge
    return artifacts.keep("recipe", body, buffers)


def environment(backend: str) -> dict[str, Any]:
    """Python, the system, the backend, imported packages with their versions, and the working directory's commit."""
    packages = {"fanlab": _own_version()}
    # The copy is one step: a thread of the run may be importing.
    for name, module in sorted(sys.modules.copy().items()):
        version = getattr(module, "__dict__", {}).get("__version__") if "." not in name else None
        if isinstance(version, str) and not name.startswith("_"):
            packages[name] = str.__str__(version)  # of a class of its own, it may hold more
    return {
        "python": platform.python_version(),
        "platform": f"{sys.platform} {os.uname().machine}" if hasattr(os, "uname") else sys.platform,
        "backend": backend,
        "packages": packages,
        "git_commit": commit(os.getcwd()),
    }


@functools.cache
def _own_version() -> str:
    """Reading it takes longer than a short run."""
    from importlib.metadata import version

    return version("fanlab")


def commit(folder: str) -> str | None:
    """The commit that a folder's git repository is at; None where it is in none. Git itself is not asked."""
    while not os.path.exists(os.path.join(folder, ".git")):
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent
    try:
        place = os.path.join(folder, ".git")
        if os.path.isfile(place):  # a worktree says where its own part is
            place = os.path.join(folder, _read(place).partition("gitdir: ")[2])
        head = _read(os.path.join(place, "HEAD"))
        if not head.startswith("ref: "):
            return head or None
        common = os.path.join(place, "commondir")
        shared = os.path.join(place, _read(common)) if os.path.exists(common) else place
        return _at(shared, head[5:])
    except (OSError, UnicodeDecodeError):
        return None


def _at(place: str, ref: str) -> str | None:
    loose = os.path.join(place, ref)
    if os.path.exists(loose):
        return _read(loose) or None
    packed = os.path.join(place, "packed-refs")
    lines = _read(packed).splitlines() if os.path.exists(packed) else []
    return next((line.split()[0] for line in lines if line.endswith(f" {ref}")), None)


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read().strip()
