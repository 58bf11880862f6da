"""%%combine: a cell over the results of a run, in Python or in SQL."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from typing import Any

from IPython.core.error import UsageError

from ..errors import NotFound
from ..runs import Run
from .body import compile_body
from .recorded import combine, rows_of


def combine_cell(shell: Any, raw: str, cell: str, run: Run, name: str, step: str | None, *, sql: bool) -> Any:
    """Run the cell over the run's results, and bind its value to `name`. Names that it assigns stay in it."""
    __tracebackhide__ = True
    if sql:
        duckdb = _duckdb()
    else:
        body = compile_body(shell, raw, "combine", cell)
    if run.pipeline == name:
        raise UsageError(f"%%combine {name} would take the name of the pipeline that it reads: give it another one")
    try:
        results, nodes = rows_of(run, step)
    except NotFound as error:
        raise UsageError(f"%%combine --step: {error.what}: {error.do}") from None

    def call() -> Any:
        __tracebackhide__ = True
        if sql:
            return _query(duckdb, cell, results)
        return body.run({**shell.user_ns, "results": results})

    value = shell.user_ns[name] = combine(name, run, nodes, step, call)
    return value


def _duckdb() -> Any:
    try:
        import duckdb
    except ImportError:
        raise UsageError(
            "%%combine --sql needs DuckDB, which is not installed here: pip install 'fanlab[sql]'"
        ) from None
    return duckdb


def _query(duckdb: Any, query: str, results: Any) -> Any:
    """The table that a query over `results` gives. Raises UsageError with DuckDB's own words."""
    __tracebackhide__ = True
    try:
        query.encode()
        count = len(duckdb.extract_statements(query))
        if count != 1:
            raise UsageError(f"a %%combine --sql cell is one query, and this one has {count}")
        with duckdb.connect() as connection:
            connection.execute("set python_enable_replacements = false")  # else our own variables are tables
            connection.register("results", _plain(results))
            return connection.execute(query).df()
    except (duckdb.Error, UnicodeError) as error:  # the latter for lone surrogates
        raise UsageError(f"%%combine --sql: {error}") from None


def _plain(results: Any) -> Any:
    """The table as DuckDB takes it: what has no type of its own there, as an artifact or a path, is its text."""
    objects = [name for name in results.columns if results[name].dtype == object]
    texts = [name for name in objects if {type(value) for value in results[name].dropna()} - _KNOWN]
    return results.assign(**{name: results[name].map(str, na_action="ignore").astype("string") for name in texts})


_KNOWN = {decimal.Decimal, dt.date, dt.time, dt.timedelta, uuid.UUID, bytes}
