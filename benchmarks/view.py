"""What the live view costs, and how fast it is: in a kernel whose page is open in a browser.

Runs with the view and without it show the record at the end. 10,000 branches that do nothing are over before a view
is worth opening, so that they are also measured with one that opens at once, with branches of a fifth of a
millisecond, whose view is open for most of the run, and with 200,000. Then one run of 200,000 branches is watched.

python benchmarks/view.py            all, written to benchmarks/results/view.md
python benchmarks/view.py watched    one of costs, watched, paint: only printed
"""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

RESULTS = Path(__file__).parent / "results"
PAIRS = 9
PAINTS = 5
PAINT_SECONDS = 0.3
REACH, LARGE_REACH = 1.15, 1.05
SNAPSHOTS, BYTES = 9.0, 20_000  # a second, and of each
SETUP = """
import json, statistics, threading, time
from IPython.display import clear_output
import fanlab.show.kernel as kernel, fanlab.show.live as live
from fanlab import pipeline, step

@step(enable_cache=False)
def nothing(n):
    return n

@step(enable_cache=False)
def short(n, seconds=0.0002):
    time.sleep(seconds)
    return n

@step(enable_cache=False)
def uneven(n):
    time.sleep(0.0001 * (1 + n % 7))
    if n % 100 == 13:
        raise ValueError(n)
    return n

@pipeline(enable_cache=False)
def sweep(step, count):
    step.map(range(count))

@pipeline(enable_cache=False, n_jobs=2)
def large():
    total(uneven.map(range(200_000)).successful())

@step(enable_cache=False)
def total(values):
    return len(values)

with_view, opened = live.InKernel, []
class RecordOnly(live.Nowhere):
    def close(self):
        from IPython.display import display
        display(live.bundle(self._record), raw=True)
def without(record, controls, bundle):
    return RecordOnly(record)

def seconds(make, step, count):
    clear_output()  # thirty records in one page would slow it down
    live.InKernel = make
    begun = time.perf_counter()
    sweep(step, count)
    return time.perf_counter() - begun

open_, sent = kernel.InKernel._open, []
def counting(self):
    opened.append(1)
    sent.clear()
    open_(self)
    self._widget.observe(lambda change: sent.append((time.time(), change["new"])), "state")
kernel.InKernel._open = counting
"""
COSTS = f"""
found = {{}}
first, worthwhile = kernel.FIRST_SECONDS, kernel.InKernel._worthwhile
for name, step, count in (
    ("of 0.2 ms", short, 10_000), ("that do nothing", nothing, 10_000), ("that do nothing", nothing, 1_000_000),
    ("that do nothing, opened at once", nothing, 10_000), ("that do nothing, opened at once", nothing, 200_000),
):
    if name.endswith("at once"):
        kernel.FIRST_SECONDS = 0.0
        kernel.InKernel._worthwhile = lambda self, now: bool(self._record.id)
    print("measuring", count, "branches", name, flush=True)
    seconds(with_view, step, count), seconds(without, step, count)
    opened.clear()
    pairs = [(seconds(with_view, step, count), seconds(without, step, count)) for _ in range({PAIRS})]
    ratios = [a / b for a, b in pairs]
    medians = [statistics.median(values) for values in (*zip(*pairs), ratios)]
    found[f"{{count:,}} branches {{name}}"] = [*medians, len(opened)]
live.InKernel, kernel.FIRST_SECONDS, kernel.InKernel._worthwhile = with_view, first, worthwhile
print("RESULT" + json.dumps(found))
"""

LARGE = "clear_output()\nrun = large()"
SENT = "print(json.dumps([(when, len(json.dumps(state, separators=(',', ':')))) for when, state in sent]))"
SLOW = "%%pipeline slow -j 2\nshort.with_options(name='slow').map(range(12), seconds=0.1)"
PAINT = """() => new Promise(done => {
    const begun = performance.now();
    const watch = new MutationObserver(() => {
        if (!document.querySelector(".fanlab .fl-node")) return;
        watch.disconnect();
        requestAnimationFrame(() => done((performance.now() - begun) / 1000));
    });
    watch.observe(document.body, { childList: true, subtree: true });
    jupyterapp.commands.execute("notebook:run-cell");
})"""


