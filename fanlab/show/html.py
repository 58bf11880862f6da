"""A run as a small HTML table that survives an untrusted notebook: no script, no style element."""

from __future__ import annotations

from html import escape

from ..core.events import Status
from ..core.record import Record
from .text import error_lines, node_text

# A glyph and a word tell a status; colour is left to the page.
GLYPHS = {
    Status.QUEUED: "○",
    Status.RUNNING: "◐",
    Status.COMPLETED: "✓",
    Status.CACHED: "✓",  # as a completed one: the record is the same for a cold and a warm run
    Status.FAILED: "✗",
    Status.SKIPPED: "⊘",
    Status.CANCELLED: "■",
}
_CELL = "text-align:left;padding:2px 12px 2px 0"


def tag(name: str, *children: str, **attributes: str) -> str:
    """One element. Children are HTML; attribute values are text and are escaped.

    >>> tag("td", "a", title='"x"')
    '<td title="&quot;x&quot;">a</td>'
    """
    pairs = "".join(f' {key.rstrip("_")}="{escape(value)}"' for key, value in attributes.items())
    return f"<{name}{pairs}>{''.join(children)}</{name}>"


def record_html(record: Record) -> str:
    """The record: pipeline and status, a row per node, the first errors. No clock, id, path or cached count."""
    head = tag("tr", *(tag("th", title, scope="col", style=_CELL) for title in ("", "step", "branches")))
    rows = [
        tag(
            "tr",
            tag("td", GLYPHS[node.overall()], style=_CELL),
            tag("td", escape(node.info.name), style=_CELL),
            tag("td", escape(node_text(node)), style=_CELL),
        )
        for node in record.nodes.values()
    ]
    errors = [tag("pre", escape(line), style="margin:4px 0;white-space:pre-wrap") for line in error_lines(record)]
    title = tag("div", tag("strong", escape(record.pipeline)), ": ", escape(record.status))
    return tag("div", title, tag("table", tag("thead", head), tag("tbody", *rows)), *errors)
