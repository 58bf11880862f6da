"""Run the quickstart notebook without a browser, and keep it as a notebook and as one HTML page in demo-output/."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import nbformat
from jinja2 import DictLoader
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbconvert import HTMLExporter

from fanlab.client import Client

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "notebooks" / "quickstart.ipynb"
OUT = ROOT / "demo-output"
STORE = OUT / "store"

# nbconvert's page, without the scripts that it would load from the network, not wider than reads well, and with
# outputs that have no number in line with those that do.
NETWORK = ("html_head_js", "html_head_js_mathjax", "html_head_js_mermaidjs", "jupyter_widgets")
STYLE = "main { max-width: 60rem; margin: auto; } .jp-OutputPrompt:empty { padding-left: 1rem; }"
PAGE = "{% extends 'lab/index.html.j2' %}" + "".join(
    f"{{% block {name} %}}{text}{{% endblock {name} %}}"
    for name, text in [("html_head_css", f"<style>{STYLE}</style>"), *((name, "") for name in NETWORK)]
)


def main() -> int:
    """Run, write, and tell where things are. Returns the exit code."""
    OUT.mkdir(exist_ok=True)
    os.environ["FANLAB_STORE"] = str(STORE)  # the kernel inherits it
    notebook = nbformat.read(SOURCE, as_version=4)
    try:
        execute(notebook)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        print(f"\n\nthe demo has failed: {error}", file=sys.stderr)
        return 1
    finally:
        written = write(notebook)
    print(f"\nThe ranking:\n\n{ranking()}\n")
    for what, path in zip(("the notebook", "as a page", "the store"), (*written, STORE), strict=True):
        print(f"{what:>12}: {os.path.relpath(path)}")
    return 0


def execute(notebook: nbformat.NotebookNode) -> None:
    """Run the cells in a new kernel, one line each. Raises what nbclient raises at the first that fails."""
    client = NotebookClient(
        notebook,
        timeout=300,
        record_timing=False,
        store_widget_state=False,
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(SOURCE.parent)}},
    )
    cells = [(index, cell) for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    for _, cell in cells:
        cell.outputs, cell.execution_count = [], None
    with client.setup_kernel():
        for number, (index, cell) in enumerate(cells, 1):
            title = next(line for line in cell.source.splitlines() if not line.startswith("@"))
            print(f"{number:3} of {len(cells)}  {title[:60]:60}", end="", flush=True)
            start = time.monotonic()
            client.execute_cell(cell, index)
            print(f" {time.monotonic() - start:5.1f} s")


def write(notebook: nbformat.NotebookNode) -> tuple[Path, Path]:
    """Keep what has run as .ipynb and as .html that needs no network."""
    paths = OUT / "quickstart.ipynb", OUT / "quickstart.html"
    nbformat.write(notebook, paths[0])
    exporter = HTMLExporter(
        extra_loaders=[DictLoader({"page.html.j2": PAGE})], template_file="page.html.j2", embed_images=True
    )
    for cell in notebook.cells:  # a live view leaves an empty output behind, which nbconvert warns of
        cell.outputs = [output for output in cell.get("outputs", ()) if output.get("data") != {}]
    page, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": "fanlab quickstart"}})
    paths[1].write_text(page, encoding="utf-8")
    return paths


def ranking() -> str:
    """The branches of the search, best first, and the vote, as the store has them."""
    client = Client(str(STORE))
    search = client.get_pipeline("search").last_run.results
    final = client.get_pipeline("final").last_run.results
    tried = search[search["step"] == "fit"].set_index("branch")[["wrong", "accuracy"]]
    vote = final.loc["vote"]
    table = tried.sort_values("wrong", kind="stable").to_string()
    together = f"{vote['wrong']} wrong, accuracy {vote['accuracy']}"
    return f"{table}\n\nThe vote of the best five, on the test pictures: {together}"


if __name__ == "__main__":
    sys.exit(main())