def browser_tests() -> Any:
    """The server, browser and notebook of the tests."""
    path = Path(__file__).parents[1] / "tests" / "browser" / "conftest.py"
    spec = importlib.util.spec_from_file_location("browser_conftest", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Measure in a real JupyterLab; print the figures and write them down."""
    tests, wanted = browser_tests(), "".join(sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = tests.Server(Path(folder) / "lab", ["jupyterlab", *tests.JUPYTER])
        try:
            path = server.root / "bench.ipynb"
            tests.write_notebook(path, ["%load_ext fanlab", SETUP, COSTS, LARGE, SLOW])
            page = playwright.chromium.launch(
                executable_path=shutil.which("chromium"),
                args=["--no-proxy-server", "--disable-dev-shm-usage", "--no-sandbox"],
            ).new_page()
            page.set_default_timeout(300_000)
            page.goto(f"{server.url}/doc/tree/bench.ipynb")
            page.wait_for_function("window.jupyterapp?.shell?.currentWidget?.context?.isReady")
            page.wait_for_function("jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status === 'idle'")
            notebook = tests.Notebook(page, path)
            for cell in (0, 1):
                choose(page, cell)
                notebook.command("notebook:run-cell")
            parts = [part for part in (costs, watched, paint) if wanted in ("", part.__name__)]
            lines = [found for part in parts for found in part(notebook)]
        finally:
            server.close()
    if wanted:
        return
    head = ["| what | with the view, and without | measured | wanted |", "|---|---|---|---|"]
    title = (
        f"# What the live view costs\n\nOn {os.cpu_count()} cores, Python {platform.python_version()}, with Chromium."
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "view.md").write_text("\n".join([title + " Made by `make bench-view`.", "", *head, *lines, ""]))


def costs(notebook: Any) -> Iterator[str]:
    """How much longer runs take with the view than without."""
    page = notebook.page
    choose(page, 2)
    notebook.command("notebook:run-cell")
    text = notebook.output(2).inner_text()
    if "RESULT{" not in text:
        sys.exit(text)
    for name, (ours, theirs, ratio, opened) in json.loads(text.partition("RESULT")[2].splitlines()[0]).items():
        reach = LARGE_REACH if name.startswith("1,000,000") else REACH
        what = f"{name}; the view opened in {opened} of {PAIRS} runs"
        yield row(what, f"{ours:.3f} s, {theirs:.3f} s", f"{ratio:.2f} x", f"<= {reach} x", ratio <= reach)


def watched(notebook: Any) -> Iterator[str]:
    """Snapshots of one run of 200,000 branches while a person looks at one thing after the other."""
    page = notebook.page
    choose(page, 3)
    page.evaluate("void jupyterapp.commands.execute('notebook:run-cell')")
    page.wait_for_selector(".fanlab .fl-node")
    times = [time.time()]
    notebook.wait_done(0, 60_000)
    times.append(time.time())
    page.click(".fl-node[data-node='0']")
    page.click(".fl-cell[data-branch='13']")
    page.wait_for_selector(".fl-panel .fl-error")
    notebook.wait_done(0, 120_000)
    times.append(time.time())
    page.click(".fl-tab[data-tab='timeline']")
    page.wait_for_selector(".fl-lanes")
    notebook.wait_done(0, 180_000)
    times.append(time.time())
    notebook.wait_idle()
    sent = json.loads(notebook.cell(SENT))
    for what, begin, end in zip(("graph", "grid and a branch", "timeline"), times, times[1:], strict=False):
        found = [(when, size) for when, size in sent if begin <= when <= end]
        rate = (len(found) - 1) / (found[-1][0] - found[0][0])
        largest = max(size for _, size in found)
        yield row(
            f"200,000 branches, looking at the {what}",
            f"{end - begin:.1f} s looked at",
            f"{rate:.1f} snapshots a second",
            f">= {SNAPSHOTS:g} a second",
            rate >= SNAPSHOTS,
        )
        yield row(f"the largest of {len(found)} snapshots", "", f"{largest:,} bytes", f"<= {BYTES:,}", largest <= BYTES)


def choose(page: Any, cell: int) -> None:
    """Make a cell the one that the next command runs."""
    page.evaluate("cell => { jupyterapp.shell.currentWidget.content.activeCellIndex = cell; }", cell)


def row(what: str, both: str, measured: str, wanted: str, reached: bool) -> str:
    """One line of the table, which is printed too."""
    print(f"{what}: {both + '; ' if both else ''}{measured}, {wanted} wanted: {'yes' if reached else 'NO'}", flush=True)
    return f"| {what} | {both} | {measured} | {wanted}{'' if reached else ', **not reached**'} |"


def paint(notebook: Any) -> Iterator[str]:
    """From running a cell to its view's nodes."""
    seconds = statistics.median(first_paint(notebook.page, notebook) for _ in range(PAINTS))
    yield row(
        "from Enter to the first paint", "", f"{seconds:.3f} s", f"<= {PAINT_SECONDS} s", seconds <= PAINT_SECONDS
    )


def first_paint(page: Any, notebook: Any) -> float:
    """Seconds from running the last cell to its view's nodes being in the page."""
    choose(page, 4)
    seconds = page.evaluate(PAINT)
    notebook.wait_idle()
    page.wait_for_selector(".fanlab", state="detached")
    return float(seconds)


if __name__ == "__main__":
    main()
