"""Rows as a Markdown table, and as bars in SVG: how much of what is wanted each one takes."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from measure import Row

_LINE = 26
_LEFT, _WIDE = 330, 300


def table(rows: Sequence[Row], machine: str) -> str:
    """The table, with what it was measured on."""
    lines = ["# fanlab measured", "", f"On {machine}; medians, ratios pair by pair. Made by `make bench`.", ""]
    lines += ["| what | measured | is | wanted | reached |", "|---|---|---|---|---|"]
    for row in rows:
        bound = "≥" if row.least else "≤"
        reached = "yes" if row.reached else "**no**"
        lines.append(f"| {row.name} | {row.figure} | {row.ratio:.2f} {row.unit} | {bound} {row.reach:g} | {reached} |")
    return "\n".join(lines) + "\n"


def bars(rows: Sequence[Row]) -> str:
    """A bar for each row, its length the share of what is wanted: left of the line is better."""
    scale = _WIDE / 1.5
    height = _LINE * len(rows) + 50
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDE + 90}" height="{height}" '
        'font-family="sans-serif" font-size="13" fill="#888888">'
    ]
    for number, row in enumerate(rows):
        share = row.reach / row.ratio if row.least else row.ratio / row.reach
        top = 10 + number * _LINE
        wide = max(2.0, min(share, 1.5) * scale)
        colour = "#2a9d8f" if row.reached else "#e76f51"
        parts.append(f'<text x="{_LEFT - 8}" y="{top + 14}" text-anchor="end">{escape(row.name)}</text>')
        parts.append(f'<rect x="{_LEFT}" y="{top}" width="{wide:.0f}" height="{_LINE - 8}" fill="{colour}"/>')
        parts.append(f'<text x="{_LEFT + wide + 6:.0f}" y="{top + 14}">{share:.2f}</text>')
    line = _LEFT + scale
    parts.append(
        f'<line x1="{line:.0f}" y1="4" x2="{line:.0f}" y2="{height - 30}" stroke="#888888" stroke-dasharray="4 3"/>'
    )
    parts.append(
        f'<text x="{line:.0f}" y="{height - 12}" text-anchor="middle">what is wanted: shorter is better</text></svg>'
    )
    return "\n".join(parts) + "\n"
