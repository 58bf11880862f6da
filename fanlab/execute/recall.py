"""What a run takes from the store instead of running it, and what it keeps there for later runs."""

from __future__ import annotations

import time
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..core.code_key import CodeKey, CodeKeys
from ..core.events import Event, Finished, Keyed, Logged, Lookup, Missed, Status
from ..core.graph import Graph
from ..core.keys import KEY_BYTES, branch_keys, numbered
from ..core.record import NodeRecord, Record
from ..core.spec import Node, Step
from ..errors import FanlabError, Unhashable
from ..store.cache import Entry, Known, Taken
from ..store.codecs import short_digest
from ..store.database import Store
from ..store.travel import dumps
from .keeping import AGAIN, entry, usable
from .telling import Telling
from .values import Values


@dataclass(frozen=True, slots=True)
class Fresh:
    """What is run whatever the store has of it."""

    every: bool = False
    names: frozenset[str] = frozenset()  # of steps and nodes
    branches: Mapping[str, Collection[int]] = field(default_factory=dict)  # by node


@dataclass(slots=True)
class _Keys:
    """The keys of one node's branches, as far as they are made."""

    lookup: Lookup
    code: str  # the digest of its code key; "" where it has none
    telling: Telling
    note: str = ""
    blob: bytearray = field(default_factory=bytearray)  # a key for each branch
    made: bytearray = field(default_factory=bytearray)  # 1 for each branch that has its key
    repeated: bool = False
    told: int = -1  # how many files the last Keyed knew

    def part(self, start: int, stop: int) -> bytes | None:
        """The keys of branches from start up to stop in a row; None if one has none."""
        if self.made.count(1, start, stop) < stop - start:
            return None
        return bytes(self.blob[start * KEY_BYTES : stop * KEY_BYTES])


class Recall:
    """Of one run. Branches that are ready are looked up at once, many at a time, before anything is sent.

    Equal calls of a run are told apart by their number: the second one has the key of the second one in every run.
    """

    def __init__(
        self, record: Record, graph: Graph, store: Store, values: Values, codes: CodeKeys, fresh: Fresh
    ) -> None:
        self._record, self._graph, self._store, self._values, self._fresh = record, graph, store, values, fresh
        self._nodes: dict[str, _Keys] = {}
        self._codes = codes
        self._told: set[str] = set()  # digests of codes whose parts are kept
        self._known: dict[str, Known] = {}
        self._seen: set[bytes] = set()
        self._numbers: dict[bytes, set[int]] = {}  # of keys that came more than once, or were made so earlier: taken
        self._entries: list[Entry] = []
        self._blobs: dict[str, bytes] = {}
        self._used: set[str] = set()
        self._superseded: list[int] = []

    def look_up(self, name: str, start: int, stop: int) -> Iterator[Event]:
        """What is known of ready branches: events to be told, ending with Finished of those that need not run."""
        node = self._record.calls(name)
        found = self._nodes.get(name)
        if found is None:
            found = self._nodes[name] = self._begin(self._graph.nodes[name])
        before = found.lookup
        keys = self._keys(found, node, start, stop)
        if len(found.telling.files) > found.told or found.lookup is not before:
            found.told = len(found.telling.files)
            yield Keyed(name, found.code, found.lookup, found.note, dict(found.telling.files))
        if keys is not None and found.lookup is Lookup.ON:
            yield from self._found(found, node, start, keys)

    def keys(self, name: str, start: int, stop: int) -> bytes | None:
        """The keys of branches in a row; None where they are not made."""
        found = self._nodes.get(name)
        return found.part(start, stop) if found is not None else None

    def heard(self, event: Finished) -> None:
        """Branches have ended: what they returned is kept with what is `taken` next."""
        if event.cached_from:
            self._used.add(event.cached_from)
            return
        found = self._nodes.get(event.node)
        if found is None or found.lookup in (Lookup.OFF, Lookup.UNKEYABLE):
            return
        for start, stop in _completed(event):
            keys = found.part(start, stop)
            if keys is not None:
                part = event if stop - start == len(event.statuses) else event.part(start, stop)
                logs = self._record.calls(event.node).logs
                artifacts = self._store.artifacts
                self._entries.append(entry(part, found.code, keys, found.repeated, logs, artifacts))

    def taken(self) -> Taken:
        """What is to be kept that is not kept yet."""
        return Taken(self._entries, self._blobs, self._used, self._superseded)

    def written(self) -> None:
        """All that was `taken` is kept."""
        self._entries, self._blobs, self._used, self._superseded = [], {}, set(), []

    # keys

    def _begin(self, node: Node) -> _Keys:
        telling = Telling(self._values)
        code = self._code(node.step)
        lookup, note = Lookup.ON, ""
        if not node.enable_cache:
            lookup = Lookup.OFF
        elif code.unkeyable:
            lookup, note = Lookup.UNKEYABLE, code.unkeyable
        elif self._fresh.every or not self._fresh.names.isdisjoint((node.name, node.step.name)):
            lookup = Lookup.FRESH
        return _Keys(lookup, code.digest, telling, note)

    def _code(self, step: Step) -> CodeKey:
        found = self._codes.of(step)
        if found.digest not in self._told:
            self._told.add(found.digest)
            self._blobs[found.digest] = dumps(found)
        return found

    def _keys(self, found: _Keys, node: NodeRecord, start: int, stop: int) -> list[bytes] | None:
        """Make the keys of a range; None where something in the arguments has none, or cannot be sent either."""
        if found.lookup is Lookup.OFF and not self._asks_for_seed(node):
            return None
        try:
            shared, mapped = found.telling.arguments(node, start, stop)
        except Unhashable as error:
            if found.lookup is not Lookup.OFF:
                found.lookup, found.note = Lookup.UNKEYABLE, error.what
            return None
        except FanlabError:  # which sending tells
            return None
        keys = branch_keys(found.code, node.info.outputs, shared, mapped, stop - start, short_digest)
        keys = self._told_apart(found, node.info.name, start, keys)
        found.made.extend(bytes(max(0, stop - len(found.made))))
        found.blob.extend(bytes(max(0, stop * KEY_BYTES - len(found.blob))))
        found.blob[start * KEY_BYTES : stop * KEY_BYTES] = b"".join(keys)
        found.made[start:stop] = b"\1" * (stop - start)
        return keys

    def _asks_for_seed(self, node: NodeRecord) -> bool:
        step = self._graph.nodes[node.info.name].step
        return _names_seed(step.function) or any("seed" in (part.text or "") for part in self._code(step).parts)

    def _told_apart(self, found: _Keys, name: str, start: int, keys: list[bytes]) -> list[bytes]:
        """Keys with equal calls numbered. One that was made by this very branch before keeps its number."""
        known = self._of_code(found)
        unique = set(keys)
        if len(unique) == len(keys) and self._seen.isdisjoint(unique) and not (known and known.repeated):
            self._seen |= unique
            return keys
        numbers = []
        for branch, key in enumerate(keys, start):
            taken = self._numbers.setdefault(key, {0} if key in self._seen else set())
            number = _number(key, taken, known, (name, branch))
            taken.add(number)
            self._seen.add(key)
            found.repeated = found.repeated or number > 0
            numbers.append(numbered(key, number, short_digest))
        return numbers

    def _of_code(self, found: _Keys) -> Known | None:
        if found.lookup is not Lookup.ON:
            return None
        if found.code not in self._known:
            known = self._known[found.code] = self._store.known(found.code)
            self._superseded += known.superseded
        return self._known[found.code]

    # hits

    def _found(self, found: _Keys, node: NodeRecord, start: int, keys: list[bytes]) -> Iterator[Event]:
        known = self._of_code(found)
        assert known is not None  # asked only where it is looked up
        places = known.present(known.places(keys))
        if places.count(None) == len(places):
            return
        expires = self._graph.nodes[node.info.name].step.options.lifetime
        reasons = usable(known, places, expires, self._store.artifacts)
        if again := {branch - start for branch in self._fresh.branches.get(node.info.name, ())}:
            reasons[AGAIN] = [i for i, place in enumerate(places) if i in again and place is not None]
        for reason, offsets in reasons.items():
            yield Missed(node.info.name, tuple(start + offset for offset in offsets), reason)
            for offset in offsets:
                places[offset] = None
        for first, last in _stretches(known, places):
            yield from _cached(node.info.name, start + first, known, [p for p in places[first:last] if p is not None])


