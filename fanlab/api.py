"""The Python face: the decorators @step and @pipeline, and Pipeline.

Over 300 lines, since the options of both decorators are spelled out, twice each: for people and for type checkers.
"""

from __future__ import annotations

import datetime as dt
import functools
import inspect
import typing
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, overload

from .calling import Call, Order
from .core.spec import RECORDER, RESERVED, Options, Step
from .core.stand_in import standing_in
from .errors import StepCallError, StepDefinitionError, listed, near
from .execute.backends import choose, workers
from .execute.base import Deliver, Executor
from .failing import raise_failure
from .place import Place, shell
from .plans import Plan, plan
from .runs import Run, this_cell

ON_FAILURE = ("continue", "stop")
RetryOn = type[BaseException] | tuple[type[BaseException], ...]


@overload
def step(function: Callable[..., Any], /) -> Step: ...
@overload
def step(
    function: None = None,
    /,
    *,
    name: str | None = ...,
    retries: int = ...,
    retry_delay: float = ...,
    retry_backoff: float = ...,
    retry_on: RetryOn = ...,
    timeout: float | None = ...,
    enable_cache: bool | None = ...,
    expires_after: float | dt.timedelta | None = ...,
    max_parallel: int | None = ...,
    version: str | None = ...,
) -> Callable[[Callable[..., Any]], Step]: ...
def step(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    retries: int = 0,
    retry_delay: float = 0.0,
    retry_backoff: float = 1.0,
    retry_on: RetryOn = Exception,
    timeout: float | None = None,
    enable_cache: bool | None = None,
    expires_after: float | dt.timedelta | None = None,
    max_parallel: int | None = None,
    version: str | None = None,
) -> Step | Callable[[Callable[..., Any]], Step]:
    """Mark a function as a step, bare (`@step`) or with options (`@step(retries=2)`).

    After a failure with one of the exceptions `retry_on`, a branch is tried again up to `retries` times;
    attempt k is followed by a wait of `retry_delay * retry_backoff**(k-1)` seconds. A branch that runs longer
    than `timeout` seconds is ended. `max_parallel` bounds how many branches run at once.
    What it returned is used again where code and arguments are the same, for `expires_after` seconds (or a
    timedelta); `enable_cache=False` runs it each time, and wins over its pipeline's. `version` is part of its code.
    Outside a pipeline it stays a plain function. Raises StepDefinitionError for one that cannot be a step.

    >>> @step
    ... def double(x):
    ...     return 2 * x
    >>> double(4)
    8
    """
    options = Options(
        retries, retry_delay, retry_backoff, retry_on, timeout, enable_cache, max_parallel, version, expires_after
    )
    if function is None:
        return lambda found: _step(found, name, options)
    return _step(function, name, options)


def _step(function: Callable[..., Any], name: str | None, options: Options) -> Step:
    name = name or getattr(function, "__name__", None)
    _check(function, name)
    return Step(function, str(name), _output_names(function, str(name)), options)


def _check(function: Any, name: str | None) -> None:
    """Raise StepDefinitionError for what cannot be a step, with the way out."""
    code = getattr(function, "__code__", None)
    place = str(Place(code.co_filename, code.co_firstlineno)) if code is not None else None
    if isinstance(function, (staticmethod, classmethod)) or not callable(function):
        raise StepDefinitionError(
            f"@step takes a function, not {type(function).__name__}", place, "put @step on a function at top level"
        )
    if name is None:
        raise StepDefinitionError(
            f"{function!r} has no name to call the step by", place, 'use step(name="...")(function)'
        )
    if isinstance(function, Step):
        raise StepDefinitionError(
            f"'{name}' is a step already", place, "use .with_options(...) for a copy with other options"
        )
    parent = getattr(function, "__qualname__", name).rpartition(".")[0]
    if parent and not parent.endswith("<locals>"):
        raise StepDefinitionError(
            f"'{name}' is a method of {parent}, which cannot be a step",
            place,
            "make it a function that takes the object as an argument",
        )
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise StepDefinitionError(
            f"step '{name}' is a generator, whose value cannot be stored", place, "return a list instead of using yield"
        )
    if inspect.iscoroutinefunction(function):
        raise StepDefinitionError(
            f"step '{name}' is async, which steps cannot be yet",
            place,
            "make it a plain function that calls asyncio.run(...)",
        )
    taken = [parameter for parameter in _parameters(function) if parameter in RESERVED]
    if taken:
        raise StepDefinitionError(
            f"step '{name}' has a parameter called '{taken[0]}', which calls in a pipeline use themselves",
            place,
            f"call it something else, for example '{name}_{taken[0]}'",
        )


