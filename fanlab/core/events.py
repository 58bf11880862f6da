"""Everything that can happen in a run, as frozen values; a list of them, replayed, is the run again."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any

from .blocks import Block
from .expand import Items, Shape
from .spec import Argument

if TYPE_CHECKING:
    from .seal import Stored


class Status(IntEnum):
    """How a node or branch stands. FAILED and above: there is no value and will be none."""

    QUEUED = 0
    RUNNING = 1
    COMPLETED = 2
    CACHED = 3
    FAILED = 4
    SKIPPED = 5
    CANCELLED = 6

    @property
    def word(self) -> str:
        """The status as users read it."""
        return self.name.lower()


class Lookup(StrEnum):
    """Whether branches of a node are looked up in the store before they run."""

    ON = "on"
    FRESH = "fresh"  # not in this run, but what they return is kept
    OFF = "off"
    UNKEYABLE = "unkeyable"


@dataclass(frozen=True, slots=True)
class Frame:
    """One line of a traceback, carried from a worker as data: its text is known where the file is."""

    file: str
    line: int
    function: str
    text: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a branch has no value."""

    type: str  # the exception's class, as it is written in a traceback
    message: str
    frames: tuple[Frame, ...] = ()  # outermost first, fanlab's own left out
    exception: bytes | None = None  # pickled; None where it cannot be
    retry: bool = False  # whether it is one of those that the step retries on

    @property
    def line(self) -> str:
        """One line, as the last one of a traceback."""
        first = self.message.partition("\n")[0]
        return f"{self.type}: {first}" if first else self.type


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """What is told of a node when its run begins."""

    name: str
    step: str
    kind: str
    outputs: tuple[str, ...]
    arguments: tuple[Argument, ...]  # sealed, see core.seal
    needs: tuple[str, ...]  # the nodes it waits for, for drawing
    tolerated: bool = False  # its failures are expected by all that read it


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run begins. Times are seconds since the epoch."""

    id: str
    name: str
    pipeline: str
    parameters: Mapping[str, Any]
    nodes: tuple[NodeInfo, ...]
    returned: Any  # what the body returned, sealed; None where that is told later
    time: float
    process: int
    reads: str = ""  # of a combine cell: the name of the run whose results it saw


@dataclass(frozen=True, slots=True)
class Recorded:
    """A body that waits for values has called more steps since."""

    nodes: tuple[NodeInfo, ...]
    tolerated: Mapping[str, bool]  # of earlier nodes, where that is another now
    time: float


@dataclass(frozen=True, slots=True)
class Returned:
    """A body that waits for values has ended; `value` is what it returned, sealed."""

    value: Any


@dataclass(frozen=True, slots=True)
class Expanded:
    """The branches of a node are known; `arguments` are its sealed ones with the mapped items in place.

    Of a node that `grows`, only how they will be made is known: they are told by events of their own.
    """

    node: str
    shape: Shape
    arguments: tuple[Argument, ...]
    time: float
    grows: bool = False


@dataclass(frozen=True, slots=True)
class Grown:
    """More branches of a node are known."""

    node: str
    blocks: tuple[Block, ...]
    arguments: tuple[Argument, ...]  # those that map over items, with the new ones
    last: bool
    time: float


@dataclass(frozen=True, slots=True)
class Keyed:
    """What the keys of a node's branches rest on, beside their arguments."""

    node: str
    code: str  # the digest of its code key, whose parts the store keeps; "" where it has none
    lookup: Lookup
    note: str = ""  # why it has no key
    files: Mapping[str, str] = field(default_factory=dict)  # by path: the digest of what arguments that are files hold


@dataclass(frozen=True, slots=True)
class Missed:
    """Branches run although the store has a value of theirs."""

    node: str
    branches: tuple[int, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Started:
    """A branch runs in a worker."""

    node: str
    branch: int
    attempt: int
    worker: int  # process id
    time: float


@dataclass(frozen=True, slots=True)
class Logged:
    """A branch wrote a line to "stdout", "stderr" or "logging", or raised a "warning"."""

    node: str
    branch: int
    stream: str
    text: str
    time: float


@dataclass(frozen=True, slots=True)
class Progressed:
    """A branch said how far it is."""

    node: str
    branch: int
    done: float
    total: float | None


@dataclass(frozen=True, slots=True)
class Finished:
    """A range of branches of one node ended in a worker: columns, one entry a branch, from `start` on."""

    node: str
    start: int
    statuses: bytes  # a Status each
    attempt: int
    worker: int
    begun: array[float]
    ended: array[float]
    peaks: array[int]  # kB, the worker's peak memory; 0 where it cannot be told
    outputs: tuple[bytes | None, ...]  # see store.codecs.pack; None for a failed branch
    failures: Mapping[int, Failure] = field(default_factory=dict)  # by branch
    metadata: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)  # by branch: what it logged
    items: Mapping[int, Mapping[str, Items]] = field(default_factory=dict)  # by branch and output: sealed, for maps
    cached_from: str = ""  # the run that did the work, for branches found in the store

    def part(self, start: int, stop: int) -> Finished:
        """The same for some of its branches."""
        first, last = start - self.start, stop - self.start
        return Finished(
            self.node, start, self.statuses[first:last], self.attempt, self.worker,
            self.begun[first:last], self.ended[first:last], self.peaks[first:last], self.outputs[first:last],
            {branch: failure for branch, failure in self.failures.items() if start <= branch < stop},
            {branch: values for branch, values in self.metadata.items() if start <= branch < stop},
            {branch: items for branch, items in self.items.items() if start <= branch < stop}, self.cached_from,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Retried:
    """An attempt failed, and there will be another one."""

    node: str
    branch: int
    attempt: int  # the one that failed
    failure: Failure
    time: float  # when the next one may start


@dataclass(frozen=True, slots=True)
class Lost:
    """Branches will not run: skipped or cancelled. `stop` None: the node as a whole, its size unknown."""

    node: str
    start: int
    stop: int | None
    status: Status
    because: str
    failure: Failure | None = None  # for a node that failed as a whole


@dataclass(frozen=True, slots=True)
class Noted:
    """What a run can be made again from, and what it runs in."""

    recipe: Stored | None  # a pickled object with `again(earlier)`
    refused: str  # why there is none
    environment: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A run ended as "completed", "failed" or "cancelled"; `failure` is what its body raised after steps had run."""

    status: str
    time: float
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Combined:
    """A combine cell has read the results of this run, some time after its end."""

    name: str
    run: str  # the name of the run that the cell was
    nodes: tuple[str, ...]  # those whose rows it is drawn behind
    status: Status


Event = (
    RunStarted
    | Recorded
    | Returned
    | Expanded
    | Keyed
    | Missed
    | Grown
    | Started
    | Logged
    | Progressed
    | Finished
    | Retried
    | Lost
    | Noted
    | RunEnded
    | Combined
)
