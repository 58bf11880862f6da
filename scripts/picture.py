"""Make docs/assets/view.png: a pipeline's cell in a real JupyterLab, while it runs, with one fan-out open."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import nbformat
from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).resolve().parent.parent / "docs" / "assets" / "view.png"
STEPS = """\
%load_ext fanlab
from fanlab import step, unmapped
import time

@step
def load(path):
    return list(range(100))

@step
def clean(rows, month):
    time.sleep(0.2)
    return {"rows": len(rows)}

@step
def fit(cleaned, alpha):
    time.sleep(0.35 + alpha / 100)
    if alpha == 13:
        raise ValueError("did not converge")
    return {"rmse": 1 / (1 + alpha)}

@step
def best(fits):
    return max(fit["rmse"] for fit in fits)
"""
BODY = """\
%%pipeline sweep
rows = load("houses.csv")
months = clean.map(unmapped(rows), month=range(12))
fits = fit.map(unmapped(months), alpha=range(48))
answer = best(fits.successful())
"""


def main() -> None:
    """Start a server, run the cell, and take the picture when some of everything is there."""
    with tempfile.TemporaryDirectory() as folder:
        made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code.strip()) for code in (STEPS, BODY)])
        made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
        nbformat.write(made, Path(folder) / "sweep.ipynb")
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        server = start(folder, port)
        try:
            take(f"http://127.0.0.1:{port}/doc/tree/sweep.ipynb")
        finally:
            server.terminate()
            server.wait()


def start(folder: str, port: int) -> subprocess.Popen[bytes]:
    """A JupyterLab of its own, up and answering."""
    settings = Path(folder) / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    quiet = {"fetchNews": "false", "checkForUpdates": False}
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(quiet))
    words = ["--no-browser", "--allow-root", f"--port={port}", "--IdentityProvider.token=",
             f"--ServerApp.root_dir={folder}", "--LabApp.expose_app_in_browser=True"]  # fmt: skip
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *words],
        env={**os.environ, "JUPYTERLAB_SETTINGS_DIR": f"{folder}/settings", "JUPYTER_CONFIG_DIR": f"{folder}/config"},
        stderr=subprocess.DEVNULL,
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while True:
        try:
            opener.open(f"http://127.0.0.1:{port}/api/status", timeout=5).read()
        except OSError:
            if server.poll() is not None:
                raise
            time.sleep(0.1)
        else:
            return server


def take(url: str) -> None:
    """Open the notebook, run it, open the fan-out, and photograph the cell."""
    with sync_playwright() as playwright:
        words = ["--no-proxy-server", "--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=words)
        page = browser.new_page(viewport={"width": 1000, "height": 900})
        page.set_default_timeout(120_000)
        page.goto(url)
        page.wait_for_function(
            "window.jupyterapp?.shell?.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
        )
        page.evaluate("void jupyterapp.commands.execute('notebook:run-all-cells')")
        page.wait_for_function("+document.querySelector(`.fl-node[data-node='2']`)?.dataset.done >= 20")
        page.click(".fl-node[data-node='2']")
        page.wait_for_function("+document.querySelector(`.fl-node[data-node='2']`)?.dataset.done >= 26")
        page.locator(".jp-CodeCell").nth(1).screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    main()