def _parameters(function: Callable[..., Any]) -> list[str]:
    try:
        return list(inspect.signature(function).parameters)
    except ValueError:  # written in C without a signature
        return []


def _output_names(function: Callable[..., Any], name: str) -> tuple[str, ...]:
    """The outputs that a return annotation names: `Annotated[int, "answer"]`, `tuple[A, B]`, else "output"."""
    try:
        hint = typing.get_type_hints(function, include_extras=True).get("return")
    except Exception:  # noqa: BLE001 (an annotation that cannot be read names nothing)
        return ("output",)
    parts = typing.get_args(hint) if typing.get_origin(hint) is tuple else ()
    if len(parts) < 2 or Ellipsis in parts:
        return (_annotated(hint) or "output",)
    names = tuple(_annotated(part) or f"output_{i}" for i, part in enumerate(parts))
    if len(set(names)) < len(names):
        raise StepDefinitionError(
            f"step '{name}' names two outputs alike: {listed(names)}", do="give each a name of its own"
        )
    return names


def _annotated(hint: Any) -> str | None:
    return next((extra for extra in getattr(hint, "__metadata__", ()) if isinstance(extra, str)), None)


class Pipeline:
    """A body that calls steps. Calling it records the body, runs what was recorded, and returns the Run."""

    def __init__(
        self,
        body: Callable[..., Any],
        name: str,
        enable_cache: bool = True,
        on_failure: str = "continue",
        n_jobs: int | None = None,
        backend: str | None = None,
        fresh: bool | str | Collection[str] = False,
    ) -> None:
        if on_failure not in ON_FAILURE:
            raise StepCallError(
                f"on_failure of pipeline '{name}' is {on_failure!r}",
                do="give 'continue' to let the other branches run, or 'stop' to start nothing more",
            )
        functools.update_wrapper(self, body)
        self._body, self.name = body, name
        self._options: dict[str, Any] = {
            "enable_cache": enable_cache, "on_failure": on_failure, "n_jobs": n_jobs, "backend": backend,
            "fresh": fresh,
        }  # fmt: skip
        self._last: Run | None = None
        self._lasts: Callable[[], Callable[..., Any]] | None = None  # makes a body that outlives its notebook

    def __repr__(self) -> str:
        return f"<pipeline {self.name}>"

    @property
    def last_run(self) -> Run | None:
        """The latest run in this process, or None."""
        return self._last

    def with_options(self, *, name: str | None = None, **options: Any) -> Pipeline:
        """A copy with other options: the arguments of `@pipeline`.

        `fresh=True` runs every step even where the store has its value; a step's or node's name, or a list of
        them, only those.
        """
        for option in options:
            if option not in self._options:
                raise StepCallError(
                    f"with_options of pipeline '{self.name}' has no option '{option}'",
                    do=near(option, self._options) or f"the options are name, {', '.join(self._options)}",
                )
        made = Pipeline(self._body, name or self.name, **{**self._options, **options})
        made._lasts = self._lasts
        return made

    @contextmanager
    def mock(self, **steps: Any) -> Iterator[None]:
        """For tests: runs inside the block take a value, or another function, in place of a step.

        A function is called with the step's arguments. What stands in is never taken from the store, nor kept
        there for others. Raises StepCallError, at the run, for a step that the body does not call.

            with sweep.mock(load=[1, 2, 3], save=lambda table: None):
                assert sweep().load() == 6
        """
        body = self._body
        with standing_in(self.name, body, steps) as self._body:
            try:
                yield
            finally:
                self._body = body

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run it and return its Run; in another pipeline's body, record its calls there and return what its body does.

        Raises PipelineError if a step fails; its `.run` has everything that finished.
        """
        __tracebackhide__ = True  # IPython leaves our frames out
        recorder = RECORDER.get()
        if recorder is not None:
            with recorder.group(self.name, self._options["enable_cache"]):
                return self._body(*args, **kwargs)
        run = self._run(args, kwargs)
        if run.status != "completed":
            raise_failure(run)
        return run

    def plan(self, *args: Any, **kwargs: Any) -> Plan:
        """What calling it would do: of each node whether it is in the store or would run, why, and how long that took.

        Its body is traced, and nothing runs. Where the body waits for a value with `out.load()`, the plan ends there.
        """
        __tracebackhide__ = True
        sequential = self._options["backend"] == "sequential"
        return plan(self._order(args, kwargs), 1 if sequential else workers(self._options["n_jobs"]))

    def start(self, *args: Any, **kwargs: Any) -> Run:
        """Begin to run it and return its Run at once: see Run.wait, Run.cancel and `await run`.

        The body runs in a thread of its own. This returns when it has recorded its steps; of a body that waits for
        values with `load()`, when it has come to the first of them: the rest of it runs in the background.
        """
        return self._call(args, kwargs, None, watched=False).start()

    def _run(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        earlier: Run | None = None,
        fresh: bool | str | Collection[str] | None = None,
    ) -> Run:
        """Run it and return its Run, failed or not; what `earlier` has finished is taken over."""
        __tracebackhide__ = True
        call = self._call(args, kwargs, earlier, fresh, watched=True)
        try:
            call.go()
        finally:
            for view in call.views:
                view.close()
            if call.run is not None and getattr(shell(), "kernel", None) is not None:
                call.run._shown = this_cell()
        assert call.run is not None  # something has run, or it has raised
        return call.run

    def _call(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        earlier: Run | None,
        fresh: bool | str | Collection[str] | None = None,
        *,
        watched: bool,
    ) -> Call:
        """A call of it, which is watched where it is made or runs unseen."""
        __tracebackhide__ = True
        executor = choose(self._options["n_jobs"], self._options["backend"])
        order = self._order(args, kwargs, executor, earlier, fresh)

        def begun(run: Run) -> None:
            self._last = run
            run._again = lambda found: self._run(args, kwargs, found)

        return Call(order, begun, watched=watched)

    def _order(
        self,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        executor: Callable[[str, Deliver], Executor] | None = None,
        earlier: Run | None = None,
        fresh: bool | str | Collection[str] | None = None,
    ) -> Order:
        options = self._options
        return Order(
            self.name, self._body, args, kwargs, self._bind(args, kwargs), options["enable_cache"],
            options["on_failure"] == "stop", executor, earlier,
            lambda: Recipe(self._lasting(), args, kwargs), options["fresh"] if fresh is None else fresh,
        )  # fmt: skip

    def __reduce__(self) -> Any:
        return _made, (self._lasts() if self._lasts is not None else self._body, self.name, self._options)

    def _lasting(self) -> Pipeline:
        """The same for another process and time: the store is asked there."""
        return self.with_options(fresh=False)

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        try:
            bound = inspect.signature(self._body).bind(*args, **kwargs)
        except TypeError as error:
            raise StepCallError(
                f"pipeline '{self.name}' {error}", do=f"its parameters are {inspect.signature(self._body)}"
            ) from None
        bound.apply_defaults()
        return dict(bound.arguments)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a run can be made again from in another process: its pipeline and arguments."""

    pipeline: Pipeline
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def again(self, earlier: Run) -> Run:
        """Run it, with what `earlier` has finished taken over."""
        return self.pipeline._run(self.args, self.kwargs, earlier)


