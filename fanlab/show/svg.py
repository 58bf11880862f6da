"""A run's graph as one SVG picture: a card per node with its state, a fan-out as one stack of cards with a bar.

The cards have their own light ground, so that the picture reads on a light page and on a dark one.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from ..core.events import Combined, Status
from ..core.record import NodeRecord, Record
from .failures import one_line
from .frames import Frame, framed, group_of
from .geometry import HEIGHT, WIDTH, Point, layered, path
from .geometry import drawn as laid_out
from .text import node_text

MOST_NODES = 200  # a larger graph is not drawn in a record
_MARGIN, _STACK = 12.0, 4.0
FONT = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',sans-serif"
INK, GREY, _TRACK, LINE = "#1f2328", "#59636e", "#dfe3e8", "#8c959f"
_BOTH = "#77818c"  # can be read on a light page and on a dark one


@dataclass(frozen=True, slots=True)
class Look:
    """How a status looks."""

    ink: str  # of the border, the mark and the word
    ground: str
    mark: str  # the path of the glyph, in a circle of radius 8
    dashed: bool = False


_DONE = Look("#1a7f37", "#f2fbf4", "M-3.6 .2l2.6 2.7 4.8-5.4")
LOOKS = {
    Status.QUEUED: Look("#6e7781", "#ffffff", "M-3 0h6"),
    Status.RUNNING: Look("#0969da", "#f0f7ff", "M0-4.2v4.2l3 2"),
    Status.COMPLETED: _DONE,
    Status.CACHED: _DONE,
    Status.FAILED: Look("#cf222e", "#fff3f2", "M-3-3l6 6m0-6l-6 6"),
    Status.SKIPPED: Look("#6e7781", "#f6f8fa", "M-3.2 3.2l6.4-6.4", dashed=True),
    Status.CANCELLED: Look("#9a6700", "#fff9e8", "M-2.6-2.6h5.2v5.2h-5.2z", dashed=True),
}
_BAR = ((Status.COMPLETED, Status.CACHED), (Status.FAILED,), (Status.CANCELLED,), (Status.SKIPPED,))


def graph_svg(record: Record) -> str:
    """The picture: one <svg> element. Where neither `dot` nor its WebAssembly works, nodes stand in plain layers."""
    nodes = list(record.nodes.values())
    numbers = {node.info.name: number for number, node in enumerate(nodes)}
    combined = list(record.combined.values())
    sources = [node.info.needs for node in nodes] + [cell.nodes for cell in combined]
    needs = tuple(tuple(numbers[name] for name in names if name in numbers) for names in sources)
    groups = tuple(group_of(node.info.name, node.info.step) for node in nodes) + ("",) * len(combined)
    try:
        picture = laid_out(needs, groups)
    except Exception:  # noqa: BLE001 (a renderer raises what it likes)
        picture = layered(needs)
    picture, frames = framed(picture, groups, _STACK)
    inside = {frame.name for frame in frames}
    curves = (el("path", d=path(points), marker_end="url(#arrow)") for _, _, points in picture.curves)
    return drawing(
        picture.width + 2 * _MARGIN + _STACK,
        picture.height + 2 * _MARGIN + _STACK,
        _ARROW,
        *(_frame(frame) for frame in frames),
        el("g", *curves, fill="none", stroke=LINE, stroke_width=1.3),
        *(_card(node, number, picture.boxes[number], inside) for number, node in enumerate(nodes)),
        *(_combined(cell, picture.boxes[len(nodes) + number]) for number, cell in enumerate(combined)),
        origin=(-_MARGIN, -_MARGIN),
    )


def drawing(width: float, height: float, *children: str, origin: Point = (0, 0)) -> str:
    """An <svg> element of so many pixels whose top left corner is `origin`."""
    box = f"{origin[0]:g} {origin[1]:g} {width:g} {height:g}"
    start = el("svg", *children, width=round(width), height=round(height), viewBox=box, font_family=FONT, font_size=12)
    return start.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)


def el(name: str, *children: str, **attributes: str | float) -> str:
    """One element. Children are SVG; attribute values are numbers or text, which is escaped; `_` in names is `-`."""
    pairs = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(value) if isinstance(value, str) else f"{value:g}"}"'
        for key, value in attributes.items()
    )
    return f"<{name}{pairs}>{''.join(children)}</{name}>"


def words(text: str, x: float, y: float, size: float, ink: str, **attributes: str | float) -> str:
    """A user's text in the picture."""
    return el("text", _text(text), x=x, y=y, font_size=size, fill=ink, **attributes)


_ARROW = el(
    "defs",
    el(
        "marker", el("path", d="M.5.8 7 4 .5 7.2z", fill=LINE), id="arrow", viewBox="0 0 8 8", refX=7, refY=4,
        markerWidth=8, markerHeight=8, orient="auto", markerUnits="userSpaceOnUse",
    ),
)  # fmt: skip