def _number(key: bytes, taken: Collection[int], known: Known | None, branch: tuple[str, int]) -> int:
    """The number of one of several equal calls: what this branch had when it was kept, else the first free one."""
    number = 0
    while known is not None and (place := known.places([numbered(key, number, short_digest)])[0]) is not None:
        if number not in taken and known.branch(place) == branch:
            return number
        number += 1
    return next(free for free in range(len(taken) + 1) if free not in taken)


def _stretches(known: Known, places: Sequence[int | None]) -> Iterator[tuple[int, int]]:
    """Ranges of offsets that are known, each by the work of one run."""
    runs = {row.run for row in known.rows(places)}
    if len(runs) == 1 and None not in places:
        yield 0, len(places)
        return
    start, run = 0, ""
    for offset, place in enumerate([*places, None]):
        here = known.row(place).run if place is not None else ""
        if here != run:
            if run:
                yield start, offset
            start, run = offset, here


def _cached(name: str, start: int, known: Known, places: Sequence[int]) -> Iterator[Event]:
    """Branches found, as if they ran now: their lines, then that they have ended."""
    metadata, items = {}, {}
    now = time.time()
    more = not all(row.plain for row in known.rows(places))
    for branch, place in enumerate(places if more else (), start):
        kept, offset = known.kept(place)
        for stream, text, _ in kept.logs.get(offset, ()):
            yield Logged(name, branch, stream, text, now)
        if offset in kept.metadata:
            metadata[branch] = kept.metadata[offset]
        if offset in kept.items:
            items[branch] = kept.items[offset]
    size = len(places)
    nothing = bytes(8 * size)
    yield Finished(
        name, start, bytes([Status.CACHED]) * size, 0, 0, array("d", nothing), array("d", nothing), array("q", nothing),
        known.outputs(places), {}, metadata, items, known.row(places[0]).run,
    )  # fmt: skip


def _completed(event: Finished) -> Iterator[tuple[int, int]]:
    """The ranges of branches that have completed."""
    start = event.start
    for branch in [*sorted(event.failures), event.start + len(event.statuses)]:
        if start < branch:
            yield start, branch
        start = branch + 1


def _names_seed(function: object) -> bool:
    code = getattr(function, "__code__", None)
    waiting = [code] if code is not None else []
    while waiting:
        found = waiting.pop()
        if "seed" in found.co_names:
            return True
        waiting += [constant for constant in found.co_consts if hasattr(constant, "co_names")]
    return False
