"""The magics themselves: the words of a line are parsed here, and what they ask for is handed on."""

from __future__ import annotations

import argparse
import re
from typing import Any

import traitlets
from IPython.core.displayhook import DisplayHook
from IPython.core.error import UsageError
from IPython.core.magic import (
    Magics,
    line_cell_magic,
    line_magic,
    magics_class,
    no_var_expand,
    output_can_be_silenced,
)
from IPython.core.magic_arguments import argument, magic_arguments

from ..execute.backends import BACKENDS
from .arguments import Suggested, backend_name, bindable, nbytes, number, parse, time
from .body import CellText, compile_body
from .combine import combine_cell
from .pipeline import Pipelines
from .step import define, options_of, split_line
from .tool import WORDS, answer

_BARE_FRESH = re.compile(r"(?<!\S)--fresh(?!\S)")  # its value is optional, and never the word that follows it


@magics_class
class FanlabMagics(Magics):
    """%%pipeline, %%step, %%combine and %fanlab. What is set here holds for cells that say nothing else."""

    shell: Any
    n_jobs = traitlets.Int(
        None, allow_none=True, help="How many workers a %%pipeline cell uses; -1 for all cores."
    ).tag(config=True)
    backend = traitlets.Enum(BACKENDS, None, allow_none=True, help=f"Where branches run: {', '.join(BACKENDS)}.").tag(
        config=True
    )
    allow_failed = traitlets.Bool(
        False, help="Whether %%pipeline and %%combine cells report failed branches without raising."
    ).tag(config=True)

    def __init__(self, shell: Any, cell: CellText) -> None:
        super().__init__(shell, parent=shell)
        self._cell = cell
        self.pipelines = Pipelines(shell)

    @no_var_expand
    @output_can_be_silenced
    @line_cell_magic
    @magic_arguments("%pipeline")
    @argument("name", metavar="NAME", help="what the pipeline is called; bound to it afterwards")
    @argument("-j", "--n-jobs", metavar="N", help="how many workers; -1 for all cores (the default)")
    @argument(
        "--backend",
        type=backend_name,
        choices=Suggested(BACKENDS),
        metavar="NAME",
        help=f"where branches run: {', '.join(BACKENDS)}, or a cluster's address",
    )
    @argument(
        "--fresh", metavar="STEP", help="run every step (--fresh), or one (--fresh=STEP), whatever the store has of it"
    )
    @argument("--plan", action="store_true", help="show what would run and why, and run nothing")
    @argument("--allow-failed", action="store_true", help="report failed branches without raising")
    def pipeline(self, line: str, cell: str | None = None) -> Any:
        """Run the cell as a pipeline's body: its step calls become a graph, which runs on all cores.

        Afterwards the names that the body assigned are plain values, and NAME is the pipeline:
        NAME.last_run.results is the table of all branches.
        """
        __tracebackhide__ = True
        cell = _cell_of("pipeline", "NAME", "the calls of steps", cell)
        options = parse(self.pipeline, "%%pipeline", _BARE_FRESH.sub("--fresh=", line))
        bindable(self.shell, "%%pipeline", options.name)
        fresh = False if options.fresh is None else options.fresh or True
        jobs = number(self.shell, "%%pipeline", "--n-jobs", options.n_jobs)
        body = compile_body(self.shell, self._cell.raw, "pipeline", cell)
        made = self.pipelines.make(
            options.name, body, jobs if jobs is not None else self.n_jobs, options.backend or self.backend
        )
        if options.plan:
            return made.plan(fresh)
        return made.run(allow_failed=options.allow_failed or self.allow_failed, fresh=fresh)

    @no_var_expand
    @line_cell_magic
    @magic_arguments("%step")
    @argument("name", metavar="NAME(SIGNATURE)", help="the step with its parameters, as after `def`")
    @argument("--retries", metavar="N", help="how often a failed branch is tried again")
    @argument("--retry-delay", metavar="SECONDS", help="how long to wait before the first new attempt")
    @argument("--retry-backoff", metavar="FACTOR", help="by how much each further wait is longer")
    @argument("--retry-on", metavar="EXCEPTION", help="on which exceptions: one, or several with commas between")
    @argument("--timeout", metavar="SECONDS", help="a branch that runs longer is ended")
    @argument("--enable-cache", action=argparse.BooleanOptionalAction, help="whether branches are taken from the store")
    @argument("--expires-after", metavar="SECONDS", help="how long what it returned is used again")
    @argument("--max-parallel", metavar="N", help="how many of its branches may run at once")
    @argument("--version", metavar="TEXT", help="counts as part of the code: a new one runs the step again")
    def step(self, line: str, cell: str | None = None) -> None:
        """Make the cell the body of a step; its last expression is the step's value.

        `%%step fit(frame, alpha=1.0)` is the same as @step on `def fit(frame, alpha=1.0):` with `return` before
        the last expression. NAME is bound to the step.
        """
        __tracebackhide__ = True
        cell = _cell_of("step", "NAME(SIGNATURE)", "its body", cell)
        header, words = split_line(line)
        options = options_of(self.shell, parse(self.step, "%%step", words))
        define(self.shell, self._cell.raw, header, cell, options)

    @no_var_expand
    @line_cell_magic
    @magic_arguments("%combine")
    @argument("name", metavar="NAME", help="bound to the cell's value")
    @argument("--from", dest="source", metavar="PIPELINE", help="whose results; the last one run, if left out")
    @argument("--step", metavar="STEP", help="only the rows of this step")
    @argument("--allow-failed", action="store_true", help="take the results of a run with failed branches too")
    @argument("--sql", action="store_true", help="the cell is a DuckDB query over `results`")
    def combine(self, line: str, cell: str | None = None) -> Any:
        """Run the cell as a fan-in: `results` is the table of a pipeline's last run, NAME becomes the cell's value.

        Other names that the body assigns stay in the cell. It is drawn as the last node of that run's graph.
        """
        __tracebackhide__ = True
        cell = _cell_of("combine", "NAME", "what is to be made of `results`", cell)
        options = parse(self.combine, "%%combine", line)
        bindable(self.shell, "%%combine", options.name)
        run = self.pipelines.source(options.source)
        if run.status != "completed" and not (options.allow_failed or self.allow_failed):
            raise UsageError(
                f"the last run of '{run.pipeline}' is {run.status}: mend it and run it again, "
                "or take what it has with --allow-failed"
            )
        value = combine_cell(self.shell, self._cell.raw, cell, run, options.name, options.step, sql=options.sql)
        if not options.sql and DisplayHook.semicolon_at_end_of_expression(cell):  # SQL ends with one as well
            return None
        return value

    @no_var_expand
    @line_magic
    @magic_arguments("fanlab")
    @argument("what", choices=WORDS, help="; ".join(f"{word}: {what}" for word, what in WORDS.items()))
    @argument("run", nargs="?", metavar="RUN", help="a run's name, or a beginning of it")
    @argument(
        "--older-than", type=time, metavar="TIME", help="gc: forget runs that began longer ago, as in 30d, 12h or 90m"
    )
    @argument(
        "--unused-for", type=time, metavar="TIME", help="gc: forget runs whose values nobody has used for so long"
    )
    @argument(
        "--max-size", type=nbytes, metavar="SIZE", help="gc: then the least recently used, until so much is left: 10GB"
    )
    def fanlab(self, line: str) -> Any:
        """Look at the store's runs, run what is missing of one, or check that everything fanlab needs is there."""
        __tracebackhide__ = True
        options = parse(self.fanlab, "%fanlab", line)
        return answer(self.shell, self.pipelines, options)


def _cell_of(magic: str, what: str, body: str, cell: str | None) -> str:
    """The cell below a magic's line. Raises UsageError for the line magic of the same name, which there is not."""
    if cell is None:
        raise UsageError(f"%{magic} is for whole cells: begin one with %%{magic} {what}, and write {body} below")
    return cell
