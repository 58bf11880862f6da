"""A plan as HTML that survives an untrusted notebook: the graph, and a row for each node."""

from __future__ import annotations

from html import escape

from ..core.plan import Forecast, duration
from ..core.record import Record
from .html import graph, table, tag

_GLYPHS = {"cached": "✓", "run": "▶", "depends": "…", "passes on": "→", "fails": "✗"}


def plan_html(forecast: Forecast, record: Record) -> str:
    """What would run and why, with the graph and what is known of the time."""
    rows = [
        (
            _GLYPHS[node.status],
            node.name,
            node.text,
            "" if node.status in ("cached", "passes on") or node.seconds is None else duration(node.seconds),
        )
        for node in forecast.nodes
    ]
    title, *_ = forecast.text.splitlines()
    more = [tag("div", escape(forecast.text.splitlines()[-1].strip()))] if forecast.stopped else []
    head = tag("div", tag("strong", escape(title)), style="margin:0 0 6px 0")
    return tag("div", head, graph(record), table(("", "node", "would", "of work"), rows), *more)
