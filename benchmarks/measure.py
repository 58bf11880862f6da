"""How things are measured: medians of runs in turn, ratios pair by pair, memory of the whole process tree."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of the table. `ratio` is against `reach`, in the unit that the row names."""

    name: str
    figure: str  # what was measured, with its unit
    ratio: float
    reach: float
    unit: str  # what ratio and reach are
    least: bool = False  # whether reach is a lower bound

    @property
    def reached(self) -> bool:
        """Whether the figure is what is wanted."""
        return self.ratio >= self.reach if self.least else self.ratio <= self.reach


def seconds(call: Callable[[], object]) -> float:
    """How long one call takes."""
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def pairs(ours: Callable[[], object], theirs: Callable[[], object], times: int) -> tuple[float, float, float]:
    """Medians of both, in seconds, and the median of the ratios; run in turn, so that both see the same machine."""
    ours(), theirs()
    found = [(seconds(ours), seconds(theirs)) for _ in range(times)]
    return (
        statistics.median(a for a, _ in found),
        statistics.median(b for _, b in found),
        statistics.median(a / b for a, b in found),
    )


def median(call: Callable[[], float], times: int) -> float:
    """The median of what several calls return."""
    return statistics.median(call() for _ in range(times))


def touch_memory(folder: str, megabytes: int = 4096) -> None:
    """Write and remove a large file, so that the system's free memory has been used once.

    On a fresh virtual machine the first use of each page of memory costs a fault on its host: ten times what
    writing the page costs later on, and charged to whoever comes first.
    """
    path = os.path.join(folder, "touched")
    block = bytes(1 << 20)
    try:
        with open(path, "wb", buffering=0) as file:
            for _ in range(megabytes):
                file.write(block)
    finally:
        os.unlink(path)


def tree() -> list[int]:
    """This process and all that descend from it."""
    parents: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat") as file:
                    parents.setdefault(int(file.read().rpartition(")")[2].split()[1]), []).append(int(entry))
            except OSError:  # it has just ended
                continue
    found = [os.getpid()]
    for process in found:
        found += parents.get(process, [])
    return found


def pss() -> float:
    """Proportional memory of the process tree in MB: a page that several map counts once."""
    total = 0
    for process in tree():
        try:
            with open(f"/proc/{process}/smaps_rollup") as file:
                total += next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        except (OSError, StopIteration):
            continue
    return total / 1024


def peak_pss(call: Callable[[], object]) -> float:
    """The highest memory of the process tree while a call runs, in MB, looked at every 10 ms.

    A page that a second process maps between the looks at the two counts one and a half times, so of each two
    looks in a row the smaller one counts.
    """
    highest = before = pss()
    over = threading.Event()

    def look() -> None:
        nonlocal highest, before
        while not over.wait(0.01):
            now = pss()
            highest, before = max(highest, min(before, now)), now

    thread = threading.Thread(target=look)
    thread.start()
    try:
        call()
    finally:
        over.set()
        thread.join()
    return max(highest, pss())
