"""The Python face: the decorators @step and @pipeline, and Pipeline."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, overload

from .calling import Call, Order
from .core.spec import RECORDER, RESERVED, Options, Step
from .core.stand_in import standing_in
from .errors import StepCallError, StepDefinitionError, listed, near
from .execute.backends import choose
from .failing import raise_failure
from .place import Place, shell
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
    max_parallel: int | None = None,
    version: str | None = None,
) -> Step | Callable[[Callable[..., Any]], Step]:
    """Mark a function as a step, bare (`@step`) or with options (`@step(retries=2)`).

    After a failure with one of the exceptions `retry_on`, a branch is tried again up to `retries` times;
    attempt k is followed by a wait of `retry_delay * retry_backoff**(k-1)` seconds. A branch that runs longer
    than `timeout` seconds is ended. `max_parallel` bounds how many branches run at once.
    Outside a pipeline it stays a plain function. Raises StepDefinitionError for one that cannot be a step.

    >>> @step
    ... def double(x):
    ...     return 2 * x
    >>> double(4)
    8
    """
    options = Options(
        retries, retry_delay, retry_backoff, retry_on, timeout, enable_cache, max_parallel=max_parallel, version=version
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
    ) -> None:
        if on_failure not in ON_FAILURE:
            raise StepCallError(
                f"on_failure of pipeline '{name}' is {on_failure!r}",
                do="give 'continue' to let the other branches run, or 'stop' to start nothing more",
            )
        functools.update_wrapper(self, body)
        self._body, self.name = body, name
        self._options: dict[str, Any] = {
            "enable_cache": enable_cache, "on_failure": on_failure, "n_jobs": n_jobs, "backend": backend
        }  # fmt: skip
        self._last: Run | None = None

    def __repr__(self) -> str:
        return f"<pipeline {self.name}>"

    @property
    def last_run(self) -> Run | None:
        """The latest run in this process, or None."""
        return self._last

    def with_options(self, *, name: str | None = None, **options: Any) -> Pipeline:
        """A copy with other options: the arguments of `@pipeline`."""
        for option in options:
            if option not in self._options:
                raise StepCallError(
                    f"with_options of pipeline '{self.name}' has no option '{option}'",
                    do=near(option, self._options) or f"the options are name, {', '.join(self._options)}",
                )
        return Pipeline(self._body, name or self.name, **{**self._options, **options})

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

    def start(self, *args: Any, **kwargs: Any) -> Run:
        """Begin to run it and return its Run at once: see Run.wait, Run.cancel and `await run`.

        The body runs in a thread of its own. This returns when it has recorded its steps; of a body that waits for
        values with `load()`, when it has come to the first of them: the rest of it runs in the background.
        """
        return self._call(args, kwargs, None, watched=False).start()

    def _run(self, args: tuple[Any, ...], kwargs: dict[str, Any], earlier: Run | None = None) -> Run:
        """Run it and return its Run, failed or not; what `earlier` has finished is taken over."""
        __tracebackhide__ = True
        call = self._call(args, kwargs, earlier, watched=True)
        try:
            call.go()
        finally:
            for view in call.views:
                view.close()
            if call.run is not None and getattr(shell(), "kernel", None) is not None:
                call.run._shown = this_cell()
        assert call.run is not None  # something has run, or it has raised
        return call.run

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any], earlier: Run | None, *, watched: bool) -> Call:
        """A call of it, which is watched where it is made or runs unseen."""
        __tracebackhide__ = True
        options = self._options
        executor = choose(options["n_jobs"], options["backend"])
        order = Order(
            self.name, self._body, args, kwargs, self._bind(args, kwargs), options["enable_cache"],
            options["on_failure"] == "stop", executor, earlier,
        )  # fmt: skip

        def begun(run: Run) -> None:
            self._last = run
            run._again = lambda found: self._run(args, kwargs, found)

        return Call(order, begun, watched=watched)

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        try:
            bound = inspect.signature(self._body).bind(*args, **kwargs)
        except TypeError as error:
            raise StepCallError(
                f"pipeline '{self.name}' {error}", do=f"its parameters are {inspect.signature(self._body)}"
            ) from None
        bound.apply_defaults()
        return dict(bound.arguments)


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
