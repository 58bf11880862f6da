"""Which branch ran when, on which worker, as an SVG picture."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

from ..core.record import Record
from .details import lanes
from .failures import one_line
from .html import image
from .svg import GREY, INK, LINE, drawing, el, fitted, text_width, words
from .terminal import duration

_COLOURS = ("#0969da", "#8250df", "#1a7f37", "#bf3989", "#0e7490", "#9a6700", "#57606a", "#bc4c00")
_FAILED = "#cf222e"
_LEFT, _WIDTH, _ROW, _BAR = 84.0, 860.0, 24.0, 18.0
_TICKS = 8
_MOST_STEPS = 12  # in the legend
_FEWEST = 3  # letters of a name that is cut


class Timeline:
    """One lane a worker, or several where it runs several branches at once, and one bar a branch.

    Bars that would be thinner than a pixel are drawn as one. A notebook shows it; `svg` is the picture, and `save`
    writes it to a file.
    """

    def __init__(self, record: Record, now: float) -> None:
        self._pipeline = one_line(record.pipeline, 80)
        self.svg = timeline_svg(record, now)

    def save(self, path: str | Path) -> None:
        """Write the picture to a file."""
        Path(path).write_text(self.svg, encoding="utf-8")

    def _repr_html_(self) -> str:
        return image(self.svg, f"The timeline of {self._pipeline}")

    def __repr__(self) -> str:
        return f"<the timeline of {self._pipeline}>"


def timeline_svg(record: Record, now: float) -> str:
    """The picture: a legend of the steps, the lanes, and an axis of seconds since the run's start."""
    told = lanes(record, now)
    span = float(told["seconds"])
    names = [one_line(node.info.name, 80) for node in record.nodes.values()]
    rows = [
        ("" if position else f"worker {number}", f"process {worker}", bars)
        for number, (worker, own) in enumerate(told["lanes"], 1)
        for position, bars in enumerate(own)
    ]
    used = list(dict.fromkeys(bar[0] for _, _, bars in rows for bar in bars))
    entries = [(_COLOURS[number % len(_COLOURS)], names[number]) for number in used]
    legend, top = _legend(entries, failed=any(bar[3] for _, _, bars in rows for bar in bars))
    tops = list(accumulate((_ROW if label else _BAR + 2 for label, _, _ in rows[1:]), initial=top))
    height = tops[-1] + _ROW + 34
    parts = [
        el("rect", width=_LEFT + _WIDTH + 24, height=height, rx=8, fill="#ffffff", stroke="#d1d9e0"),
        *legend,
        *_axis(span, top, height - 34),
    ]
    for y, (label, hint, bars) in zip(tops, rows, strict=False):
        parts.append(el("rect", x=_LEFT, y=y - 1, width=_WIDTH, height=_BAR + 2, fill=LINE, fill_opacity=0.12))
        parts.append(el("g", el("title", hint), words(label, 14, y + 13, 12, GREY)))
        parts += [_bar(bar, names[bar[0]], span, y) for bar in bars]
    if not rows:
        parts.append(words("no branch has run", _LEFT, top + 14, 12, GREY))
    if told["more"]:
        parts.append(words(f"and {told['more']} more workers", 14, height - 8, 11, GREY))
    return drawing(_LEFT + _WIDTH + 24, height, *parts)


def _bar(bar: Any, name: str, span: float, y: float) -> str:
    """A bar: red where all its branches failed, underlined in red where some did."""
    number, start, seconds, failed, count = bar
    x, width = _LEFT + _WIDTH * start / span, max(_WIDTH * seconds / span, 0.75)
    colour = _FAILED if failed == count else _COLOURS[number % len(_COLOURS)]
    many = f", {count:,} branches" if count > 1 else ""
    bad = f", {failed:,} failed" if failed and count > 1 else ", failed" if failed else ""
    title = f"{name}{many}{bad}: {duration(seconds)}, from {duration(start)}"
    label = f"✗ {name}" if failed else name
    box = {"x": x, "y": y, "width": width, "height": _BAR, "rx": min(3.0, width / 3), "fill": colour}
    under = el("rect", **{**box, "y": y + _BAR - 5, "height": 5, "fill": _FAILED}) if 0 < failed < count else ""
    inside = fitted(label, width - 8, 11)
    shown = words(inside, x + 4, y + 12, 11, "#ffffff") if inside == label or len(inside) > _FEWEST else ""
    return el("g", el("title", _plain(title)), el("rect", **box), under, shown)


def _plain(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _legend(steps: list[tuple[str, str]], *, failed: bool) -> tuple[list[str], float]:
    """A coloured square and a name for each step, in lines; and where they end."""
    parts, x, y = [], 14.0, 12.0
    for colour, name in [*steps[:_MOST_STEPS], *([(_FAILED, "✗ failed")] if failed else [])]:
        name = fitted(name, 160, 12)
        width = text_width(name, 12) + 34
        if x + width > _LEFT + _WIDTH:
            x, y = 14.0, y + 20
        parts.append(el("rect", x=x, y=y, width=11, height=11, rx=2, fill=colour))
        parts.append(words(name, x + 17, y + 10, 12, INK))
        x += width
    if len(steps) > _MOST_STEPS:
        parts.append(words(f"and {len(steps) - _MOST_STEPS} more", x, y + 10, 12, GREY))
    return parts, y + 26


def _axis(span: float, top: float, bottom: float) -> Iterator[str]:
    step = 10 ** math.floor(math.log10(span / _TICKS))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= _TICKS)
    for tick in range(int(span / step) + 1):
        x = _LEFT + _WIDTH * tick * step / span
        yield el("path", d=f"M{x:g} {top - 4:g}V{bottom:g}", stroke="#e6e9ed")
        yield words(duration(tick * step), x, bottom + 16, 11, GREY, text_anchor="middle")
