"""What has to agree between a kernel and the workers of a cluster, and where each of them is."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import socket
from typing import Any, NamedTuple

import cloudpickle

_BOOT = "/proc/sys/kernel/random/boot_id"
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}  # a minute; the systems' own is two hours


class Versions(NamedTuple):
    """What has to agree: functions travel as the bytes of one Python, and events as fanlab's own classes."""

    python: str
    fanlab: str
    cloudpickle: str


def versions() -> Versions:
    """Those of this process."""
    return Versions(platform.python_version(), importlib.metadata.version("fanlab"), cloudpickle.__version__)


def difference(worker: Versions) -> str | None:
    """What a worker has that this process cannot work with, or None."""
    here = versions()
    if _minor(worker.python) != _minor(here.python):
        return f"Python {worker.python}, and this kernel has {here.python}"
    for name in ("fanlab", "cloudpickle"):
        there = getattr(worker, name)
        if there != getattr(here, name):
            return f"{f'{name} {there}' if there else f'no {name}'}, and this kernel has {getattr(here, name)}"
    return None


def machine() -> str:
    """This machine: its name and its boot, since containers share the boot and have names of their own."""
    try:
        with open(_BOOT) as file:
            boot = file.read().strip()
    except OSError:  # not Linux
        boot = ""
    return f"{socket.gethostname()} {boot}"


def tune(connection: Any) -> None:
    """Let short messages go out at once, since a claim waits for its answer; notice a machine without power."""
    with socket.socket(fileno=os.dup(connection.fileno())) as found:
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE.items():
            if hasattr(socket, name):  # not on every platform
                found.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]
