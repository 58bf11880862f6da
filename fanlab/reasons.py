"""Why a branch ran or did not: what differs from the latest earlier run of its pipeline that had its node."""

from __future__ import annotations

import pickle
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from .core.code_changes import Change, changed
from .core.code_key import CodeKey
from .core.events import Lookup, Status
from .core.expand import Items
from .core.plan import PASSES_ON
from .core.record import NodeRecord, Record
from .core.seal import Ref, Stored, is_scalar
from .errors import FanlabError
from .execute.telling import Telling
from .execute.values import Tabulate, Values
from .show.text import short_repr
from .store.database import Store

MOST_RUNS = 20  # how many earlier runs are looked at for a node
_NAMED = 3  # how many changes are named
_FILE = re.compile(r"(path |hash \w+ )?file ")
_ENDED = {Status.COMPLETED, Status.CACHED}


class Why(str):
    """Text that says why a branch ran or did not; `diff` has the source before and now, where code changed."""

    __slots__ = ("diff", "words")
    words: str
    diff: str

    def __new__(cls, words: str, diff: str = "") -> Why:
        """The words, and the diff on lines of its own."""
        made = super().__new__(cls, f"{words}\n{diff}" if diff else words)
        made.words, made.diff = words, diff
        return made

    def __repr__(self) -> str:
        return str(self)


class Reasons:
    """Of one run. Earlier runs are read when they are asked for first."""

    def __init__(self, record: Record, store: Store, tabulate: Tabulate | None = None) -> None:
        self._record, self._store, self._tabulate = record, store, tabulate
        self._earlier: dict[str, tuple[Record, NodeRecord] | None] = {}
        self._read: list[Record] | None = None
        self._numbers: list[int] = []
        self._changes: dict[str, tuple[Change, ...]] = {}
        self._tellings: dict[tuple[int, str], Telling] = {}

    def why(self, node: NodeRecord, branch: int) -> Why:
        """Why one branch ran, or what it is instead of having run."""
        status = node.branch_status(branch)
        if status is Status.COMPLETED and node.passes_on:
            return Why(PASSES_ON)
        if status is Status.CACHED:
            return Why(f"cached from {node.cached_from(branch) or 'an earlier run'}")
        if status is Status.SKIPPED:
            return Why(f"skipped: '{node.because}' failed" if node.because else "skipped")
        if status is Status.CANCELLED and not self._has_begun(node, branch):
            return Why("cancelled before it began")
        if status is Status.QUEUED:
            return Why("it has not run yet")
        cause = self.cause(node, branch)
        return Why(f"ran: {cause.words}", cause.diff)

    def cause(self, node: NodeRecord, branch: int) -> Why:
        """What keeps a branch from being taken from the store."""
        if node.lookup is Lookup.OFF:
            return Why("the cache is off")
        if node.lookup is Lookup.FRESH:
            return Why("it was asked for with fresh")
        if node.lookup is Lookup.UNKEYABLE:
            return Why(f"it cannot be keyed: {node.note}")
        if branch in node.missed:
            return Why(node.missed[branch])
        found = self.earlier(node.info.name)
        if found is None:
            return Why("first run")
        record, before = found
        return self._compared(node, branch, record, before)

    def earlier(self, name: str) -> tuple[Record, NodeRecord] | None:
        """The latest earlier run of the same pipeline that had a node of this name and its branches."""
        if name not in self._earlier:
            self._earlier[name] = next(
                ((record, record.nodes[name]) for record in self.runs() if self._had(record, name)), None
            )
        return self._earlier[name]

    def runs(self) -> Iterator[Record]:
        """Earlier runs of the pipeline, the latest first."""
        if self._read is None:
            self._read = []
            self._numbers = self._store.earlier(self._record.pipeline, self._record.start, self._record.id, MOST_RUNS)
        yield from self._read
        while self._numbers:
            self._read.append(self._store.record(self._numbers.pop(0)))
            yield self._read[-1]

    @staticmethod
    def _had(record: Record, name: str) -> bool:
        node = record.nodes.get(name)
        return node is not None and node.shape is not None and node.lookup is not None

    @staticmethod
    def _has_begun(node: NodeRecord, branch: int) -> bool:
        return node.shape is not None and bool(node.begun[branch])

    def _compared(self, node: NodeRecord, branch: int, record: Record, before: NodeRecord) -> Why:
        changes = self._code_changes(node, before)
        words = [change.words for change in changes[:_NAMED]]
        if len(changes) > _NAMED:
            words.append(f"{len(changes) - _NAMED} more parts of its code changed")
        diff = "\n".join(change.diff for change in changes if change.diff)
        place = self._place(before, node, branch)
        if place is None:
            return Why("; ".join([*words, "no such branch in the run before"]), diff)
        arguments = self._argument_changes(node, branch, record, before, place)
        words += arguments[:_NAMED]
        if len(arguments) > _NAMED:
            words.append(f"{len(arguments) - _NAMED} more arguments changed")
        if words:
            return Why("; ".join(words), diff)
        if node.code != before.code and node.code and before.code:
            return Why("its code changed")
        status = before.branch_status(place)
        if status is Status.FAILED:
            return Why("it failed before")
        if status not in _ENDED:
            return Why(f"it did not come to its end before ({status.word})")
        if before.lookup in (Lookup.OFF, Lookup.UNKEYABLE):
            return Why("nothing was kept of it before" + (": the cache was off" if before.lookup is Lookup.OFF else ""))
        if node.info.outputs != before.info.outputs:
            return Why("its outputs are named or counted otherwise")
        return Why("its value is not in the store any more")

    def _code_changes(self, node: NodeRecord, before: NodeRecord) -> tuple[Change, ...]:
        name = node.info.name
        if name not in self._changes:
            old, new = self._parts(before.code), self._parts(node.code)
            self._changes[name] = changed(old, new) if old and new and before.code != node.code else ()
        return self._changes[name]

    def _parts(self, digest: str) -> Any:
        blob = self._store.blob(digest) if digest else None
        key: CodeKey | None = pickle.loads(blob) if blob is not None else None
        return key.parts if key is not None else ()

    @staticmethod
    def _place(before: NodeRecord, node: NodeRecord, branch: int) -> int | None:
        """Which branch of the earlier node bears the same name."""
        assert before.shape is not None
        if node.shape is None or not node.mapped or not before.mapped:
            return 0 if before.shape.size else None
        return before.shape.position(node.shape.key(branch))

    def _argument_changes(
        self, node: NodeRecord, branch: int, record: Record, before: NodeRecord, place: int
    ) -> list[str]:
        try:
            now, was = self._texts(self._record, node, branch), self._texts(record, before, place)
        except FanlabError:
            return []
        found = []
        for name in dict.fromkeys([*now, *was]):
            if name not in was:
                found.append(f"the argument {name} is new")
            elif name not in now:
                found.append(f"the argument {name} is not passed any more")
            elif now[name] != was[name]:
                same = _named(now[name]) == _named(was[name])
                found.append(_told(name, _value(node, name, branch), _value(before, name, place), same))
        return found

    def _texts(self, record: Record, node: NodeRecord, branch: int) -> dict[str, str]:
        key = (id(record), node.info.name)
        if key not in self._tellings:
            values = Values(record, self._store.artifacts, self._tabulate)
            self._tellings[key] = Telling(values, node.files.get)
        shared, mapped = self._tellings[key].arguments(node, branch, branch + 1)
        return {**shared, **{name: texts[0] for name, texts in mapped.items()}}


