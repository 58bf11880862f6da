"""What travels between a run and its workers: branches to run, and what became of a batch of them."""

from __future__ import annotations

from typing import Any, NamedTuple


class RunHeader(NamedTuple):
    """What a worker has to know of a run, sent once a worker."""

    id: str
    name: str
    pipeline: str
    store: str  # the store's folder
    directory: str  # the kernel's working directory
    path: tuple[str, ...]  # its sys.path
    environment: tuple[tuple[str, str], ...]
    log_level: int  # of its root logger
    warning_filters: tuple[Any, ...]  # its warnings.filters
    database: bool = True  # whether the store's database may be opened here: not over a network
    hashes: tuple[Any, ...] = ()  # what fanlab.register_hash has been given: (class, function)
    formats: tuple[Any, ...] = ()  # what fanlab.register_format has been given: (class, save, load)


class Hole(NamedTuple):
    """The place of a mapped argument among the shared ones."""

    position: int


class Column(NamedTuple):
    """One mapped argument of a batch: a value for each branch."""

    kind: str  # "plain": as it is; "sealed": to be opened; "packed": the stored outputs of other branches
    values: tuple[Any, ...]
    output: str | None = None  # of packed ones, which output is meant


class Batch(NamedTuple):
    """Branches of one node, to be run one after the other by one worker.

    `header`, `code` and `shared` are digests of bytes that travel once a worker.
    """

    number: int  # unique in the process that sends it
    run: str
    header: bytes  # a pickled RunHeader
    code: bytes  # a pickled (function, exceptions to retry on)
    shared: bytes  # pickled (positional, keyword) values, with a Hole for each mapped argument
    node: str
    outputs: tuple[str, ...]
    mapped: bool
    explode: tuple[str, ...]  # outputs whose items are wanted one by one; "" for the whole value
    start: int
    size: int
    attempt: int
    halt: bool  # whether a failed branch ends the batch: those behind it are given back
    columns: tuple[Column, ...]
    labels: tuple[str, ...] | None  # what stands in the branches' brackets; None: their numbers
    keys: tuple[Any, ...] | None  # None: their numbers
    work: bytes | None = None  # the keys of the branches' work in a row, see core.keys; None where nobody asks

    @property
    def blobs(self) -> tuple[bytes, bytes, bytes]:
        """The digests of everything that the batch refers to."""
        return (self.header, self.code, self.shared)


class BatchDone(NamedTuple):
    """A worker has done with a batch and told everything about it."""

    number: int


class BatchReleased(NamedTuple):
    """A worker gives the branches of a batch back from this one on: it has not started them and will not."""

    number: int
    start: int


class BatchLost(NamedTuple):
    """A batch's worker has ended; whatever it told before has been delivered."""

    number: int
    culprit: int | None  # the branch that was running; None where it was none of this batch
    reason: str
    waited: bool = False  # whether it was still waiting behind another batch, which the worker was running


class Unread(NamedTuple):
    """A worker has told something that cannot be opened in the process that hears it."""

    reason: str


Answer = BatchDone | BatchReleased | BatchLost