def _card(node: NodeRecord, number: int, at: Point, inside: set[str]) -> str:
    """One node: mark and name, the state in words, and of a fan-out the count and the bar."""
    group = group_of(node.info.name, node.info.step)
    own = node.info.name[len(group) + 1 :]
    look = LOOKS[node.overall()]
    box = _box(look, dashed=look.dashed)
    count = f"×{node.shape.size:,}" if node.mapped and node.shape is not None else ""
    middle = 28 if node.mapped else HEIGHT / 2 - 6
    parts = [
        el("title", _text(one_line(node.info.name, 200))),
        *(el("rect", x=far, y=far, stroke_opacity=0.45, **box) for far in (2 * _STACK, _STACK) if node.mapped),
        el("rect", stroke_width=1.4, **box),
        words(count, WIDTH - 12, middle, 12, GREY, text_anchor="end"),
        *_told(look, own if group in inside else node.info.name, _state(node), middle, 50 + text_width(count, 12)),
        _bar(node, 14, HEIGHT - 14, WIDTH - 28) if node.mapped else "",
    ]
    return el("g", *parts, id=f"n{number}", transform=f"translate({at[0]:g} {at[1]:g})")


def _combined(cell: Combined, at: Point) -> str:
    """A combine cell that has read the run's results."""
    look = LOOKS[cell.status]
    parts = (
        el("title", _text(one_line(cell.name, 200))),
        el("rect", stroke_width=1.4, **_box(look, dashed=True)),
        *_told(look, cell.name, f"combine cell, {cell.status.word}", HEIGHT / 2 - 6, 50),
    )
    return el("g", *parts, transform=f"translate({at[0]:g} {at[1]:g})")


def _box(look: Look, *, dashed: bool) -> dict[str, str | float]:
    return {
        "width": WIDTH, "height": HEIGHT, "rx": 8, "stroke": look.ink, "fill": look.ground,
        "stroke_dasharray": "4 3" if dashed else "none",
    }  # fmt: skip


def _told(look: Look, name: str, state: str, middle: float, taken: float) -> Iterator[str]:
    """The mark, the name beside it in the room that is not taken, and the state below."""
    yield el("g", mark(look), transform=f"translate(20 {middle - 4:g})")
    yield words(fitted(one_line(name, 80), WIDTH - taken, 13.5), 35, middle, 13.5, INK, font_weight=600)
    yield words(fitted(state, WIDTH - 28, 11.5), 14, middle + 20, 11.5, look.ink)


def mark(look: Look) -> str:
    """The glyph of a status round (0, 0), in the way of the live view's."""
    glyph = el(
        "path", d=look.mark, fill="none", stroke="#fff", stroke_width=1.8, stroke_linecap="round",
        stroke_linejoin="round",
    )  # fmt: skip
    return el("circle", r=8, fill=look.ink) + glyph


def _state(node: NodeRecord) -> str:
    """The state in words, short, since the count stands beside it: `12 of 12 completed`, `9 completed, 3 failed`."""
    text = node_text(node)
    return text if ", " not in text or not node.mapped else text.replace(f" of {len(node.branches()):,} ", " ", 1)


def _bar(node: NodeRecord, x: float, y: float, width: float) -> str:
    size = node.shape.size if node.shape is not None else 0
    parts = [el("rect", x=x, y=y, width=width, height=5, rx=2.5, fill=_TRACK)]
    begun = x
    for statuses in _BAR if size else ():
        share = width * node.count(*statuses) / size
        if share:
            share = max(share, 3.0)
            left = min(begun, x + width - share)
            parts.append(el("rect", x=left, y=y, width=share, height=5, rx=2.5, fill=LOOKS[statuses[0]].ink))
            begun += share
    return "".join(parts)


def _frame(frame: Frame) -> str:
    ground = el(
        "rect", x=frame.left, y=frame.top, width=frame.width, height=frame.height, rx=10, fill=LINE, fill_opacity=0.1,
        stroke=LINE, stroke_opacity=0.6,
    )  # fmt: skip
    name = fitted(one_line(frame.name, 80), frame.width - 18, 11)
    return ground + words(name, frame.left + 10, frame.top + 17, 11, _BOTH)


def fitted(text: str, width: float, size: float) -> str:
    """The text, cut so that it takes so many pixels at most."""
    if text_width(text, size) <= width:
        return text
    while text and text_width(text, size) + size > width:
        text = text[:-1]
    return f"{text.rstrip()}…"


def text_width(text: str, size: float) -> float:
    """About how many pixels a text takes; rather too many than too few."""
    return sum(_share(character) for character in text) * size


def _share(character: str) -> float:
    if character in "iljtfrI.,:;|!'()[] ":
        return 0.36
    if character in "mwMW@%":
        return 0.9
    if unicodedata.east_asian_width(character) in "WF":
        return 1.05
    return 0.0 if unicodedata.combining(character) else 0.62


def _text(text: str) -> str:
    """Text as XML; what XML cannot hold was made fit before."""
    return escape(text, quote=False).replace("\n", " ").replace("\t", " ")
