"""Ranges of branches become batches: what they share travels by digest, the rest with them."""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterable
from typing import Any

from ..core.batch import Batch, RunHeader
from ..core.code_key import CodeKeys
from ..core.graph import Graph
from ..core.record import NodeRecord
from ..core.settings import settings
from ..core.spec import Node, Step
from ..errors import CannotSend, NotReloaded
from ..store import formats, hashes
from ..store.travel import by_value, dumps, first_of
from .inline import Itself
from .surroundings import portable
from .values import Values

_numbers = itertools.count()  # of batches: unique in this process, since its runs share workers


class Dispatch:
    """Makes the batches of one run."""

    def __init__(
        self,
        run: str,
        name: str,
        pipeline: str,
        store: str,
        values: Values,
        graph: Graph,
        codes: CodeKeys,
        keys: Callable[[str, int, int], bytes | None],
        *,
        halt: bool,
    ) -> None:
        self.blobs: dict[bytes, bytes] = {}
        self._run, self._values, self._graph = run, values, graph
        self._keys, self._halt = keys, halt
        self.codes = codes
        self._code: dict[int, bytes | CannotSend] = {}
        self._held: list[Itself] = []  # what stays here
        self._shared: dict[str, bytes] = {}
        header = RunHeader(
            run, name, pipeline, store, os.getcwd(), tuple(sys.path), tuple(os.environ.items()),
            logging.getLogger().level, portable(iter(warnings.filters)),
            hashes=portable(hashes.registered()), formats=portable(formats.registered()),
        )  # fmt: skip
        self._header = self._blob(dumps(header))

    def batch(self, node: NodeRecord, step: Step, start: int, stop: int, attempt: int) -> Batch:
        """A batch of the branches from start up to stop. Raises CannotSend if one of them cannot be sent."""
        shape = node.shape
        assert shape is not None  # only expanded nodes have branches to start
        keyed = shape.keys is not None or shape.blocks is not None
        reduces = shape.tree is not None
        return Batch(
            next(_numbers),
            self._run,
            self._header,
            self._function(step),
            self._arguments(node),
            node.info.name,
            node.info.outputs,
            node.mapped,
            self._graph.exploded(node.info.name),
            start,
            stop - start,
            attempt,
            self._halt,
            self._values.operands(node, start, stop)
            if reduces
            else self._values.columns(node.arguments, shape, start, stop),
            tuple(shape.label(branch) for branch in range(start, stop)) if shape.named else None,
            tuple(shape.key(branch) for branch in range(start, stop)) if keyed else None,
            self._keys(node.info.name, start, stop),
        )

    def refuse_edited(self, nodes: Iterable[Node]) -> None:
        """Raise NotReloaded if a module that a step uses has been edited since it was imported."""
        for node in nodes:
            edited = self.codes.of(node.step).reach.edited
            if edited:
                raise NotReloaded(
                    f"step '{node.step.name}' would run code that its file does not have any more: {', '.join(edited)}",
                    where=str(node.place),
                    do="reload the module and run its import again, or use `%autoreload 2`",
                )

    def _function(self, step: Step) -> bytes:
        found = self._code.get(id(step))
        if found is None:
            found = self._code[id(step)] = self._dumped(step)
        if isinstance(found, CannotSend):
            raise found
        return found

    def _dumped(self, step: Step) -> bytes | CannotSend:
        """A step's function with the modules that it uses, as they are now; by name where they cannot be sent."""
        if settings().inline:
            self._held.append(Itself((step.function, step.options.retry_on, {})))
            return self._blob(dumps(self._held[-1]))
        reach = self.codes.of(step).reach
        modules = {name: sys.modules[name] for name in reach.imports}
        ways = [
            lambda: by_value((step.function, step.options.retry_on, modules), uses=reach.uses),
            lambda: by_value((step.function, step.options.retry_on, {}), modules=False),
        ]
        try:
            return self._blob(first_of(ways))
        except Exception as error:  # noqa: BLE001 (pickling raises what it likes)
            return CannotSend(
                f"step '{step.name}' cannot be sent to a worker: {_culprit(step.function)}: "
                f"{getattr(error, 'what', error)}",
                do=getattr(error, "do", None)
                or "make it inside the step, or pass it as an argument that can be pickled",
            )

    def _arguments(self, node: NodeRecord) -> bytes:
        name = node.info.name
        if name not in self._shared:
            self._shared[name] = self._blob(dumps(self._values.shared(node)))
        return self._shared[name]

    def _blob(self, blob: bytes) -> bytes:
        key = hashlib.blake2b(blob, digest_size=16).digest()
        self.blobs[key] = blob
        return key


def _culprit(function: Callable[..., Any]) -> str:
    """Which global or closure variable keeps a function from being pickled."""
    code = getattr(function, "__code__", None)
    cells = getattr(function, "__closure__", None) or ()
    known = getattr(function, "__globals__", {})
    named: dict[str, Any] = {
        f"its global '{name}'": known[name] for name in getattr(code, "co_names", ()) if name in known
    }
    for name, cell in zip(getattr(code, "co_freevars", ()), cells, strict=False):
        named[f"its closure variable '{name}'"] = cell.cell_contents
    for what, value in named.items():
        try:
            by_value(value)
        except Exception:  # noqa: BLE001
            return f"{what}, of type {type(value).__name__}"
    return "something it refers to"
