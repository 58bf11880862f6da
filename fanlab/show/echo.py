"""What steps print, on the caller's own streams and in the order of their calls."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from ..core.events import Event, Finished, Keyed, Logged, Lookup, Lost, Recorded, RunEnded, RunStarted
from ..core.record import Record


class Echo:
    """A watcher: the earliest plain call that has not ended streams, the lines of later ones wait for their turn.

    Lines of mapped branches are not shown; they are in the branch's log.
    """

    def __init__(self, record: Record, make_way: Callable[[], None] = lambda: None) -> None:
        self._record, self._make_way = record, make_way
        self._streams: dict[str, Any] = {"stdout": sys.stdout, "stderr": sys.stderr, "logging": sys.stderr}
        self._warned: set[str] = set()
        self._turn: list[str] = []  # plain calls in call order, those that have had their turn taken out
        self._held: dict[str, list[tuple[str, str]]] = {}
        self._ended: set[str] = set()

    def see(self, event: Event) -> None:
        """Take an event in and print what may be printed now."""
        match event:
            case RunStarted() | Recorded():
                calls = [node.name for node in event.nodes if node.kind == "call"]
                self._turn[:0] = calls[::-1]
                self._held.update((name, []) for name in calls)
            case Logged(stream="warning", text=text):
                self._warn(text)
            case Keyed(node, _, Lookup.UNKEYABLE, note):
                step = self._record.nodes[node].info.step
                self._warn(f"fanlab: '{step}' runs without the cache: {note}")
            case Logged(node, _, stream, text, _) if node in self._held:
                self._held[node].append((stream, text))
                self._print()
            case Finished(node) | Lost(node) if node in self._held:
                self._ended.add(node)
                self._print()
            case RunEnded():
                self._ended.update(self._turn)
                self._print()
                if handled := self._record.handled():
                    told = "1 failed branch was" if handled == 1 else f"{handled} failed branches were"
                    self._write("stderr", f"fanlab: {told} handled")
            case _:
                pass

    def pulse(self) -> None:
        """Nothing: lines are printed as they come."""

    def _warn(self, text: str) -> None:
        if text not in self._warned:  # however many branches raise it
            self._warned.add(text)
            self._write("stderr", text)

    def _print(self) -> None:
        while self._turn:
            name = self._turn[-1]
            for stream, text in self._held[name]:
                self._write(stream, text)
            self._held[name] = []
            if name not in self._ended:
                return
            self._turn.pop()

    def _write(self, stream: str, text: str) -> None:
        self._make_way()  # of a view that stands on the same terminal
        print(text, file=self._streams[stream], flush=True)
