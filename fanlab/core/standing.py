"""How each node of a run stands, and which nodes wait for what of it."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import NamedTuple

from .events import Status
from .expand import Shape
from .graph import Link, Need
from .ready import Range

GOOD = (Status.COMPLETED, Status.CACHED)
COUNT = (-1, -1)  # in place of an item: the node takes the number of its branches from a value
Reader = tuple[str, tuple[int, int] | None]  # a node, and which of its items; None: all of it


class Fresh(NamedTuple):
    """Branches that have ended whose items make new branches of another node; of lost ones, because of which node."""

    start: int
    stop: int
    because: str


class State:
    """What is known of one node while the run goes on."""

    __slots__ = (
        "broken",
        "fresh",
        "gates",
        "growing",
        "held",
        "left",
        "running",
        "settled",
        "shape",
        "status",
        "unsized",
        "waiting",
    )

    def __init__(self, probe: bool) -> None:
        self.gates = 0  # needs of the whole node that are not completed yet
        self.unsized = 0  # arguments whose number of items is not known yet
        self.growing = False  # whether more branches may become known
        self.fresh: list[Fresh] = []  # what they will become known from
        self.shape: Shape | None = None
        self.status = bytearray()
        self.waiting: array[int] | None = None  # needs of each branch that are not completed yet
        self.held: list[Range] | None = [] if probe else None  # ranges that wait for branch 0
        self.left = 0
        self.running = 0
        self.broken = ""  # the first node because of which some branch has no value
        self.settled = False

    def is_good(self, branch: int | None) -> bool:
        """Whether the node, or one branch of it, has its value."""
        if branch is None:
            return self.settled and not self.broken
        return branch < len(self.status) and self.status[branch] in GOOD

    def is_lost(self, branch: int | None) -> bool:
        """Whether the node, or one branch of it, will never have a value."""
        if branch is None:
            return bool(self.broken)
        if branch >= len(self.status):
            return self.settled
        return self.status[branch] >= Status.FAILED


class Standing:
    """All nodes of a run, by name."""

    def __init__(self) -> None:
        self.states: dict[str, State] = {}
        self.whole: dict[str, list[Reader]] = {}  # who needs a node whole
        self.single: dict[Need, list[Reader]] = {}  # who needs one branch of it
        self.links: dict[str, list[tuple[str, Link]]] = {}  # who needs it branch by branch
        self.ends: dict[str, list[tuple[str, bool]]] = {}  # who waits until it has ended; or counts by it
        self.sized: dict[str, list[str]] = {}  # who takes its number from its branches
        self.begun: dict[str, list[str]] = {}  # who begins to grow when its first branches are known
        self.growers: dict[str, dict[str, bool]] = {}  # who grows with it; by the items of its branches, or by them
        self.growable: dict[str, None] = {}  # of which more branches can be told

    def add(self, name: str, *, probe: bool) -> None:
        """Take in a node; with `probe` its other branches wait for the first."""
        self.states[name] = State(probe)
        self.whole[name], self.links[name], self.ends[name] = [], [], []
        self.sized[name], self.begun[name], self.growers[name] = [], [], {}

    def readers(self, node: str, branch: int | None) -> list[Reader]:
        """Who needs a node, or one branch of it; to be added to."""
        return self.whole[node] if branch is None else self.single.setdefault((node, branch), [])

    def lost_because(self, node: str, branch: int | None) -> str:
        """The node because of which another, or a branch of it, has no value; "" where it may have one."""
        state = self.states[node]
        return (state.broken or node) if state.is_lost(branch) else ""

    def ended_branches(self, name: str) -> Iterator[Fresh]:
        """The branches of a node that have ended so far."""
        state = self.states[name]
        for branch, status in enumerate(state.status):
            if status >= Status.COMPLETED:
                yield Fresh(branch, branch + 1, "" if status in GOOD else state.broken or name)

    def add_fresh(self, name: str, fresh: Fresh) -> None:
        """Branches of a node have ended: those that grow by their items can be told more."""
        for reader, by_items in self.growers[name].items():
            if by_items:
                self.states[reader].fresh.append(fresh)
                self.growable[reader] = None

    def let_grow(self, name: str) -> None:
        """There is news of a node's branches: whoever grows with it can be told more."""
        self.growable.update(dict.fromkeys(self.growers[name]))


def runs_of(states: bytes | bytearray, wanted: int) -> Iterator[Range]:
    """The runs of one value, as ranges.

    >>> list(runs_of(bytes([0, 1, 1, 0, 1]), 1))
    [(1, 3), (4, 5)]
    """
    stop = 0
    while (start := states.find(wanted, stop)) >= 0:
        stop = start
        while stop < len(states) and states[stop] == wanted:
            stop += 1
        yield start, stop
