"""How many branches go into one batch: enough to make the round trip cheap, few enough to share the work."""

from __future__ import annotations

BATCH_SECONDS = 0.2  # what a batch should take: long against a round trip, short against a person's patience
LEAST_SECONDS = 0.002  # a batch shorter than this is mostly its own round trip
WAIT_SECONDS = 0.05  # a batch may wait at a worker whose running one should end within this time
_GROWTH = 4  # a batch is at most so many times as large as the last one of its step
_SHORTEST = 1e-6  # seconds; what no clock can tell from nothing


class Pace:
    """What is known of the duration of one step's branches."""

    __slots__ = ("_largest", "_mean")

    def __init__(self) -> None:
        self._mean = 0.0  # seconds a branch, the latest batches counting most; 0 while unknown
        self._largest = 1

    def heard(self, branches: int, seconds: float) -> None:
        """Take in that so many branches took so many seconds together."""
        mean = max(seconds / branches, _SHORTEST)
        self._mean = mean if not self._mean else 0.7 * self._mean + 0.3 * mean
        self._largest = max(self._largest, branches)

    def size(self, waiting: int, workers: int) -> int:
        """How many of the waiting branches the next batch should have: one while their duration is unknown.

        At most a fair share of what waits, so that the workers end together, give or take LEAST_SECONDS.
        """
        if not self._mean:
            return 1
        share = max(-(-waiting // (2 * workers)), int(LEAST_SECONDS / self._mean))
        return max(1, min(int(BATCH_SECONDS / self._mean), share, waiting, self._largest * _GROWTH))

    def seconds(self, branches: int) -> float | None:
        """How long so many branches should take, None while unknown."""
        return self._mean * branches if self._mean else None
