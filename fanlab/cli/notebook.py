"""`fanlab run NOTEBOOK`: a notebook run without a browser, with parameters, and written beside with its outputs."""

from __future__ import annotations

import ast
import contextlib
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.text import Text

from ..errors import NotAvailable, NotFound
from ..show.text import progress_line
from ..store.database import Store
from .tables import console
from .values import known, value

if TYPE_CHECKING:
    import nbformat

TAG, INJECTED = "parameters", "injected-parameters"  # papermill's tags
Tell = Callable[[str], contextlib.AbstractContextManager[None]]
LOOK_SECONDS = 0.5  # how often the store is asked how a running cell's pipeline stands


def run_notebook(path: str, given: Mapping[str, str], output: str | None) -> tuple[str, str | None]:
    """Run every cell in a new kernel. Returns where it was written, and the error of the cell that failed.

    The written notebook has the cells that ran, also after a failure or an interrupt, which is raised again.
    """
    nbformat, nbclient = _packages()
    if not os.path.isfile(path):
        raise NotFound(f"there is no notebook {path}", do=f"the working directory is {os.getcwd()}")
    notebook = nbformat.read(path, as_version=4)
    inject(notebook, {name: value(text) for name, text in given.items()}, path)
    written = output or f"{path.removesuffix('.ipynb')}-executed.ipynb"
    folder = os.path.dirname(os.path.abspath(path))
    client = nbclient.NotebookClient(
        notebook,
        timeout=None,
        record_timing=False,
        store_widget_state=False,
        resources={"metadata": {"path": folder}},
    )
    try:
        return written, _execute(client, notebook, _teller(folder))
    finally:
        nbformat.write(notebook, written)


def inject(notebook: nbformat.NotebookNode, given: Mapping[str, Any], path: str) -> None:
    """Put a cell that assigns the values after the cell tagged `parameters`, as papermill does.

    Raises NotAvailable for a notebook without such a cell, NotFound for a name that it does not assign.
    """
    nbformat, _ = _packages()
    cells = notebook.cells
    kept = [cell for cell in cells if INJECTED not in cell.metadata.get("tags", ())]
    place = next((i for i, cell in enumerate(kept) if TAG in cell.metadata.get("tags", ())), None)
    if not given:
        return
    if place is None:
        raise NotAvailable(
            f"{path} takes no parameters: it has no cell with the tag '{TAG}'",
            do=f"put the defaults in a cell of their own, and give it the tag '{TAG}' in the notebook's property panel",
        )
    known(given, _assigned(kept[place].source), path)
    source = "\n".join(f"{name} = {wanted!r}" for name, wanted in given.items())
    made = nbformat.v4.new_code_cell(f"# Parameters\n{source}", metadata={"tags": [INJECTED]})
    notebook.cells = [*kept[: place + 1], made, *kept[place + 1 :]]
    if notebook.nbformat_minor < 5:
        made.pop("id", None)


def _assigned(source: str) -> list[str]:
    names = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)]
    return [node.id for node in names if isinstance(node.ctx, ast.Store)]


def _execute(client: Any, notebook: nbformat.NotebookNode, tell: Tell) -> str | None:
    """Run the code cells one by one, and return the error's text of the first that fails."""
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    code = [(index, cell) for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    for _, cell in code:
        cell.outputs, cell.execution_count = [], None
    with (
        tempfile.TemporaryFile("w+") as raw,  # what the kernel's process itself writes, its cells' lines apart
        client.setup_kernel(stderr=raw),
        _interrupts(client) as interrupted,
    ):
        for number, (index, cell) in enumerate(code, 1):
            try:
                with tell(f"{number:3} of {len(code)}  {_title(cell.source)}"):
                    client.execute_cell(cell, index)
            except CellExecutionError:
                if interrupted.is_set():
                    raise KeyboardInterrupt from None
                return _error(cell)
            except DeadKernelError:
                raw.seek(0)
                return "\n".join(["the kernel has died", *raw.read().splitlines()[-10:]])
    return None


@contextlib.contextmanager
def _interrupts(client: Any) -> Iterator[threading.Event]:
    """Hand an interrupt on to the kernel, which does not share our terminal, so that its cell ends as in a notebook.

    A second one ends the program.
    """
    interrupted = threading.Event()

    def hand_on(*_: Any) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt
        interrupted.set()
        os.kill(client.km.provisioner.pid, signal.SIGINT)

    earlier = signal.signal(signal.SIGINT, hand_on)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, earlier)


def _title(source: str) -> str:
    lines = [line for line in source.splitlines() if line.strip() and not line.startswith(("#", "@"))]
    return lines[0][:60] if lines else ""


def _error(cell: nbformat.NotebookNode) -> str:
    """What the cell's error says, without the colours and the frames."""
    found = [output for output in cell.outputs if output.output_type == "error"]
    return f"{found[-1].ename}: {found[-1].evalue}" if found else "the cell has failed"


def _packages() -> tuple[Any, Any]:
    try:
        import nbclient
        import nbformat
    except ModuleNotFoundError as error:
        raise NotAvailable(
            f"notebooks are run by the package '{error.name}', which is not installed",
            do='pip install "fanlab[run]"',
        ) from None
    return nbformat, nbclient


def _teller(folder: str) -> Tell:
    """What tells of each cell on stderr: a line when it has ended, and in a terminal how its pipeline stands."""
    out = console(errors=True)

    @contextlib.contextmanager
    def tell(line: str) -> Iterator[None]:
        start = time.monotonic()
        mark = "✗"
        try:
            with _live(out, line, folder, start) if out.is_terminal else contextlib.nullcontext():
                yield
            mark = "✓"
        finally:
            out.print(Text(f"{mark} {line:70} {time.monotonic() - start:6.1f} s"))

    return tell


@contextlib.contextmanager
def _live(out: Any, line: str, folder: str, start: float) -> Iterator[None]:
    """One line that is written over until the cell ends."""
    done = threading.Event()
    began = time.time()
    with out.status(Text(line)) as status:

        def look() -> None:
            while not done.wait(LOOK_SECONDS):
                with contextlib.suppress(Exception):  # a run that cannot be told still runs
                    told = _running(folder, began)
                    status.update(Text(f"{line}  {told or f'{time.monotonic() - start:.0f} s'}"))

        thread = threading.Thread(target=look, name="fanlab-look", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def _running(folder: str, since: float) -> str | None:
    """How the run stands that the notebook's kernel has begun since then, read from its store."""
    root = os.path.abspath(os.path.join(folder, os.environ.get("FANLAB_STORE") or ".fanlab"))
    if not os.path.exists(os.path.join(root, "runs.sqlite")):
        return None
    store = Store(root)
    try:
        names = store.run_names(status="running", since=since, limit=1)
        if not names:
            return None
        record = store.record(store.find(names[0]))
        return progress_line(record, time.time() - record.start)
    finally:
        store.close()
