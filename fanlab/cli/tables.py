"""Tables and messages on the terminal, by Rich. What users wrote is text, never markup."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..errors import FanlabError
from ..runs import Run

if TYPE_CHECKING:
    import pandas as pd

WIDE = 10_000  # columns of an output that is no terminal: nothing is cut
_COLOURS = {"completed": "green", "failed": "red", "running": "blue", "cancelled": "yellow", "interrupted": "yellow"}


def console(*, errors: bool = False) -> Console:
    """Standard output, or standard error; a file or a pipe gets plain lines that are not cut."""
    stream = sys.stderr if errors else sys.stdout
    return Console(file=stream, width=None if stream.isatty() else WIDE, highlight=False, markup=False, emoji=False)


def say(text: str, *, errors: bool = False) -> None:
    """A line or more of plain text."""
    console(errors=errors).print(Text(text), soft_wrap=True)


def say_error(error: FanlabError) -> None:
    """An error's message on stderr: what, where and what to do."""
    out = console(errors=True)
    out.print(Text.assemble((f"{type(error).__name__}: ", "bold red"), str(error)), soft_wrap=True)


def runs_table(runs: Sequence[Run]) -> None:
    """A row for each run: its name, pipeline, status, start and duration."""
    rows = [
        (
            run.name,
            run.pipeline,
            Text(run.status, _COLOURS.get(run.status, "")),
            f"{run.start_time:%Y-%m-%d %H:%M:%S}" if run.start_time else "",
            f"{run.duration:.1f} s" if run.duration is not None else "",
        )
        for run in runs
    ]
    show(("run", "pipeline", "status", "start (UTC)", "took"), rows)


def frame_table(frame: pd.DataFrame) -> None:
    """A DataFrame with its index, NA as an empty cell."""
    rows = [(str(row[0]), *map(_cell, row[1:])) for row in frame.itertuples()]
    show(("", *map(str, frame.columns)), rows)


def show(heads: Iterable[str], rows: Iterable[Iterable[str | Text]]) -> None:
    """Print a table."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for head in heads:
        table.add_column(Text(head), overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(cell) for cell in row))
    console().print(table)


def _cell(value: Any) -> str:
    import pandas as pd

    return "" if pd.api.types.is_scalar(value) and pd.isna(value) else str(value)
