"""What the live view's page may ask for, of one node or branch: always of bounded size, whatever a step did."""

from __future__ import annotations

import linecache
from typing import Any

from ..core.events import Failure, Frame, Status
from ..core.record import NodeRecord, Record
from ..place import file_label, is_own
from .harmless import harmless
from .table import arguments_of

MOST_ARGUMENTS, ARGUMENT_LENGTH = 20, 200
MOST_LINES, LINE_LENGTH, LOG_LENGTH = 200, 1_000, 40_000
MOST_FRAMES, AROUND = 6, 2
MOST_NAMES, NAME_LENGTH = 2_000, 60
MOST_LANES, MOST_BARS = 64, 300
_FAILED, _CACHED, _RUNNING = int(Status.FAILED), int(Status.CACHED), int(Status.RUNNING)  # compared very often
_INSTANT = 1e-4  # seconds that two bars in one lane may share: clocks are no finer


def branch_details(node: NodeRecord, branch: int) -> dict[str, Any]:
    """One branch: its name, arguments, times, attempts, last lines, and why it failed."""
    known = node.shape is not None and branch < node.shape.size
    failure = node.branch_failure(branch)
    return {
        "name": harmless(node.name(branch) if known else node.info.name, ARGUMENT_LENGTH),
        "status": node.branch_status(branch).word if known else node.status.word,
        "arguments": _arguments(node, branch) if known else [],
        "attempts": node.attempts[branch] if known else 0,
        "worker": node.workers[branch] if known else 0,
        "begun": node.begun[branch] if known else 0,
        "ended": node.ended[branch] if known else 0,
        "because": harmless(node.because, 300),
        "error": None if failure is None else _error(failure),
        "log": _log(node, branch),
    }


def names(node: NodeRecord, start: int) -> list[str] | None:
    """What stands in the brackets of the branches from `start` on, for a part of the grid; None: their numbers."""
    if node.shape is None or (node.shape.labels is None and node.shape.keys is None):
        return None
    stop = min(start + MOST_NAMES, node.shape.size)
    return [harmless(node.shape.label(branch), NAME_LENGTH) for branch in range(max(start, 0), stop)]


def lanes(record: Record, now: float) -> dict[str, Any]:
    """The timeline: for each worker lanes of bars.

    A bar is (node, seconds from the start, seconds, how many branches failed, how many there are).
    A process that runs several branches at once has several lanes, in which no bar covers another. What was taken
    over from an earlier run is left out. Bars of one node that would be thinner than a pixel are drawn as one.
    """
    span = max((record.end or now) - record.start, 1e-6)
    thin = span / MOST_BARS
    found: dict[int, list[list[list[Any]]]] = {}  # bars as (node, start, stop, failed, branches) until they are shown
    for start, stop, worker, number, failed in _ran(record, now):
        own = found.setdefault(worker, [])
        for lane in own:
            last = lane[-1]
            if last[2] <= start + _INSTANT:
                break
        else:
            own.append([[number, start, stop, int(failed), 1]])
            continue
        if last[0] == number and start - last[2] < thin > stop - start:
            last[2] = max(stop, last[2])
            last[3] += failed
            last[4] += 1
        else:
            lane.append([number, start, stop, int(failed), 1])
    shown, room = [], MOST_LANES
    for worker, own in found.items():
        if room > 0:
            shown.append([worker, [_thinned(lane, record.start) for lane in own[:room]]])
            room -= len(own)
    return {"seconds": span, "more": len(found) - len(shown), "lanes": shown}


def _ran(record: Record, now: float) -> list[tuple[float, float, int, int, bool]]:
    """Every branch that began in this run: (start, stop, worker, node, failed), in the order of their starts.

    A worker on another machine, whose clock is behind, begins with the run at the earliest.
    """
    zero, over = record.start, record.end or now
    found: list[tuple[float, float, int, int, bool]] = []
    for number, node in enumerate(record.nodes.values()):
        calls = node.inner or node
        columns = zip(calls.begun, calls.ended, calls.workers, calls.statuses, strict=True)
        found += [
            (
                begun if begun > zero else zero,
                over if status == _RUNNING or not ended else ended,
                worker,
                number,
                status == _FAILED,
            )
            for begun, ended, worker, status in columns
            if begun and status != _CACHED and not 0 < ended < zero
        ]
    found.sort()
    return found


def _thinned(lane: list[list[Any]], zero: float) -> list[list[Any]]:
    """At most so many bars: where nodes alternate quickly, the longest are kept."""
    if len(lane) > 2 * MOST_BARS:
        longest = sorted(lane, key=lambda bar: bar[2] - bar[1], reverse=True)[: 2 * MOST_BARS]
        lane = sorted(longest, key=lambda bar: bar[1])
    return [[number, round(start - zero, 4), round(stop - start, 4), *rest] for number, start, stop, *rest in lane]


def _arguments(node: NodeRecord, branch: int) -> list[list[str]]:
    found = []
    for name, value in list(arguments_of(node, branch).items())[:MOST_ARGUMENTS]:
        found.append([harmless(name, 80), _repr(value)])
    return found


def _repr(value: Any) -> str:
    if isinstance(value, str) and len(value) > ARGUMENT_LENGTH:
        return harmless(repr(value[:ARGUMENT_LENGTH]), ARGUMENT_LENGTH) + f" ({len(value):,} characters)"
    try:
        return harmless(repr(value), ARGUMENT_LENGTH)
    except Exception as error:  # noqa: BLE001 (a repr of a user's class)
        return f"<{type(value).__name__}: its repr raises {type(error).__name__}>"


def _error(failure: Failure) -> dict[str, Any]:
    own = [frame for frame in failure.frames if is_own(frame.file)] or list(failure.frames)
    return {
        "line": harmless(f"{failure.type}: {failure.message}" if failure.message else failure.type, 2_000),
        "frames": [_frame(frame) for frame in own[-MOST_FRAMES:]],
        "left_out": max(0, len(own) - MOST_FRAMES),
    }


def _frame(frame: Frame) -> dict[str, Any]:
    around = range(max(frame.line - AROUND, 1), frame.line + AROUND + 1)
    lines: list[tuple[int, str]] = [
        (number, harmless(linecache.getline(frame.file, number).rstrip("\n"), 200)) for number in around
    ]
    while lines and not lines[-1][1]:
        lines.pop()
    if not lines:
        lines = [(frame.line, harmless(frame.text, 200))]
    return {
        "place": harmless(f"{file_label(frame.file)}, line {frame.line}", 200),
        "function": harmless(frame.function, 80),
        "line": frame.line,
        "lines": lines,
    }


def _log(node: NodeRecord, branch: int) -> dict[str, Any]:
    """The last lines, and how many there are in all."""
    every = node.logs.get(branch, [])
    kept: list[list[str]] = []
    room = LOG_LENGTH
    for stream, text, _ in reversed(every[-MOST_LINES:]):
        shown = harmless(
            text[-4 * LINE_LENGTH :].rpartition("\r")[2] if "\r" in text[-4 * LINE_LENGTH :] else text, LINE_LENGTH
        )
        room -= len(shown)
        if room < 0 and kept:
            break
        kept.append([stream, shown])
    return {"count": len(every), "lines": kept[::-1]}
