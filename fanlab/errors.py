"""Every exception of fanlab.

FanlabError
├── StepDefinitionError (TypeError)   a function that cannot be a step
├── StepCallError (TypeError)         a step called with arguments or options that do not fit
├── GraphError (ValueError)           names and order: a taken id, an unknown `after`, a cycle, no steps
├── FanOutError (ValueError)          a map or product that has no clear branches
├── NoValueYet (TypeError)            an Output used as a value while the body is recorded
├── PipelineError (RuntimeError)      a run that did not complete; `.run` holds what did
├── CannotSend (TypeError)            an argument or global that cannot travel to a worker
├── CannotStore (TypeError)           a result that cannot be kept
├── Unhashable (TypeError)            a value that has no content that could be compared
├── NotReloaded (RuntimeError)         a module whose file has been edited since it was imported
├── WorkerDied (RuntimeError)         a branch's process ended under it
├── StepTimeout (TimeoutError)        a branch ran longer than its step's timeout
├── NotFound (KeyError)               no run, pipeline, step, branch or output of that name
├── NotAvailable (RuntimeError)       something asked for at a time or place that does not have it
└── StoreError (OSError)              a store that cannot be read or written
"""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable
from typing import Any

from .place import Place, here, is_own


class FanlabError(Exception):
    """The root of fanlab's exceptions: what happened, where, and what to do, one line each."""

    def __init__(self, what: str, where: str | None = None, do: str | None = None) -> None:
        super().__init__(what, where, do)
        self.what, self.where, self.do = what, where, do

    def __str__(self) -> str:
        """The message: what, then where and what to do on lines of their own."""
        lines = [self.what]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.do:
            lines.append(f"  do:    {self.do}")
        return "\n".join(lines)

    def _render_traceback_(self) -> list[str]:
        """What IPython shows instead of a traceback: the message, with the user's own line that led here."""
        return [f"{type(self).__name__}: {FanlabError(self.what, self.where or _led_here(self), self.do)}"]


def interrupt(pipeline: str) -> KeyboardInterrupt:
    """The interrupt of a run, as it is raised anew: where in here it came says nothing to a person."""
    error = KeyboardInterrupt(f"'{pipeline}' has been interrupted")
    what, do = str(error), "run it again to go on: what has finished is kept"
    error._render_traceback_ = lambda: [f"KeyboardInterrupt: {FanlabError(what, _led_here(error), do)}"]  # type: ignore[attr-defined]
    return error


def _led_here(error: BaseException) -> str | None:
    """The last of the user's own lines in a traceback."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_own(frame.filename)]
    return str(Place(frames[-1].filename, frames[-1].lineno or 0)) if frames else None


class StepDefinitionError(FanlabError, TypeError):
    """A function has been marked as a step that cannot be one."""


class StepCallError(FanlabError, TypeError):
    """A step has been called in a body with arguments or options that do not fit it."""


class GraphError(FanlabError, ValueError):
    """The calls of a body do not make a graph: a taken id, an unknown `after`, a cycle, no steps."""


class FanOutError(FanlabError, ValueError):
    """A map or a product has no clear branches: nothing to map over, unequal lengths, equal names."""


class NoValueYet(FanlabError, TypeError):  # noqa: N818 (the name says what is the case, as KeyError does not)
    """An Output or Branches has been used as a value while the body is still being recorded."""


class PipelineError(FanlabError, RuntimeError):
    """A run has not completed. `.run` holds everything that did; `__cause__` is the step's own exception."""

    run: Any = None


class CannotSend(FanlabError, TypeError):  # noqa: N818
    """An argument, or something a step's function refers to, cannot be sent to a worker."""


class CannotStore(FanlabError, TypeError):  # noqa: N818
    """A step's result cannot be stored."""


class Unhashable(FanlabError, TypeError):  # noqa: N818
    """A value has no content that could be compared: what depends on it cannot be cached."""


class NotReloaded(FanlabError, RuntimeError):  # noqa: N818
    """A step uses a module whose file has been edited since it was imported: what would run is not what is written."""


class WorkerDied(FanlabError, RuntimeError):  # noqa: N818
    """The process that ran a branch has ended before the branch did."""


class StepTimeout(FanlabError, TimeoutError):  # noqa: N818
    """A branch has run longer than its step's timeout, and its worker was ended."""


class NotFound(FanlabError, KeyError):  # noqa: N818
    """There is no run, pipeline, step, branch or output of that name."""


class NotAvailable(FanlabError, RuntimeError):  # noqa: N818
    """Something has been asked for at a time or place that does not have it."""


class StoreError(FanlabError, OSError):
    """A store cannot be read or written."""


def near(name: str, names: Iterable[object], *, quote: str = "'") -> str:
    """The part of a message that suggests names like `name`, or "" where none is near.

    >>> near("lod", ["load", "fit"])
    "did you mean 'load'?"
    """
    found = difflib.get_close_matches(name, dict.fromkeys(str(n) for n in names), n=3, cutoff=0.6)
    return f"did you mean {' or '.join(f'{quote}{n}{quote}' for n in found)}?" if found else ""


def check_options(of: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Raise StepCallError for the first option that there is not, at the user's line, with the nearest that there is.

    >>> check_options("@step", ["retries"], ["retries", "timeout"])
    """
    for option in given:
        if option not in known:
            raise StepCallError(
                f"{of} has no option '{option}'",
                str(here()),
                near(option, known) or f"the options are {', '.join(known)}",
            )


def listed(names: Iterable[object], most: int = 5) -> str:
    """Names in a row, cut at `most` with a count of the rest.

    >>> listed(["a", "b", "c"], most=2)
    "'a', 'b' and 1 more"
    """
    everything = [f"'{name}'" for name in names]
    if len(everything) <= most:
        return ", ".join(everything)
    return f"{', '.join(everything[:most])} and {len(everything) - most} more"
