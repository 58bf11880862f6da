"""A run's record as HTML that survives an untrusted notebook: tables, details and an image, styled in attributes.

What is kept there of a notebook that nobody has trusted yet is listed in JupyterLab's
packages/apputils/src/sanitizer.ts: no script, no style element, no image/svg+xml.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from ..core.record import NodeRecord, Record
from .branches import arguments_text, branch_name, branch_word, chosen
from .failures import Group, groups, one_line
from .local import within
from .text import GLYPHS, MOST_ERRORS, MOST_STEPS, node_text, record_text, step_name

MOST_BRANCHES = 200  # rows of branches in a record
PICTURE = "fanlab"  # the name of the images whose data differ between machines: see fanlab.testing
_CELL = "text-align:left;vertical-align:top;padding:2px 14px 2px 0"
_WIDE = f"{_CELL};white-space:pre-wrap;overflow-wrap:anywhere"
_ERROR = "border-left:3px solid #cf222e;padding:2px 0 2px 10px;margin:8px 0;white-space:pre-wrap;overflow-wrap:anywhere"
_FIT = 1400  # pixels: a wider picture is scrolled instead of being made small


def bundle(record: Record) -> dict[str, str]:
    """The record as a front end takes it, with the graph drawn."""
    return {"text/html": record_html(record, draw=True), "text/plain": record_text(record)}


def tag(name: str, *children: str, **attributes: str) -> str:
    """One element. Children are HTML; attribute values are text and are escaped.

    >>> tag("td", "a", title='"x"')
    '<td title="&quot;x&quot;">a</td>'
    """
    pairs = "".join(f' {key.rstrip("_")}="{escape(value)}"' for key, value in attributes.items())
    return f"<{name}{pairs}>{''.join(children)}</{name}>"


def record_html(record: Record, *, draw: bool = False) -> str:
    """The record: its status, the graph if asked for, a row per node, the first errors, and the branches.

    No clock, id, path or cached count; only the image's data differ between machines.
    """
    word = tag("span", _glyph(record), " ", escape(record.status), style="white-space:nowrap")
    title = tag("div", tag("strong", escape(one_line(record.pipeline, 80))), " ", word, style="margin:0 0 6px 0")
    return tag("div", title, graph(record) if draw else "", _steps(record), *_errors(record), *_branches(record))


def image(svg: str, alt: str) -> str:
    """An SVG picture as an <img> that holds its own data."""
    data = base64.b64encode(svg.encode()).decode()
    width = int(svg.partition(' width="')[2].partition('"')[0].removesuffix("pt"))
    fit = "max-width:100%;height:auto" if width <= _FIT else f"max-width:none;width:{width}px"
    picture = f'<img name="{PICTURE}" alt="{escape(alt)}" src="data:image/svg+xml;base64,{data}" style="{fit}"/>'
    return tag("div", picture, style="overflow-x:auto;margin:0 0 6px 0")


def graph(record: Record) -> str:
    """The graph; "" where it is too large to be read, and where it cannot be drawn: the record is shown without it."""
    from .svg import MOST_NODES, graph_svg

    if not 0 < len(record.nodes) <= MOST_NODES:
        return ""
    try:
        return image(graph_svg(record), f"The graph of {one_line(record.pipeline, 80)}")
    except Exception:  # noqa: BLE001 (a run that cannot draw is a run)
        return ""


def _steps(record: Record) -> str:
    nodes = list(record.nodes.values())
    rows = [(GLYPHS[node.overall()], step_name(node), node_text(node)) for node in nodes[:MOST_STEPS]]
    if len(nodes) > len(rows):
        rows.append(("", f"and {len(nodes) - len(rows):,} more steps", ""))
    return table(("", "step", "branches"), rows)


def _errors(record: Record) -> list[str]:
    """The first errors, those of one kind together, each with the line that raised; and a count of the rest."""
    found = groups(record)
    shown = [_error(group) for group in found[:MOST_ERRORS]]
    rest = sum(group.all.count for group in found[MOST_ERRORS:])
    return [*shown, tag("div", f"and {rest:,} more failed")] if rest else shown


def _error(group: Group) -> str:
    """What branches of one kind say, each with its branches, and the line that raised."""
    told = [tag("strong", escape(who)) + "\n" + escape(error) for who, error in group.told]
    return tag("div", "\n".join(filter(None, (*told, group.rest, escape(group.place)))), style=_ERROR)


def _branches(record: Record) -> list[str]:
    """One thing to open for each fan-out: its branches, so many in all at most."""
    mapped = [node for node in list(record.nodes.values())[:MOST_STEPS] if node.mapped and node.shape is not None]
    return [_details(node, max(1, MOST_BRANCHES // len(mapped))) for node in mapped if node.branches()]


def _details(node: NodeRecord, most: int) -> str:
    size = len(node.branches())
    numbers = chosen(node, most)
    title = f"{step_name(node)}: {size:,} branch{'es' if size > 1 else ''}"
    if len(numbers) < size:
        title += f", {len(numbers)} of them here, first those without a value; results has all"
    rows = []
    for branch in numbers:
        failure = node.branch_failure(branch)
        status = f"{GLYPHS[node.branch_status(branch)]} {branch_word(node, branch)}"
        error = one_line(within(failure.line), 200) if failure is not None else ""
        rows.append((branch_name(node, branch), arguments_text(node, branch), status, error))
    found = table(("name", "arguments", "status", "error"), rows, {1: _WIDE, 3: _WIDE})
    return tag("details", tag("summary", escape(title), style="cursor:pointer"), found, style="margin:4px 0")


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]], styles: dict[int, str] | None = None) -> str:
    """A table of text."""
    styles = styles or {}
    top = tag("tr", *(tag("th", title, scope="col", style=_CELL) for title in head))
    body = [
        tag("tr", *(tag("td", escape(text), style=styles.get(i, _CELL)) for i, text in enumerate(row))) for row in rows
    ]
    return tag("table", tag("thead", top), tag("tbody", *body), style="margin:0;border-collapse:collapse")


def _glyph(record: Record) -> str:
    return {"completed": "✓", "failed": "✗", "running": "◐"}.get(record.status, "■")
