"""Binder's image without Docker: its packages, its files and its start, and a person who opens the badge.

The base image's packages are those of repo2docker's own lock file, in a virtual environment.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "scripts"), str(Path(__file__).parent)]
from binder_pins import base_versions, make_base  # noqa: E402
from conftest import SECONDS, Server  # noqa: E402

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]
BADGE = "lab/tree/notebooks/quickstart.ipynb"


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """The project as git has it, and the Python of an environment that was built for it from binder/."""
    home = tmp_path_factory.mktemp("image")
    project = home / "project"
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, project / name)
    python = make_base(home / "base")
    for command in ([python, "-m", "pip", "install", "-q", "-r", "binder/requirements.txt"], ["./binder/postBuild"]):
        done = subprocess.run(
            command,
            cwd=project,
            env={**os.environ, "PATH": f"{python.parent}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return project, python


@pytest.fixture(scope="module")
def server(image, tmp_path_factory):
    """Started as the image starts it, with the ports and rights that a test has."""
    project, python = image
    command = ["notebook", "--no-browser", "--allow-root", "--port={port}", "--ServerApp.port_retries=0",
               "--IdentityProvider.token=", f"--ServerApp.root_dir={project}", "--LabApp.expose_app_in_browser=True",
               "--JupyterNotebookApp.expose_app_in_browser=True"]  # fmt: skip
    path = f"{python.parent}:{os.environ['PATH']}"
    started = Server(tmp_path_factory.mktemp("server"), command, python, {"PATH": path})
    yield started
    started.close()


def test_the_base_images_packages_stay_as_they_are(image):
    """What people get in Binder is what its makers test together: fanlab brings packages, and changes none."""
    _, python = image
    frozen = subprocess.run([python, "-m", "pip", "freeze"], check=True, capture_output=True, text=True).stdout
    found = {name.replace("_", "-").lower(): version for name, _, version in (line.partition("==") for line in frozen.splitlines())}  # fmt: skip
    base = base_versions(".".join(map(str, sys.version_info[:2])))
    for name in ("ipykernel", "ipywidgets", "jupyterlab", "notebook", "jupyter-server"):
        assert found[name] == base.get(name, base.get(name.replace("-", "_")))


@pytest.fixture
def opened(server, browser):
    """Open a path of the server, and wait for the quickstart's kernel."""
    page = browser.new_page(viewport={"width": 1180, "height": 860})
    page.set_default_timeout(3 * SECONDS * 1000)

    def opened(path):
        page.goto(f"{server.url}/{path}")
        page.wait_for_function(
            "window.jupyterapp?.shell?.currentWidget?.context?.path === 'notebooks/quickstart.ipynb'"
        )
        page.wait_for_function("jupyterapp.shell.currentWidget.sessionContext?.session?.kernel?.status === 'idle'")
        page.evaluate("void jupyterapp.commands.execute('notebook:run-all-cells')")
        return page

    yield opened
    page.close()


def test_the_badge_opens_the_quickstart_and_its_first_pipeline_runs_live(opened):
    page = opened(BADGE)
    page.wait_for_selector(".fanlab .fl-node")
    page.wait_for_function("document.body.innerText.includes('12 of 12 completed')")


def test_notebook_7_shows_the_same(opened):
    page = opened("notebooks/notebooks/quickstart.ipynb")
    page.wait_for_function("document.body.innerText.includes('12 of 12 completed')")
    page.wait_for_function(
        "[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].every(e => /\\[\\d+\\]/.test(e.innerText))"
    )
    assert page.locator("img[src^='data:image/svg+xml']").count() >= 2
