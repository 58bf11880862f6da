"""A real JupyterLab and a real Chromium: notebooks are opened, run and looked at as a person does."""

import contextlib
import fcntl
import importlib.util
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest

SHOTS = Path(__file__).parent / "shots"
ROOT = Path(__file__).parents[2]
SECONDS = 180  # for whatever is waited for: machines are slow when much is tested at once


STEPS = """
import time
from fanlab import step, unmapped

@step
def load(path):
    print("loading", path)
    time.sleep(0.3)
    return list(range(10))

@step
def fit(n, seconds=0.05, bad=None):
    if n >= 100:  # so many are enough to see how a view changes; it stays for as long as somebody looks at it
        seconds *= 10
    print(f"fit {n} begins", flush=True)
    time.sleep(seconds / 2)
    if n == bad:
        raise ValueError(f"{n} does not converge")
    print(f"fit {n} is halfway", flush=True)
    time.sleep(seconds / 2)
    return n

@step
def report(fits, seconds=0.2):
    time.sleep(seconds)
    return len(fits)
"""


SHUT_DOWN = """() => {
    const contexts = new Set([...(window.jupyterapp?.shell?.widgets("main") ?? [])].map(widget => widget.sessionContext));
    return Promise.allSettled([...contexts].map(context => context?.shutdown?.())).then(() => 1);
}"""


def free_port():
    """A port below those that the system gives to whoever asks for any, so that nobody takes it meanwhile.

    The processes of pytest-xdist choose among ports of their own.
    """
    first = 20_000 + 1_000 * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]) % 12)
    for port in random.sample(range(first, first + 1_000), 100):
        with socket.socket() as found, contextlib.suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port
    pytest.fail("there is no free port")


class Server:
    """A Jupyter server of its own: no configuration of the machine reaches it."""

    def __init__(self, base, command, python=sys.executable, ready="/api/status", env=None):
        self.root = base / "root"
        self.root.mkdir(parents=True)
        self.url = f"http://127.0.0.1:{free_port()}"
        self._log = base / "server.log"
        self._sockets = tempfile.mkdtemp(prefix="kernels-")  # a short path, as sockets need it
        (base / "config").mkdir()
        # Kernels have no ports: those that are chosen for one may be another one's before it has come up to take them.
        (base / "config" / "jupyter_config.json").write_text(json.dumps({"KernelManager": {"transport": "ipc"}}))
        settings = base / "settings" / "@jupyterlab" / "apputils-extension"
        settings.mkdir(parents=True)
        (settings / "notification.jupyterlab-settings").write_text(
            json.dumps({"fetchNews": "false", "checkForUpdates": False})
        )
        clean = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        clean |= {
            "JUPYTER_CONFIG_DIR": str(base / "config"),
            "JUPYTER_DATA_DIR": str(base / "data"),
            "JUPYTER_RUNTIME_DIR": self._sockets,
            "IPYTHONDIR": str(base / "ipython"),
            "JUPYTERLAB_SETTINGS_DIR": str(base / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(base / "workspaces"),
            **(env or {}),
        }
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [python, "-m", *(part.format(port=self.url.rpartition(":")[2], root=self.root) for part in command)],
                env=clean,
                cwd=self.root,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._wait(ready)

    def _wait(self, ready):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        limit = time.monotonic() + SECONDS
        while True:
            try:
                opener.open(f"{self.url}{ready}", timeout=SECONDS).read()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > limit:
                    pytest.fail(f"the server has not come up:\n{self._log.read_text()[-3000:]}")
                time.sleep(0.1)

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self._sockets, ignore_errors=True)


JUPYTER = ["--no-browser", "--allow-root", "--port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token=",
           "--ServerApp.root_dir={root}", "--LabApp.expose_app_in_browser=True", "--LabApp.extension_manager=readonly"]  # fmt: skip


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("lab"), ["jupyterlab", *JUPYTER])
    yield server
    server.close()


@pytest.fixture
def new_server():
    """Start servers that end with the test."""
    started = []

    def new_server(*given, **options):
        started.append(Server(*given, **options))
        return started[-1]

    yield new_server
    for server in started:
        server.close()


@pytest.fixture(scope="session")
def browser():
    from playwright.sync_api import sync_playwright

    SHOTS.mkdir(exist_ok=True)
    arguments = ["--no-proxy-server", "--disable-dev-shm-usage"]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=arguments, timeout=SECONDS * 1000
        )
        yield found
        found.close()


