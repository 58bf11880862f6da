"""Where the live view's boxes and lines go: laid out by graphviz, or in plain layers until that has answered."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .layout import render

WIDTH, HEIGHT = 190.0, 74.0  # of a box, in the page's pixels
FRAME_SIDE, FRAME_TOP = 10.0, 26.0  # what a frame around boxes takes beside and below them, and above them
_GAP_ACROSS, _GAP_DOWN = 56.0, 22.0
_INCH = 72.0
_BETWEEN = 5.0  # between two frames, at least
_PATIENCE = 0.02  # seconds; with a head start `dot` usually answers within, so that nothing moves after the first paint

Needs = tuple[tuple[int, ...], ...]  # for each node, the numbers of those that it waits for
Groups = tuple[str, ...]  # for each node, the inlined pipeline that it belongs to: "outer.inner", or ""
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Picture:
    """A layout in pixels from the top left corner."""

    width: float
    height: float
    boxes: tuple[Point, ...]  # the top left corner of each node
    curves: tuple[tuple[int, int, tuple[Point, ...]], ...]  # from, to, and the points of a chain of Bézier curves


class Layouts:
    """Pictures of a graph that may grow. Graphviz works in a thread, so that the run never waits for it."""

    def __init__(self) -> None:
        self._wanted: tuple[Needs, Groups] | None = None
        self._done: tuple[tuple[Needs, Groups], Picture | None] | None = None
        self._thread: threading.Thread | None = None

    @property
    def waiting(self) -> bool:
        """Whether graphviz has still to answer for the graph that was last asked for."""
        return self._wanted is not None and (self._done is None or self._done[0] != self._wanted)

    def picture(self, needs: Needs, groups: Groups = ()) -> Picture:
        """The best picture there is now; ask again, for graphviz may have answered meanwhile."""
        self.begin(needs, groups)
        if self.waiting and self._thread is not None:
            self._thread.join(_PATIENCE)
        done = self._done
        if done is not None and done[0] == (needs, groups) and done[1] is not None:
            return done[1]
        return layered(needs)

    def begin(self, needs: Needs, groups: Groups = ()) -> None:
        """Have graphviz begin. While it works on an earlier graph nothing happens: ask again."""
        self._wanted = needs, groups
        if not self.waiting or (self._thread is not None and self._thread.is_alive()):
            return
        self._thread = threading.Thread(target=self._work, args=(needs, groups), name="fanlab-layout", daemon=True)
        self._thread.start()

    def _work(self, needs: Needs, groups: Groups) -> None:
        try:
            self._done = (needs, groups), drawn(needs, groups)
        except Exception:  # noqa: BLE001 (neither dot nor WebAssembly: the layers stay)
            self._done = (needs, groups), None


def drawn(needs: Needs, groups: Groups = ()) -> Picture:
    """The picture by graphviz. Raises what the renderer raises."""
    return parsed(render(source(needs, groups), "plain"), len(needs))


def source(needs: Needs, groups: Groups = ()) -> str:
    """The graph for graphviz: boxes of one size, numbered; those of an inlined pipeline in a cluster."""
    lines = [
        "digraph pipeline {",
        f'rankdir=LR nodesep="{_GAP_DOWN / _INCH:.3f}" ranksep="{_GAP_ACROSS / _INCH:.3f}"',
        f'node [shape=box fixedsize=true label="" width="{WIDTH / _INCH:.4f}" height="{HEIGHT / _INCH:.4f}"]',
        "edge [arrowhead=none tailport=e headport=w]",
        *_clusters(groups or ("",) * len(needs)),
        *(f"n{source} -> n{number}" for number, sources in enumerate(needs) for source in sources),
        "}",
    ]
    return "\n".join(lines)


def _clusters(groups: Groups) -> Iterator[str]:
    """Every node, and around those of one inlined pipeline a cluster with room for a frame and its name.

    A cluster is named by its number; graphviz joins parts of one cluster that stand apart.
    """
    clusters: dict[str, int] = {}
    for number, group in enumerate(groups):
        names = enclosing(group)
        for name in names:
            cluster = clusters.setdefault(name, len(clusters))
            yield f'subgraph cluster_{cluster} {{ margin={FRAME_SIDE + _BETWEEN:g} label="x" fontsize=8'
        yield f"n{number} {'}' * len(names)}"


def enclosing(group: str) -> list[str]:
    """A group and those that it is inside of, from the outermost: `a.b` is in `a`."""
    parts = group.split(".") if group else []
    return [".".join(parts[: length + 1]) for length in range(len(parts))]


def parsed(plain: str, count: int) -> Picture:
    """Graphviz's "plain" output as a Picture. See https://graphviz.org/docs/outputs/plain/."""
    width = height = 0.0
    boxes: list[Point] = [(0.0, 0.0)] * count
    curves = []
    for words in map(str.split, plain.replace("\\\n", "").splitlines()):
        if words[0] == "graph":
            width, height = float(words[2]) * _INCH, float(words[3]) * _INCH
        elif words[0] == "node":
            x, y, wide, high = (float(word) * _INCH for word in words[2:6])
            boxes[int(words[1][1:])] = round(x - wide / 2, 1), round(height - y - high / 2, 1)
        elif words[0] == "edge":
            numbers = [float(word) * _INCH for word in words[4 : 4 + 2 * int(words[3])]]
            points = tuple(
                (round(x, 1), round(height - y, 1)) for x, y in zip(numbers[::2], numbers[1::2], strict=True)
            )
            curves.append((int(words[1][1:]), int(words[2][1:]), points))
    return Picture(round(width, 1), round(height, 1), tuple(boxes), tuple(curves))


