"""The frames around the nodes of inlined pipelines: what belongs to one, and where its frame stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .geometry import FRAME_SIDE, FRAME_TOP, HEIGHT, WIDTH, Picture, Point, enclosing


@dataclass(frozen=True, slots=True)
class Frame:
    """What holds the nodes of one inlined pipeline together."""

    name: str
    left: float
    top: float
    width: float
    height: float

    def holds(self, box: Point) -> bool:
        """Whether a node's box and the frame have a place in common."""
        x, y = box
        return (
            x < self.left + self.width
            and x + WIDTH > self.left
            and y < self.top + self.height
            and y + HEIGHT > self.top
        )


def group_of(name: str, step: str = "") -> str:
    """The inlined pipeline that a node of this name belongs to, "" for the pipeline's own nodes.

    A step's own name may have dots, which are no pipelines.
    """
    own = name.rfind(step) if "." in step else -1
    if own == 0 or (own > 0 and name[own - 1] == "."):
        return name[: max(own - 1, 0)]
    return name.rpartition(".")[0]


def framed(picture: Picture, groups: Sequence[str], stack: float = 0.0) -> tuple[Picture, list[Frame]]:
    """The picture with room for its frames, and the frames, outer ones first. `groups` has an entry for each node.

    A pipeline whose nodes stand around another node has none, which happens only where graphviz has not laid them
    out. Boxes are drawn wider and higher by `stack`.
    """
    members: dict[str, list[Point]] = {}
    for box, group in zip(picture.boxes, groups, strict=False):
        for name in enclosing(group):
            members.setdefault(name, []).append(box)
    found = []
    for name in sorted(members, key=lambda name: name.count(".")):
        inside = 1 + max(
            (other.count(".") - name.count(".") for other in members if other.startswith(f"{name}.")), default=0
        )
        frame = _around(name, members[name], inside, stack)
        if sum(frame.holds(box) for box in picture.boxes) == len(members[name]):
            found.append(frame)
    return _with_room(picture, found)


def _around(name: str, boxes: list[Point], depth: int, stack: float) -> Frame:
    left, top = min(x for x, _ in boxes) - depth * FRAME_SIDE, min(y for _, y in boxes) - depth * FRAME_TOP
    right = max(x for x, _ in boxes) + WIDTH + stack + depth * FRAME_SIDE
    bottom = max(y for _, y in boxes) + HEIGHT + stack + depth * FRAME_SIDE
    return Frame(name, left, top, right - left, bottom - top)


def _with_room(picture: Picture, frames: list[Frame]) -> tuple[Picture, list[Frame]]:
    """Everything moved so that no frame begins left of or above the picture, and the picture as large as it must be."""
    across = max([0.0, *(-frame.left for frame in frames)])
    down = max([0.0, *(-frame.top for frame in frames)])
    width = max([picture.width, *(frame.left + frame.width for frame in frames)]) + across
    height = max([picture.height, *(frame.top + frame.height for frame in frames)]) + down

    def moved(point: Point) -> Point:
        return round(point[0] + across, 1), round(point[1] + down, 1)

    return (
        Picture(
            round(width, 1),
            round(height, 1),
            tuple(map(moved, picture.boxes)),
            tuple((start, stop, tuple(map(moved, points))) for start, stop, points in picture.curves),
        ),
        [replace(frame, left=round(frame.left + across, 1), top=round(frame.top + down, 1)) for frame in frames],
    )