class Notebook:
    """A notebook that is open in a page."""

    def __init__(self, page, path):
        self.page, self.path = page, path

    def run(self):
        """Run all cells, and do not wait for them."""
        self.page.evaluate("void jupyterapp.commands.execute('notebook:run-all-cells')")
        self.page.wait_for_function(
            "[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].every(e => /\\[(\\d+|\\*)\\]/.test(e.innerText))"
        )

    def command(self, name, arguments=None):
        """One of JupyterLab's commands, to its end."""
        self.page.evaluate(
            "([name, args]) => jupyterapp.commands.execute(name, args).then(() => 1)", [name, arguments or {}]
        )

    def run_to_end(self):
        self.run()
        self.wait_idle()

    def begin(self):
        """Run all cells and return when the live view is there."""
        self.run()
        self.page.wait_for_selector(".fanlab .fl-node")

    def prompts(self):
        return self.page.locator(".jp-CodeCell .jp-InputPrompt").all_inner_texts()

    def wait_idle(self):
        """Wait until no cell waits or runs."""
        self.page.wait_for_function(
            "[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].every(e => !e.innerText.includes('*'))"
        )

    def wait_done(self, node, least):
        """Wait until so many branches of a node are done; the kernel is busy then."""
        self.page.wait_for_function(
            "([node, least]) => +document.querySelector(`.fl-node[data-node='${node}']`)?.dataset.done >= least",
            arg=[node, least],
        )

    def shoot(self, name):
        self.page.screenshot(path=SHOTS / f"{name}.png")

    def output(self, cell=0):
        return self.page.locator(".jp-CodeCell").nth(cell).locator(".jp-OutputArea").first

    def wait_output(self, cell, *texts):
        """Wait until a cell's output says this: it may come into the page after the prompt has changed."""
        self.page.wait_for_function(
            """([cell, texts]) => { const said = document.querySelectorAll(".jp-CodeCell")[cell]?.querySelector(".jp-OutputArea")?.innerText;
                return texts.every(text => said?.includes(text)); }""",
            arg=[cell, texts],
        )

    def wait_gone(self):
        """Wait until no live view is in the page."""
        self.page.wait_for_function("document.querySelectorAll('.fanlab').length === 0")

    def saved(self):
        """Save it, and read the file."""
        self.command("docmanager:save")
        return nbformat.read(self.path, 4)

    def cell(self, code):
        """Run code in the same kernel, beside the notebook, and return what it prints."""
        return self.page.evaluate(
            """code => new Promise(done => {
                let text = "";
                const future = jupyterapp.shell.currentWidget.sessionContext.session.kernel.requestExecute({code});
                future.onIOPub = message => { text += message.content.text ?? message.content.evalue ?? ""; };
                future.done.then(() => done(text));
            })""",
            code,
        )


@pytest.fixture
def steps():
    """A cell that defines the steps load, fit and report."""
    return STEPS


@pytest.fixture
def sweep():
    """Cells of a pipeline: one call, a fan-out of so many branches that take so long, one fan-in."""

    def sweep(branches, seconds, more=""):
        calls = f'data = load("houses.csv")\nfits = fit.map(range({branches}), seconds={seconds}, after=data{more})'
        return [STEPS, f"%%pipeline sweep -j 2\n{calls}\ntotal = report(fits)"]

    return sweep


@pytest.fixture(name="write_notebook")
def write_notebook_fixture():
    """Write a notebook with these cells."""
    return write_notebook


def write_notebook(path, cells):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code.strip("\n")) for code in cells])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    nbformat.write(notebook, path)


@pytest.fixture
def open_notebook(request, browser):
    """Open a notebook with these cells, or one that is there. With `kernel=False` none is started for it."""
    pages = []

    def open_notebook(cells=(), name=None, kernel=True, server=None, at="doc/tree", **options):
        server = server or request.getfixturevalue("lab")
        folder = server.root / request.node.originalname
        folder.mkdir(exist_ok=True)
        path = folder / (name or "notebook.ipynb")
        if cells:
            write_notebook(path, ["%load_ext fanlab", *cells])
        page = browser.new_page(viewport={"width": 1180, "height": 1240}, **options)
        page.set_default_timeout(SECONDS * 1000)
        page.goto(f"{server.url}/{at}/{folder.name}/{path.name}")
        page.wait_for_function("window.jupyterapp?.shell?.currentWidget?.context?.isReady")
        if kernel:
            page.wait_for_function("jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status === 'idle'")
        pages.append(page)
        notebook = Notebook(page, path)
        if page.get_attribute("body", "data-jp-theme-name") != "JupyterLab Light":  # what an earlier test has left
            notebook.command("apputils:change-theme", {"theme": "JupyterLab Light"})
            page.wait_for_selector("body[data-jp-theme-name='JupyterLab Light']", state="attached")
        return notebook

    yield open_notebook
    for page in pages:
        page.evaluate(SHUT_DOWN)
        page.close()


@pytest.fixture(scope="session")
def base_python():
    """The Python of an environment as Binder makes it: its image's versions, then ours. It is kept in .venv-base."""
    with (ROOT / ".venv-base.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two processes of pytest-xdist may want it at once: the second finds it made
        return _made_base()


def _made_base():
    spec = importlib.util.spec_from_file_location("binder_pins", ROOT / "scripts" / "binder_pins.py")
    pins = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pins)
    folder, wanted = ROOT / ".venv-base", (ROOT / "binder" / "requirements.txt").read_text()
    stamp = folder / "made-of.txt"
    if not stamp.exists() or stamp.read_text() != f"{folder}\n{wanted}":
        shutil.rmtree(folder, ignore_errors=True)
        pins.install(pins.make_base(folder), "-r", "binder/requirements.txt")
        stamp.write_text(f"{folder}\n{wanted}")
    return folder / "bin" / "python"
