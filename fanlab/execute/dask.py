"""Dask as an engine: an active client, a scheduler's address, or a local cluster for one run."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Any
from urllib.parse import urlsplit

import distributed
from distributed import Client, LocalCluster

from ..errors import NotAvailable
from . import outpost
from .cluster import Done, unfit
from .exchange import own_host
from .guard import need_guard
from .versions import Versions, difference
from .wire import Order, Post, Returned

_CONNECT_SECONDS = 30
_serial = itertools.count()  # a batch that is submitted again is another call to Dask


class Dask:
    """Batches are calls that `distributed.Client` submits."""

    name = "dask"

    def __init__(self, client: Client, owned: tuple[Any, ...] = ()) -> None:
        self._client, self._owned = client, owned
        self._muster()
        peer = urlsplit(client.scheduler.address)
        inside = peer.scheme == "inproc"  # its workers are threads of this process
        self.host = "127.0.0.1" if inside else own_host(peer.hostname or "127.0.0.1")

    def size(self) -> int:
        """The threads of all workers; of an adaptive cluster, of as many workers as it may grow to."""
        threads = self._client.nthreads()
        adaptive = getattr(getattr(self._client, "cluster", None), "_adaptive", None)
        most = getattr(adaptive, "maximum", 0)
        if most and most != float("inf"):
            return int(most) * max(threads.values(), default=1)
        return sum(threads.values())

    def submit(self, post: Post, order: Order, artifacts: dict[str, Any], done: Done) -> Any:
        """Have a batch run where Dask's scheduler wants it."""
        future = self._client.submit(
            _run, post, order, tuple(artifacts), *artifacts.values(),
            key=f"fanlab-{post.id}-{order.number}-{next(_serial)}", pure=False, retries=0,
        )  # fmt: skip
        future.add_done_callback(lambda found: _done(found, done))
        return future

    def cancel(self, handle: Any) -> None:
        """Give up a batch."""
        if handle is not None and self._client.status == "running":
            handle.cancel()

    def put(self, data: bytes) -> Any:
        """Bytes in one worker's memory, from where the others fetch them once."""
        return self._client.scatter(data, hash=False)

    def close(self) -> None:
        """Close what was made for this run."""
        for found in self._owned:
            found.close()

    def _muster(self) -> None:
        """Raises NotAvailable where a worker's versions differ from the kernel's."""
        found = self._client.get_versions(packages=["fanlab", "cloudpickle"])["workers"]
        faults = {}
        for worker, told in found.items():
            host, packages = told.get("host", {}), told.get("packages", {})
            versions = Versions(
                str(host.get("python", "")).partition(" ")[0].removesuffix(".final.0"),
                packages.get("fanlab") or "",
                packages.get("cloudpickle") or "",
            )
            fault = difference(versions)
            if fault is not None:
                faults[worker] = fault
        if faults:
            raise unfit(faults)


def connect(address: str | None, jobs: Callable[[], int], client: Client | None = None) -> Dask:
    """The client that is given or active, one to the address, or one to a local cluster of so many workers.

    Raises NotAvailable where there is no scheduler at the address.
    """
    if address is not None:
        try:
            made = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
        except OSError as error:
            raise NotAvailable(
                f"there is no Dask scheduler at {address}: {error}",
                do="start one there, or give the address that its log tells",
            ) from error
        return Dask(made, (made,))
    if client is None:
        try:
            client = distributed.get_client()
        except ValueError:
            return _local(jobs())
    return Dask(client)


def _local(jobs: int) -> Dask:
    need_guard()
    cluster = LocalCluster(
        n_workers=jobs, threads_per_worker=1, memory_limit=0, dashboard_address=":0", silence_logs=logging.CRITICAL
    )
    client = Client(cluster, set_as_default=False)
    return Dask(client, (client, cluster))


def _run(post: Post, order: Order, names: tuple[str, ...], *artifacts: bytes) -> Returned:
    """On a Dask worker: run a batch."""
    worker = distributed.get_worker()
    return outpost.run(post, order, worker.address, worker.state.nthreads, dict(zip(names, artifacts, strict=True)))


def _done(future: Any, done: Done) -> None:
    """Dask calls this in a thread when a call has ended."""
    try:
        error = future.exception()
        returned = future.result() if error is None else None
    except CancelledError as cancelled:  # by us, who do not wait for it any more, or by somebody else at any time
        error, returned = cancelled, None
    done(returned, f"{type(error).__name__}: {error}".partition("\n")[0] if error is not None else "")
