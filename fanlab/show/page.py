"""A run as one HTML page that needs nothing else: the record, the timeline, every branch, errors, environment.

What users wrote is text in it, never markup, and the page's own policy forbids scripts and everything from elsewhere.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import platform
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.metadata import PackageNotFoundError, version
from statistics import median
from typing import TYPE_CHECKING, Any

from ..core.events import Status
from ..core.record import NodeRecord, Record
from .branches import branch_name, chosen, value_text
from .failures import groups, one_line, traceback_lines
from .harmless import harmless
from .html import graph, image, tag
from .terminal import duration
from .text import GLYPHS, node_text, step_name
from .timeline import timeline_svg

if TYPE_CHECKING:
    import pandas as pd

MOST_BRANCHES = 20_000  # rows of the page
MOST_ERRORS = 100
_TRACEBACK_LENGTH = 20_000
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_FIXED = ("step", "branch", "status", "error")
_STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --soft: #59636e; --line: #d1d9e0; --ground: #fff; --tint: #f6f8fa; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --soft: #9198a1; --line: #3d444d; --ground: #0d1117; --tint: #151b23; }
}
body { font: 14px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); margin: 0 auto;
  max-width: 1240px; padding: 24px; }
h1 { font-size: 22px; margin: 0; } h2 { font-size: 16px; margin: 32px 0 8px; }
dl.facts { display: flex; flex-wrap: wrap; gap: 4px 28px; margin: 8px 0 24px; }
dl.facts div { display: flex; gap: 8px; } dt { color: var(--soft); } dd { margin: 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: 3px 16px 3px 0; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; position: sticky; top: 0; background: var(--ground); }
td { white-space: pre-wrap; overflow-wrap: anywhere; max-width: 520px; unicode-bidi: plaintext; }
td.number, th.number { text-align: right; }
details { margin: 6px 0; } summary { cursor: pointer; } details > table { margin: 6px 0 12px 14px; }
pre { background: var(--tint); border-left: 3px solid #cf222e; padding: 10px 12px; overflow-x: auto; margin: 6px 0; }
.failed { color: #cf222e; } .completed { color: #1a7f37; } .soft { color: var(--soft); }
@media (prefers-color-scheme: dark) { .failed { color: #ff7b72; } .completed { color: #3fb950; } }
.wide { overflow-x: auto; }
body:has(#only:checked) tr.good { display: none; }
"""


def page(
    record: Record, results: pd.DataFrame, profile: pd.DataFrame, environment: Mapping[str, Any], now: float
) -> str:
    """The whole page. `results` and `profile` have a row for each branch, in the order of `record.walk()`."""
    title = one_line(record.pipeline, 80)
    sections = [
        _head(record, now),
        graph(record),
        _section("Steps", _steps(record)),
        _section("Timeline", image(timeline_svg(record, now), f"The timeline of {title}")),
        _section("Errors", *_errors(record)) if any(True for _ in record.failures()) else "",
        _section("Branches", *_branches(record, results, profile)),
        _section("Environment", _environment(environment)) if environment else "",
    ]
    head = tag(
        "head",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        tag("title", escape(f"{title}: {record.status}")),
        f"<style>{_STYLE}</style>",
    )
    return f"<!doctype html>\n{tag('html', head, tag('body', tag('main', *sections)), lang='en')}\n"


