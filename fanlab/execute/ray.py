"""Ray as an engine: one that is initialised, a cluster's address, or a local one for one run."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ..errors import NotAvailable
from . import outpost
from .cluster import Done, unfit
from .exchange import own_host
from .versions import Versions, difference, versions
from .wire import Order, Post, Returned


class Ray:
    """Batches are calls of one remote function."""

    name = "ray"

    def __init__(self, address: str | None, *, owned: bool) -> None:
        self._owned = owned
        self._call = ray.remote(max_retries=0, num_cpus=1)(_run)
        self._muster()
        peer = urlsplit(address).hostname if address and "//" in address else None
        self.host = own_host(peer) if peer else ray.util.get_node_ip_address()

    def size(self) -> int:
        """The processors of the cluster."""
        return int(ray.cluster_resources().get("CPU", 0))

    def submit(self, post: Post, order: Order, artifacts: dict[str, Any], done: Done) -> Any:
        """Have a batch run where Ray's scheduler wants it."""
        reference = self._call.remote(post, order, tuple(artifacts), *artifacts.values())
        reference.future().add_done_callback(lambda found: _done(found, done))
        return reference

    def cancel(self, handle: Any) -> None:
        """Give up a batch."""
        if handle is not None:
            ray.cancel(handle, force=False)

    def put(self, data: bytes) -> Any:
        """Bytes in the object store, from where each node fetches them once."""
        return ray.put(data)

    def close(self) -> None:
        """Shut down what was made for this run."""
        if self._owned:
            ray.shutdown()

    def _muster(self) -> None:
        """Raises NotAvailable where a node's versions differ from the kernel's; Ray compares Python's and its own."""
        look = ray.remote(num_cpus=0)(_versions)
        nodes = [node for node in ray.nodes() if node["Alive"] and node["NodeID"] not in _mustered]
        asked = [
            look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=True)).remote()
            for node in nodes
        ]
        faults = {}
        for node, asking in zip(nodes, asked, strict=True):
            fault = difference(_told(asking))
            if fault is not None:
                faults[str(node["NodeManagerAddress"])] = fault
        if faults:
            raise unfit(faults)
        _mustered.update(node["NodeID"] for node in nodes)


_mustered: set[str] = set()  # nodes that have been looked at: their ids are unique


def connect(address: str | None, jobs: Callable[[], int]) -> Ray:
    """Ray as it is initialised, the cluster at the address, or a local one with so many processors.

    Raises NotAvailable where there is no cluster at the address.
    """
    if ray.is_initialized():
        return Ray(address, owned=False)
    address = address or os.environ.get("RAY_ADDRESS")
    quiet: dict[str, Any] = {"log_to_driver": False, "configure_logging": False, "logging_level": logging.ERROR}
    try:
        if address:
            ray.init(address, **quiet)
        else:
            ray.init("local", num_cpus=jobs(), include_dashboard=False, **quiet)
    except (ConnectionError, TimeoutError) as error:
        raise NotAvailable(
            f"there is no Ray cluster at {address}: {error}",
            do="start one there, or give the address that its log tells",
        ) from error
    return Ray(address, owned=True)


def _versions() -> Versions:
    """On a Ray worker: what it has."""
    return versions()


def _told(asking: Any) -> Versions:
    """What `_versions` told; a worker that cannot open even that function has no fanlab."""
    try:
        return Versions(*ray.get(asking))
    except ray.exceptions.RayError as error:
        if "No module named 'fanlab" not in str(error):
            raise
        return Versions(versions().python, "", "")


def _run(post: Post, order: Order, names: tuple[str, ...], *artifacts: bytes) -> Returned:
    """On a Ray worker: run a batch."""
    worker = f"{ray.util.get_node_ip_address()} (process {os.getpid()})"
    return outpost.run(post, order, worker, 1, dict(zip(names, artifacts, strict=True)))


def _done(future: Any, done: Done) -> None:
    """Ray calls this in a thread when a call has ended: also when it was cancelled, by us or by somebody else."""
    error = future.exception()
    if error is None:
        done(future.result(), "")
    else:
        done(None, f"{type(error).__name__}: {error}".partition("\n")[0])
