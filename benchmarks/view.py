"""What the live view costs: 10,000 branches with it and without, in a kernel whose page is open in a browser.

Both show the record at the end. No-op branches are over before a view is worth opening, so that they are also
measured with a view that opens at once, and with branches of a fifth of a millisecond, whose view is open for most
of the run.
"""

from __future__ import annotations

import importlib.util
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

PAIRS = 9
PAINTS = 5
PAINT_SECONDS = 0.3
REACH = 1.15
CELL = f"""
import json, statistics, time
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

@pipeline(enable_cache=False)
def sweep(step):
    step.map(range(10_000))

with_view, opened = live.InKernel, []
class RecordOnly(live.Nowhere):
    def close(self):
        from IPython.display import display
        display(live.bundle(self._record), raw=True)
def without(record, controls, bundle):
    return RecordOnly(record)

def seconds(make, step):
    clear_output()  # thirty records in one page would slow it down
    live.InKernel = make
    begun = time.perf_counter()
    sweep(step)
    return time.perf_counter() - begun

open_ = kernel.InKernel._open
def counting(self):
    opened.append(1)
    open_(self)
kernel.InKernel._open = counting

found = {{}}
first, worthwhile = kernel.FIRST_SECONDS, kernel.InKernel._worthwhile
for name, step in (("of 0.2 ms", short), ("that do nothing", nothing), ("that do nothing, opened at once", nothing)):
    if name.endswith("at once"):
        kernel.FIRST_SECONDS = 0.0
        kernel.InKernel._worthwhile = lambda self, now: bool(self._record.id)
    print("measuring branches", name, flush=True)
    seconds(with_view, step), seconds(without, step)
    opened.clear()
    pairs = [(seconds(with_view, step), seconds(without, step)) for _ in range({PAIRS})]
    found[name] = [statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs),
                   statistics.median(a / b for a, b in pairs), len(opened)]
live.InKernel, kernel.FIRST_SECONDS, kernel.InKernel._worthwhile = with_view, first, worthwhile
print("RESULT" + json.dumps(found))
"""


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
    """Measure in a real JupyterLab and print the ratios."""
    import json

    tests = browser_tests()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = tests.Server(Path(folder) / "lab", ["jupyterlab", *tests.JUPYTER])
        try:
            path = server.root / "bench.ipynb"
            tests.write_notebook(path, ["%load_ext fanlab", CELL, SLOW])
            page = playwright.chromium.launch(
                executable_path=shutil.which("chromium"),
                args=["--no-proxy-server", "--disable-dev-shm-usage", "--no-sandbox"],
            ).new_page()
            page.set_default_timeout(300_000)
            page.goto(f"{server.url}/doc/tree/bench.ipynb")
            page.wait_for_function("window.jupyterapp?.shell?.currentWidget?.context?.isReady")
            page.wait_for_function("jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status === 'idle'")
            notebook = tests.Notebook(page, path)
            notebook.run()
            page.wait_for_function(
                "document.body.innerText.includes('RESULT{') || document.body.innerText.includes('Error')"
            )
            text = notebook.output(1).inner_text()
            notebook.wait_idle()
            paints = [first_paint(page, notebook) for _ in range(PAINTS)]
        finally:
            server.close()
    if "RESULT{" not in text:
        sys.exit(text)
    for name, (ours, theirs, ratio, opened) in json.loads(text.partition("RESULT")[2].splitlines()[0]).items():
        verdict = "yes" if ratio <= REACH else "NO"
        print(f"10,000 branches {name} (view opened in {opened} of {PAIRS} runs): {ours:.3f} s with it,")
        print(f"    {theirs:.3f} s without: {ratio:.2f} x, at most {REACH} wanted: {verdict}")

    seconds = statistics.median(paints)
    verdict = "yes" if seconds <= PAINT_SECONDS else "NO"
    print(f"from Enter to the first paint: {seconds:.3f} s, at most {PAINT_SECONDS} wanted: {verdict}")


def first_paint(page: Any, notebook: Any) -> float:
    """Seconds from running the last cell to its view's nodes being in the page."""
    page.evaluate("jupyterapp.shell.currentWidget.content.activeCellIndex = 2")
    seconds = page.evaluate(PAINT)
    notebook.wait_idle()
    page.wait_for_selector(".fanlab", state="detached")
    return float(seconds)


if __name__ == "__main__":
    main()