def together(reasons: Sequence[Why]) -> Why:
    """One text for several branches: each reason with the number of branches that have it."""
    counts = Counter(reasons)
    if len(counts) == 1:
        return reasons[0]
    words = [f"{count} of {len(reasons)} {why.words}" for why, count in counts.most_common()]
    if not words:
        return Why("there are no branches")
    return Why("\n".join(words), "\n".join(dict.fromkeys(why.diff for why in counts if why.diff)))


def _value(node: NodeRecord, name: str, branch: int) -> Any:
    """An argument of one branch as it is kept."""
    mapped = 0
    for argument in node.arguments:
        if argument.name == name:
            value = argument.value
            if argument.mapped and node.shape is not None and isinstance(value, Items):
                return value.values[node.shape.item(mapped, branch)]
            return value
        mapped += argument.mapped
    return None


def _named(text: str) -> str:
    """What an argument's text says without what the files in it hold, which comes last."""
    return text.rpartition(" ")[0] if _FILE.match(text) else text


def _told(name: str, now: Any, was: Any, same: bool) -> str:
    """How one argument changed; `same`: it names the same files, which hold something else."""
    if isinstance(now, Ref) and isinstance(was, Ref):
        if same:
            return f"the argument {name} changed: a file that '{now.node}' returned holds something else"
        return f"the argument {name} changed: '{now.node}' returned something else"
    if is_scalar(now) and is_scalar(was):
        if now == was and type(now) is type(was):
            return f"the content of the file {now!s}, the argument {name}, changed"
        return f"the argument {name} changed from {short_repr(was)} to {short_repr(now)}"
    if isinstance(now, Stored) and isinstance(was, Stored) and now.type != was.type:
        return f"the argument {name} changed from a {was.type} to a {now.type}"
    return f"the argument {name} changed"
