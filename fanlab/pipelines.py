"""The decorator @pipeline, and what it makes of a body: a Pipeline that runs."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Never, NoReturn, overload

from .calling import Call, Order
from .core.spec import RECORDER
from .core.stand_in import standing_in
from .core.typed import P
from .errors import StepCallError, check_options
from .execute.backends import choose, workers
from .execute.base import Deliver, Executor
from .failing import raise_failure
from .place import shell
from .plans import Plan, plan
from .runs import Run, this_cell

ON_FAILURE = ("continue", "stop")
_OF_STEPS = ("map", "product", "map_records", "reduce")


class Pipeline(Generic[P]):
    """A body that calls steps. Calling it records the body, runs what was recorded, and returns the Run."""

    def __init__(
        self,
        body: Callable[P, Any],
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

    if not TYPE_CHECKING:  # for which it has nothing else

        def __getattr__(self, name: str) -> NoReturn:
            __tracebackhide__ = True
            what = f"'{type(self).__name__}' object has no attribute '{name}'"
            if name in _OF_STEPS:
                what = f"'{self.name}' is a pipeline, which has no {name}(): only steps have, call it in a loop"
            raise AttributeError(what, name=name, obj=self)

    @property
    def last_run(self) -> Run | None:
        """The latest run in this process, or None."""
        return self._last

    def with_options(self, *, name: str | None = None, **options: Any) -> Pipeline[P]:
        """A copy with other options: the arguments of `@pipeline`.

        `fresh=True` runs every step even where the store has its value; a step's or node's name, or a list of
        them, only those.
        """
        check_options(f"with_options of pipeline '{self.name}'", options, ["name", *self._options])
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

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Run:
        """Run it and return its Run; in another pipeline's body, record its calls there and return what its body does.

        Raises PipelineError if a step fails; its `.run` has everything that finished.
        """
        __tracebackhide__ = True  # IPython leaves our frames out
        recorder = RECORDER.get()
        if recorder is not None:
            self._bind(args, kwargs)
            with recorder.group(self.name, self._options["enable_cache"]):
                value: Any = self._body(*args, **kwargs)
                return value  # type: ignore[no-any-return]
        run = self._run(args, kwargs)
        if run.status != "completed":
            raise_failure(run)
        return run

    def plan(self, *args: P.args, **kwargs: P.kwargs) -> Plan:
        """What calling it would do: of each node whether it is in the store or would run, why, and how long that took.

        Its body is traced, and nothing runs. Where the body waits for a value with `out.load()`, the plan ends there.
        """
        __tracebackhide__ = True
        sequential = self._options["backend"] == "sequential"
        return plan(self._order(args, kwargs), 1 if sequential else workers(self._options["n_jobs"]))

    def start(self, *args: P.args, **kwargs: P.kwargs) -> Run:
        """Begin to run it and return its Run at once: see Run.wait, Run.cancel and `await run`.

        The body runs in a thread of its own. This returns when it has recorded its steps, and branches that need no
        step's value are known; of a body that waits for values with `load()`, when it has come to the first of them:
        the rest of it runs in the background.
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


_OPTIONS = ("name", "enable_cache", "on_failure", "n_jobs", "backend")


def _made(body: Callable[..., Any], name: str, options: dict[str, Any]) -> Pipeline:
    """A pipeline that has travelled to another process."""
    return Pipeline(body, name, **options)


@overload
def pipeline(body: Callable[P, Any], /) -> Pipeline[P]: ...
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
) -> Callable[[Callable[P, Any]], Pipeline[P]]: ...
def pipeline(
    body: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    enable_cache: bool = True,
    on_failure: str = "continue",
    n_jobs: int | None = None,
    backend: str | None = None,
    **unknown: Never,
) -> Pipeline | Callable[[Callable[..., Any]], Pipeline]:
    """Mark a function as a pipeline's body, bare or with options. Calling it runs it.

    With `on_failure="stop"` nothing new starts after a failure. `n_jobs` is how many workers (as in joblib:
    -1 for all cores), `backend` one of loky, threading, sequential,
    dask and ray, or a cluster's address; both default to an active
    `joblib.parallel_config`, else to all cores and loky. Raises StepCallError for an option that there is not.
    """
    check_options("@pipeline", unknown, _OPTIONS)

    def make(found: Callable[..., Any]) -> Pipeline:
        return Pipeline(found, name or found.__name__, enable_cache, on_failure, n_jobs, backend)

    return make if body is None else make(body)
