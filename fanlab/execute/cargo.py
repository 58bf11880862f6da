"""Artifact files on their way to workers that do not see the store, and back."""

from __future__ import annotations

import itertools
import os
import pickle
from collections.abc import Iterable, Iterator
from typing import Any

from ..core.batch import Batch
from ..core.events import Event, Finished
from ..core.expand import Items
from ..core.seal import Packed, Stored, rebuild
from ..store import codecs
from ..store.artifacts import Artifacts

_serial = itertools.count()


def needed(batch: Batch, shared: bytes) -> list[str]:
    """The names of the artifact files that the branches of a batch read; `shared` are the arguments they share."""
    found: dict[str, None] = dict.fromkeys(_files(pickle.loads(shared)))
    for column in batch.columns:
        if column.kind == "sealed":
            found.update(dict.fromkeys(_files(list(column.values))))
        elif column.kind == "packed":
            for outputs in column.values:
                found.update(dict.fromkeys(_of_outputs(outputs)))
    return list(found)


def made(event: Event) -> list[str]:
    """The names of the artifact files that an event refers to."""
    if not isinstance(event, Finished):
        return []
    found: dict[str, None] = {}
    for outputs in event.outputs:
        if outputs is not None:
            found.update(dict.fromkeys(_of_outputs(outputs)))
    for items in event.items.values():
        found.update(dict.fromkeys(_files(list(items.values()))))
    return list(found)


def read(root: str, digest: str) -> bytes:
    """An artifact file of a store, whole."""
    with open(_path(root, digest), "rb") as file:
        return file.read()


def write(root: str, digest: str, data: bytes) -> None:
    """Put an artifact file into a store, unless it is there. What is in it is checked when it is read."""
    path = _path(root, digest)
    if os.path.exists(path):
        return
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    temporary = f"{path}.{os.getpid()}.{next(_serial)}.tmp"
    with open(temporary, "xb") as file:
        file.write(data)
    os.replace(temporary, path)


def lacking(root: str, digests: Iterable[str]) -> list[str]:
    """Those whose file a store does not have."""
    return [digest for digest in digests if not os.path.exists(_path(root, digest))]


def _path(root: str, digest: str) -> str:
    path = Artifacts(root).path(Stored("", 0, digest, None))
    assert path is not None  # only values without a file have none
    return path


def _of_outputs(outputs: bytes) -> Iterator[str]:
    if outputs and not codecs.scalar(outputs)[0]:
        yield from (stored.digest or stored.hash for stored in codecs.unpack(outputs).values() if stored.inline is None)


def _files(sealed: Any) -> list[str]:
    """The names of the artifact files in a sealed value."""
    found: list[str] = []

    def look(leaf: Any) -> None:
        if isinstance(leaf, Stored) and leaf.inline is None:
            found.append(leaf.digest or leaf.hash)
        elif isinstance(leaf, Packed):
            found.extend(_of_outputs(leaf.outputs))

    rebuild(list(sealed.values) if isinstance(sealed, Items) else sealed, look)
    return found
