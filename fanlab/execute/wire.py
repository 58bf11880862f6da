"""What travels between a run and the workers of a cluster."""

from __future__ import annotations

from typing import Any, NamedTuple

from .versions import Versions


class Post(NamedTuple):
    """What a worker needs to find a run, and the store that the run writes."""

    id: str  # unique
    run: str
    address: tuple[str, int]
    key: bytes  # proves that both ends belong together
    machine: str  # the kernel's
    store: str  # the store's folder there
    mark: str  # the name of a file in it, whose content is `id`: who reads that sees the store


class Order(NamedTuple):
    """A batch on its way through an engine."""

    number: int
    blobs: tuple[bytes, ...]  # the digests of what it refers to
    batch: bytes  # a pickled Batch; empty where it travels with the artifacts


class Hello(NamedTuple):
    """A worker's first message."""

    worker: str  # what the engine calls it
    machine: str
    versions: Versions
    sees_store: bool


class Claim(NamedTuple):
    """A worker is about to run a batch, lacks these bytes, and asks whether it still should."""

    number: int
    lacks: tuple[bytes, ...]


class Granted(NamedTuple):
    """The answer to a claim: the bytes, or None where the batch is no longer wanted or has been given to another."""

    number: int
    blobs: dict[bytes, bytes] | None


class Ran(NamedTuple):
    """Which branch of a batch runs now."""

    number: int
    branch: int
    seconds: float  # for how long it has


class Ask(NamedTuple):
    """The kernel wants something done with a batch: "release" what has not begun, or "kill" its worker process."""

    what: str
    number: int


class Returned(NamedTuple):
    """What a batch brings back through the engine, where its worker does not see the store."""

    messages: tuple[Any, ...] = ()  # events and answers that refer to the artifacts
    artifacts: dict[str, bytes] = {}  # by hash, as files  # noqa: RUF012
    told: int = 0  # how many messages its worker had told the kernel by then
    lacked: bool = False  # whether it could not begin, since artifacts it needs had not been sent with it
