"""What travels between a run and its workers: branches to run, and that a batch of them has ended."""

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


class Batch(NamedTuple):
    """Branches of one node, to be run one after the other by one worker.

    `header`, `code` and `shared` are digests of bytes that travel once a worker.
    """

    number: int
    run: str
    header: bytes  # a pickled RunHeader
    code: bytes  # a pickled function
    shared: bytes  # pickled (positional, keyword) values, with a Hole for each mapped argument
    node: str
    outputs: tuple[str, ...]
    start: int
    attempt: int
    items: tuple[tuple[Any, ...], ...]  # one a branch: its value for each Hole
    labels: tuple[str, ...] | None  # what stands in the branches' brackets; None for a plain call
    keys: tuple[Any, ...]

    @property
    def blobs(self) -> tuple[bytes, bytes, bytes]:
        """The digests of everything that the batch refers to."""
        return (self.header, self.code, self.shared)


class Hole(NamedTuple):
    """The place of a mapped argument among the shared ones."""

    position: int


class BatchDone(NamedTuple):
    """A worker has run a whole batch and told everything about it."""

    number: int


class BatchLost(NamedTuple):
    """A batch's worker has ended; whatever it told before has been delivered."""

    number: int
    reason: str