def made_with() -> dict[str, str]:
    """What made the page: Python, the machine, and the packages that count."""
    found = {"Python": platform.python_version(), "machine": platform.platform()}
    for package in ("fanlab", "joblib", "pandas", "numpy"):
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _head(record: Record, now: float) -> str:
    end = record.end or now
    counts = record.counts()
    facts = {
        "run": record.name,
        "started": dt.datetime.fromtimestamp(record.start, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
        "took": duration(max(end - record.start, 0.0)),
        "branches": ", ".join(f"{count:,} {status.word}" for status, count in counts.items() if count),
    }
    items = (tag("div", tag("dt", name), tag("dd", escape(one_line(text, 200)))) for name, text in facts.items())
    status = tag("span", escape(record.status), class_=record.status)
    return tag("h1", escape(one_line(record.pipeline, 80)), " ", status) + tag("dl", *items, class_="facts")


def _section(title: str, *parts: str) -> str:
    return tag("section", tag("h2", title), *parts)


def _steps(record: Record) -> str:
    rows = []
    for node in record.nodes.values():
        seconds = [e - b for b, e in zip(node.begun, node.ended, strict=True) if b and e]
        told = (sum(seconds), median(seconds), max(seconds)) if seconds else ()
        rows.append(
            (
                f"{GLYPHS[node.overall()]} {step_name(node)}",
                node_text(node) + (f", {node.count(Status.CACHED):,} cached" if node.count(Status.CACHED) else ""),
                *(duration(value) for value in told),
                *("" for _ in range(3 - len(told))),
            )
        )
    return _table(("step", "branches", "in all", "median", "longest"), rows, numbers=(2, 3, 4))


def _errors(record: Record) -> Iterable[str]:
    """Each error once, with its traceback and the branches that have it."""
    found = groups(record)
    for group in found[:MOST_ERRORS]:
        text = harmless("\n".join(traceback_lines(group.failure)), _TRACEBACK_LENGTH)
        yield tag(
            "details",
            tag("summary", tag("strong", escape(group.who)), ": ", escape(group.error)),
            tag("pre", escape(text)),
            **({"open": ""} if group is found[0] else {}),
        )
    if len(found) > MOST_ERRORS:
        yield tag("p", f"and {len(found) - MOST_ERRORS:,} more errors", class_="soft")


def _branches(record: Record, results: pd.DataFrame, profile: pd.DataFrame) -> Iterable[str]:
    """Every node with its branches; of very many those without a value come first."""
    yield tag("label", '<input type="checkbox" id="only"> only those without a value')
    begun, room = 0, MOST_BRANCHES
    for node in record.nodes.values():
        size = len(node.branches())
        numbers = chosen(node, max(room, 10))
        room -= len(numbers)
        rows = [begun + number for number in numbers]
        begun += size
        if not numbers:
            continue
        title = f"{step_name(node)}: {size:,} branch{'es' if size > 1 else ''}" if node.mapped else step_name(node)
        if len(numbers) < size:
            title += f", {len(numbers):,} of them here, first those without a value"
        table = _node_table(record, node, numbers, results.iloc[rows], profile.iloc[rows])
        yield tag("details", tag("summary", escape(title)), tag("div", table, class_="wide"))


def _node_table(
    record: Record, node: NodeRecord, numbers: Sequence[int], results: pd.DataFrame, profile: pd.DataFrame
) -> str:
    values = {name: results[name].tolist() for name in results if name not in _FIXED and results[name].notna().any()}
    took = {name: profile[name].tolist() for name in ("attempts", "worker", "seconds", "peak_mb")}
    starts = [node.begun[number] if node.shape is not None else 0.0 for number in numbers]
    rows, classes = [], []
    for position, number in enumerate(numbers):
        failure = node.branch_failure(number)
        status = node.branch_status(number)
        rows.append(
            (
                branch_name(node, number),
                *(_cell(column[position]) for column in values.values()),
                f"{GLYPHS[status]} {status.word}",
                *(_number(took[name][position]) for name in took),
                f"{starts[position] - record.start:.3f}" if starts[position] >= record.start > 0 else "",
                one_line(failure.line, 500) if failure is not None else "",
            )
        )
        classes.append("good" if status in (Status.COMPLETED, Status.CACHED) else "without")
    names = [one_line(str(name), 80) for name in values]
    head = ("name", *names, "status", "attempts", "worker", "seconds", "peak MB", "start", "error")
    first = 2 + len(names)
    return _table(head, rows, classes, numbers=range(first, first + 5))


def _environment(environment: Mapping[str, Any]) -> str:
    rows = []
    for name, value in environment.items():
        text = "\n".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, Mapping) else str(value)
        rows.append((one_line(str(name), 80), harmless(text, 20_000)))
    return tag("details", tag("summary", "Python, packages and machine"), _table(("", ""), rows))


def _table(
    head: Sequence[str], rows: Iterable[Sequence[str]], classes: Sequence[str] = (), numbers: Iterable[int] = ()
) -> str:
    """A table of text."""
    right = {number: {"class_": "number"} for number in numbers}
    top = tag("tr", *(tag("th", escape(text), scope="col", **right.get(i, {})) for i, text in enumerate(head)))
    body = [
        tag(
            "tr",
            *(tag("td", escape(text), **right.get(i, {})) for i, text in enumerate(row)),
            **({"class_": classes[number]} if classes else {}),
        )
        for number, row in enumerate(rows)
    ]
    return tag("table", tag("thead", top), tag("tbody", *body))


def _cell(value: Any) -> str:
    """A value of the table: missing ones are empty, texts stand without quotes."""
    if value is None or type(value).__name__ == "NAType" or (isinstance(value, float) and value != value):
        return ""
    return one_line(value, 200) if isinstance(value, str) else value_text(value)


def _number(value: Any) -> str:
    text = _cell(value)
    return f"{float(value):.3f}" if text and isinstance(value, float) else text