def layered(needs: Needs) -> Picture:
    """Every node one column after the last that it waits for, in order from the top."""
    columns = _columns(needs)
    rows: list[int] = []
    used: dict[int, int] = {}
    for column in columns:
        rows.append(used.get(column, 0))
        used[column] = rows[-1] + 1
    most = max(used.values(), default=0)
    step_across, step_down = WIDTH + _GAP_ACROSS, HEIGHT + _GAP_DOWN
    boxes = tuple(
        (column * step_across, (row + (most - used[column]) / 2) * step_down)
        for column, row in zip(columns, rows, strict=True)
    )
    curves = tuple(
        (source, number, _curve(boxes[source], boxes[number]))
        for number, sources in enumerate(needs)
        for source in sources
    )
    return Picture(
        max(len(used) * step_across - _GAP_ACROSS, 0.0), max(most * step_down - _GAP_DOWN, 0.0), boxes, curves
    )


def order(needs: Needs) -> list[int]:
    """The nodes so that each comes after those that it waits for; else in call order."""
    columns = _columns(needs)
    if all(source < number for number, sources in enumerate(needs) for source in sources):
        return list(range(len(needs)))
    return sorted(range(len(needs)), key=lambda number: (columns[number], number))


def _columns(needs: Needs) -> list[int]:
    """The length of the longest way to each node."""
    columns = [0] * len(needs)
    for _ in needs:  # once, unless a node waits for one that was called later
        before = list(columns)
        for number, sources in enumerate(needs):
            columns[number] = max((columns[source] + 1 for source in sources), default=0)
        if columns == before:
            break
    return columns


def _curve(start: Point, stop: Point) -> tuple[Point, ...]:
    x, y = start[0] + WIDTH, start[1] + HEIGHT / 2
    to_x, to_y = stop[0], stop[1] + HEIGHT / 2
    middle = (x + to_x) / 2
    return (x, y), (middle, y), (middle, to_y), (to_x, to_y)


def path(points: Sequence[Point]) -> str:
    """A chain of Bézier curves as the `d` of an SVG path."""
    rest = [" ".join(f"{x:g},{y:g}" for x, y in points[i : i + 3]) for i in range(1, len(points), 3)]
    return f"M{points[0][0]:g},{points[0][1]:g} C{' '.join(rest)}" if points else ""
