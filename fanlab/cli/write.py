"""`fanlab results`: a run's table as a table on the terminal, CSV, JSON or Parquet."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ..errors import NotAvailable
from ..step_runs import Artifact
from .tables import frame_table

if TYPE_CHECKING:
    import pandas as pd


def write(frame: pd.DataFrame, format: str, output: str | None) -> None:
    """Write it to the file, or to stdout. A value that is an Artifact is written as its type and hash."""
    plain = frame.map(lambda value: repr(value) if isinstance(value, Artifact) else value)
    plain.index.name = "name"
    if format == "table":
        if output is not None:
            raise NotAvailable("a table is for reading", do="write a file with --format csv, json or parquet")
        frame_table(plain)
    elif format == "parquet":
        _parquet(plain, output)
    elif format == "csv":
        plain.to_csv(output or sys.stdout)
    else:
        text = plain.reset_index().to_json(None, orient="records", date_format="iso", indent=2)
        if output is None:
            sys.stdout.write(f"{text}\n")
        else:
            with open(output, "w", encoding="utf-8") as file:
                file.write(f"{text}\n")


def _parquet(frame: pd.DataFrame, output: str | None) -> None:
    if output is None and sys.stdout.isatty():
        raise NotAvailable("Parquet is not for a terminal", do="name a file with --output")
    try:
        if output is None:
            sys.stdout.buffer.write(frame.to_parquet(None))
        else:
            frame.to_parquet(output)
    except ImportError as error:
        raise NotAvailable("Parquet needs a package that is not installed", do="pip install pyarrow") from error
