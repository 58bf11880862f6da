"""A run that starts nothing: what it would find in the store is found, and nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext

from ..core.batch import Batch
from ..core.events import Event
from ..core.record import Record
from ..store.artifacts import Artifacts
from ..store.cache import Known, Taken
from ..store.database import Store
from .base import Blobs
from .page import Status


class Unwritten(Artifacts):
    """Tells what values would be kept as, and keeps none."""

    def _write(self, digest: str, body: bytes, buffers: list[memoryview], what: str) -> None:
        pass


class OnlyRead(Store):
    """Another store, which stays as it is."""

    def __init__(self, store: Store) -> None:
        self._store, self.root, self.artifacts = store, store.root, Unwritten(store.root)
        self.blobs: dict[str, bytes] = {}

    def write(self, run: str, events: Sequence[Event], taken: Taken | None = None) -> None:  # noqa: ARG002
        """Nothing is kept, but what can be asked for with `blob`."""
        if taken is not None:
            self.blobs.update(taken.blobs)

    def blob(self, digest: str) -> bytes | None:
        """The bytes that an event refers to."""
        return self.blobs.get(digest) or self._store.blob(digest)

    def earlier(self, pipeline: str, start: float, id: str, limit: int) -> list[int]:
        """The numbers of a pipeline's runs that began before one of its runs, the latest first."""
        return self._store.earlier(pipeline, start, id, limit)

    def record(self, number: int) -> Record:
        """A run as it stands in the store."""
        return self._store.record(number)

    def running(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """It does not run."""
        return nullcontext()

    def known(self, code: str) -> Known:
        """What finished branches of one code returned."""
        return self._store.known(code)


class NoRoom:
    """An executor that takes nothing, with as many workers as another one would have."""

    name = "none"
    can_kill = True
    immediate = False

    def __init__(self, slots: int) -> None:
        self.slots = slots

    def room(self) -> int:
        """None."""
        return 0

    def submit(self, batch: Batch, blobs: Blobs, seconds: float | None) -> Future[None]:
        """Never called: there is no room."""
        raise NotImplementedError

    def release(self, number: int) -> None:
        """Nothing runs."""

    def running(self, number: int) -> Status | None:  # noqa: ARG002
        """Nothing runs."""
        return None

    def kill(self, number: int) -> None:
        """Nothing runs."""

    def shutdown(self) -> None:
        """Nothing is held."""