def _made(body: Callable[..., Any], name: str, options: dict[str, Any]) -> Pipeline:
    """A pipeline that has travelled to another process."""
    return Pipeline(body, name, **options)


@overload
def pipeline(body: Callable[..., Any], /) -> Pipeline: ...
@overload
def pipeline(
    body: None = None,
    /,
    *,
    name: str | None = ...,
    enable_cache: bool = ...,
    on_failure: str = ...,
    n_jobs: int | None = ...,
    backend: str | None = ...,
) -> Callable[[Callable[..., Any]], Pipeline]: ...
def pipeline(
    body: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    enable_cache: bool = True,
    on_failure: str = "continue",
    n_jobs: int | None = None,
    backend: str | None = None,
) -> Pipeline | Callable[[Callable[..., Any]], Pipeline]:
    """Mark a function as a pipeline's body, bare or with options. Calling it runs it.

    With `on_failure="stop"` nothing new starts after a failure. `n_jobs` is how many workers (as in joblib:
    -1 for all cores), `backend` one of loky, threading, sequential,
    dask and ray, or a cluster's address; both default to an active
    `joblib.parallel_config`, else to all cores and loky.
    """

    def make(found: Callable[..., Any]) -> Pipeline:
        return Pipeline(found, name or found.__name__, enable_cache, on_failure, n_jobs, backend)

    return make if body is None else make(body)
