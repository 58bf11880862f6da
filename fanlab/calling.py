"""One call of a pipeline: its body is traced, and its run made when something has to run."""

from __future__ import annotations

import contextvars
import threading
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, NoReturn

from .core.expand import Shape
from .core.graph import need
from .core.pending import Pending
from .core.record import Record
from .core.trace import Trace, trace
from .errors import NotAvailable, PipelineError, StepCallError, interrupt, listed, near
from .execute.base import Deliver, Executor
from .execute.failure import failure_of
from .execute.journal import Watcher
from .execute.noting import noted
from .execute.recall import Fresh
from .execute.runner import Cancelled, Job, Runner
from .failing import raise_failure
from .runs import Run
from .show.echo import Echo
from .show.kernel import Controls
from .show.live import View
from .show.live import view as make_view
from .store.database import shared


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be run: a pipeline's body with its arguments and options."""

    name: str
    body: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    parameters: dict[str, Any]
    enable_cache: bool
    stop_on_failure: bool
    executor: Callable[[str, Deliver], Executor] | None  # None: for a plan, which runs nothing
    earlier: Run | None  # whose finished branches are taken over
    recipe: Callable[[], Any] | None = None  # makes what it can be made again from
    fresh: bool | str | Collection[str] = False  # what runs whatever the store has: all, or steps and nodes by name

    def fresh_of(self, traced: Trace, *, whole: bool) -> Fresh:
        """What runs whatever the store has of it. Raises StepCallError for a name of no step or node of the whole."""
        branches = self.earlier._chosen if self.earlier is not None else {}
        if isinstance(self.fresh, bool):
            return Fresh(self.fresh, branches=branches)
        names = frozenset([self.fresh] if isinstance(self.fresh, str) else self.fresh)
        known = dict.fromkeys(n for node in traced.graph.nodes.values() for n in (node.step.name, node.name))
        for name in sorted(names - known.keys()) if whole else ():
            raise StepCallError(
                f"fresh={name!r}: pipeline '{self.name}' has no step or node of that name",
                do=near(name, known) or f"it has {listed(known)}",
            )
        return Fresh(names=names, branches=branches)


class Call:
    """Runs an order. A body that waits for values has its first steps run while it goes on; others are traced first."""

    def __init__(self, order: Order, begun: Callable[[Run], None], *, watched: bool) -> None:
        self._order, self._begun, self._watched = order, begun, watched
        self._going: Callable[[], object] = lambda: None
        self._runner: Runner | None = None
        self.run: Run | None = None  # once something has to run
        self.views: list[View] = []

    def go(self) -> None:
        """Run it to its end. Raises what the body raises, an interrupt, and what is not a step's fault."""
        __tracebackhide__ = True  # IPython leaves our frames out
        order = self._order
        try:
            traced = trace(order.name, order.body, order.args, order.kwargs, order.enable_cache, self)
            waited = self._runner
            if waited is not None:
                waited.returned(traced.returned)
        except BaseException as error:
            self._abandon(error)
            raise
        runner = waited or self._begin(traced, whole=True)
        try:
            runner.end(self._going)
        except KeyboardInterrupt:
            if runner.in_this_thread:  # a step's own line is told
                raise
            raise interrupt(order.name) from None

    def start(self) -> Run:
        """Run it in a thread of its own; returns when it has begun, with the branches that are known by then.

        Raises what its body raises before that.
        """
        settled = threading.Event()
        begun, faults = self._begun, list[BaseException]()

        def tell(run: Run) -> None:
            begun(run)
            run._thread = thread

        def work() -> None:
            try:
                self.go()
            except BaseException as fault:  # noqa: BLE001 (told in the thread that asks)
                faults.append(fault)
                if self.run is not None:
                    self.run._fault = fault
            finally:
                settled.set()

        self._begun, self._going = tell, settled.set
        context = contextvars.copy_context()
        thread = threading.Thread(target=lambda: context.run(work), name="fanlab-run", daemon=True)
        thread.start()
        settled.wait()
        if self.run is None or not self.run.id:
            thread.join()
            raise faults[0]
        return self.run

    def load(self, trace: Trace, value: Pending) -> Any:
        """For the body: run what has been recorded so far until a value is there. Raises the run's PipelineError."""
        __tracebackhide__ = True
        runner = self._runner or self._begin(trace, whole=False)
        self._going()
        try:
            return runner.load(value)
        except (NotAvailable, Cancelled):
            self._refuse(value)
        except KeyboardInterrupt:
            if runner.in_this_thread:
                raise
            raise interrupt(self._order.name) from None

    def shape(self, node: str) -> Shape | None:
        """For the body: the branches of a node that has run, once they are known."""
        return self._runner.shape(node) if self._runner is not None else None

    def _refuse(self, value: Pending) -> NoReturn:
        __tracebackhide__ = True
        assert self.run is not None  # it has begun
        raise_failure(self.run, need(value)[0])

    def _begin(self, traced: Trace, *, whole: bool) -> Runner:
        order = self._order
        fresh = order.fresh_of(traced, whole=whole)
        store, record = shared(), Record()
        run = self.run = Run(record, store)
        name = store.run_name(order.name)
        job = Job(uuid.uuid4().hex, name, order.name, order.parameters, traced, order.stop_on_failure)
        watchers: list[Watcher] = []
        if self._watched:
            controls = Controls(run.cancel, run._run_again, lambda: runner.workers)
            view = make_view(record, controls)
            self.views.append(view)
            watchers = [Echo(record, view.make_way), view]
        keep = run._taking_over(order.earlier, traced.graph) if order.earlier is not None else None
        assert order.executor is not None  # it is to be run
        runner = self._runner = Runner(
            job,
            store,
            record,
            order.executor,
            watchers,
            keep,
            run._table,
            fresh,
            lambda: noted(order.recipe, store.artifacts, runner.backend),
        )
        run._attach(runner, traced.graph)
        runner.begin(whole=whole)
        self._begun(run)
        return runner

    def _abandon(self, error: BaseException) -> None:
        """The body has raised. After a failed value whatever else it has recorded still runs; else it ends here."""
        if self._runner is None:
            return
        told = isinstance(error, PipelineError) and error.run is self.run
        self._runner.abandon(None if told else failure_of(error))
