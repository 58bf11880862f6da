"""Calls one step of a run here, in this process, as its worker called it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..core.batch import Batch, RunHeader
from ..core.context import RUNNING, Running
from ..core.spec import RECORDER, Argument, Step
from ..errors import NotAvailable
from ..place import shell

if TYPE_CHECKING:
    from ..step_runs import StepRun


def call_here(found: StepRun) -> Any:
    """The step's value, called with the branch's own inputs and context. Raises what the step raises."""
    __tracebackhide__ = True
    function = _function(found)
    args, kwargs = _arguments(found)
    running, recorder = RUNNING.set(_running(found)), RECORDER.set(None)
    try:
        return function(*args, **kwargs)
    finally:
        RUNNING.reset(running)
        RECORDER.reset(recorder)


def _function(found: StepRun) -> Callable[..., Any]:
    """What ran; for a run of another process, the step of that name in this notebook."""
    graph = found._run._graph
    if graph is not None and found._node.info.name in graph.nodes:
        return graph.nodes[found._node.info.name].step.function
    names = getattr(shell(), "user_ns", {})
    step = next((s for s in list(names.values()) if isinstance(s, Step) and s.name == found.step), None)
    if step is None:
        raise NotAvailable(
            f"step '{found.step}' is not known here: '{found.name}' ran in another process",
            do="run the cell that defines it, then try again",
        )
    return step.function


def _arguments(found: StepRun) -> tuple[list[Any], dict[str, Any]]:
    inputs = found.inputs
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    reduces = found._node.shape is not None and found._node.shape.tree is not None
    for argument in (Argument("args[0]", None), Argument("args[1]", None)) if reduces else found._node.arguments:
        if argument.name not in inputs:
            raise NotAvailable(
                f"'{found.name}' cannot be called: what its argument '{argument.name}' comes from has no value",
                do="debug that one first: run.results shows which steps failed",
            )
        if argument.keyword:
            kwargs[argument.name] = inputs[argument.name]
        else:
            args.append(inputs[argument.name])
    return args, kwargs


def _running(found: StepRun) -> Running:
    """What get_step_context() is told: the branch, of the run that it is of."""
    run, node = found._run, found._node
    shape, branch = node.shape, found._number
    header = RunHeader(run.id, run.name, run.pipeline, run._store.root, os.getcwd(), (), (), 0, ())
    known = node.mapped and shape is not None
    batch = Batch(
        number=-1, run=run.id, header=b"", code=b"", shared=b"", node=node.info.name, outputs=node.info.outputs,
        mapped=node.mapped, explode=(), start=branch, size=1, attempt=max(found.attempts, 1), halt=False, columns=(),
        labels=(shape.label(branch),) if known and shape is not None else None,
        keys=(shape.key(branch),) if known and shape is not None else None,
    )  # fmt: skip
    return Running(header, batch, lambda *_: None)
