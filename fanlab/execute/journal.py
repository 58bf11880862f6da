"""The one way out of a run: its events, to the record, to whoever watches, and to the store."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Protocol

from ..core.events import Event, Finished
from ..core.record import Record
from ..store.database import Store
from .recall import Recall

SAVE_SECONDS = 0.05  # how old an event may get before it is on disk


class Watcher(Protocol):
    """Something that shows or keeps what happens in a run."""

    def see(self, event: Event) -> None:
        """Take an event in; called after it is stored."""

    def pulse(self) -> None:
        """Called in the thread that runs, at least every PULSE_SECONDS while it waits."""


class Journal:
    """Takes the events of one run."""

    def __init__(self, run: str, store: Store, record: Record, watchers: Sequence[Watcher], recall: Recall) -> None:
        self._run, self._store, self._record, self._watchers = run, store, record, watchers
        self._recall = recall
        self.changing = threading.RLock()  # held while the record changes
        self._unsaved: list[Event] = []
        self._saved = 0.0

    def emit(self, events: Sequence[Event]) -> None:
        """Tell of events. They are on disk soon, or after `save`."""
        self._unsaved += events
        for event in events:
            with self.changing:
                self._record.apply(event)
            if isinstance(event, Finished):
                self._recall.heard(event)
            for watcher in self._watchers:
                watcher.see(event)

    def save(self) -> None:
        """Have on disk what has been emitted: before anything starts that could ask for it, and soon in any case."""
        self._saved = time.monotonic()
        self._store.write(self._run, self._unsaved, self._recall.taken())
        self._unsaved = []  # not before: what could not be written now is written with what comes next
        self._recall.written()

    def tick(self) -> None:
        """Save what has waited long enough, and let the watchers show something."""
        if self._unsaved and time.monotonic() - self._saved > SAVE_SECONDS:
            self.save()
        for watcher in self._watchers:
            watcher.pulse()
