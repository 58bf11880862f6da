"""How a run that has not completed is told: the PipelineError, where it arose, and the step's own exception."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, NoReturn

from .core.events import Failure
from .errors import FanlabError, PipelineError
from .show.failures import where
from .show.kinds import others
from .show.table import arguments_of
from .show.text import short_repr

if TYPE_CHECKING:
    from .runs import Run


def raise_failure(run: Run, wanted: str = "") -> NoReturn:
    """Raise the PipelineError of a run that has not completed; its cause is the first step's own exception.

    With `wanted`, the first of those because of which this node has no value.
    """
    record = run._record
    failures = [f for f in record.failures() if not f[0].info.tolerated] or list(record.failures())
    if wanted:
        because = (wanted, record.nodes[wanted].because)
        failures.sort(key=lambda f: f[0].info.name not in because)
    if record.failure is not None:
        raise_body_failure(run, record.failure)
    if not failures:
        error = PipelineError(f"run '{run.name}' is {run.status}", do="use run.results for what is finished")
        error.run = run
        raise error
    node, branch, failure = failures[0]
    arguments = arguments_of(node, branch)
    given = ", ".join(f"{name}={_shown(value)}" for name, value in arguments.items())
    found = cause(failure)
    travelled = failure.exception is not None and type(found).__qualname__ == failure.type
    ours = found if isinstance(found, FanlabError) and travelled else None
    error = PipelineError(
        f"{node.name(branch)}{f' ({_short(given)})' if given else ''} failed: {failure.type}: "
        f"{ours.what if ours is not None else failure.message}{others(failures)}",
        where=(ours.where if ours is not None else None) or where(failure) or _called(run, node.info.name),
        do=(ours.do if ours is not None else None)
        or "mend the step and run again; error.run.results has everything that finished",
    )
    error.run = run
    raise error from found


def _called(run: Run, node: str) -> str | None:
    """The line that calls a step, where its body ran in this process: of failures that no line of it has raised."""
    return str(run._graph.nodes[node].place) if run._graph is not None else None


def raise_body_failure(run: Run, failure: Failure) -> NoReturn:
    """Raise the PipelineError of a run whose body has raised after steps had run."""
    error = PipelineError(
        f"the body of '{run.pipeline}' failed: {failure.type}: {failure.message}",
        where=where(failure),
        do="mend the body and run again; error.run.results has everything that finished",
    )
    error.run = run
    raise error from cause(failure)


def cause(failure: Failure) -> BaseException:
    """The exception that a step raised, as far as it could be carried here, with a note of where."""
    found: BaseException | None = None
    if failure.exception is not None:
        try:
            found = pickle.loads(failure.exception)
        except Exception:  # noqa: BLE001 (an exception that cannot be rebuilt is told by its line)
            found = None
    if not isinstance(found, BaseException):
        found = FanlabError(failure.line)
    place = where(failure)
    if place:
        found.add_note(f"raised at {place}")
    return found


def _shown(value: object) -> str:
    try:
        return repr(value)
    except ValueError:  # an integer of more digits than Python writes
        return short_repr(value)


def _short(text: str, most: int = 80) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
