"""A person opens the badge: the project as git has it, in an environment made from binder/, with its URL's path."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.browser, pytest.mark.timeout(1800)]  # the environment is made once, in a minute or some
APP = ["--no-browser", "--allow-root", "--port={port}", "--ServerApp.port_retries=0", "--IdentityProvider.token=",
       "--LabApp.expose_app_in_browser=True"]  # fmt: skip

# Run what stands above the cell, then the cell, and have it in sight.
FIRST_PIPELINE = """() => {
    new MutationObserver(() => { window.live ||= document.querySelectorAll(".fanlab .fl-node").length; })
        .observe(document.body, { childList: true, subtree: true });
    const notebook = jupyterapp.shell.currentWidget.content;
    const place = notebook.widgets.findIndex(cell => cell.model.sharedModel.source.startsWith("%%pipeline"));
    notebook.activeCellIndex = place;
    jupyterapp.commands.execute("notebook:run-all-above");
    jupyterapp.commands.execute("notebook:run-cell");
    notebook.scrollToItem(place);
}"""


@pytest.fixture
def project(tmp_path):
    """What Binder gets: the files that git has, and no others."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (tmp_path / "project" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / "project" / name)
    return tmp_path / "project"


def test_what_runs_after_the_image_is_built_ends_well(project, base_python):
    done = subprocess.run(
        ["./binder/postBuild"],
        cwd=project,
        env={**os.environ, "PATH": f"{base_python.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "functions in 14 packages" in done.stdout


def test_the_badge_opens_the_quickstart_and_its_first_pipeline_runs_live(
    project, base_python, new_server, browser, tmp_path
):
    (path,) = set(re.findall(r"mybinder\.org/[^?]*\?urlpath=([\w./-]+)", (project / "README.md").read_text()))
    # `jupyter notebook` is what the image starts; it serves JupyterLab too.
    server = new_server(
        tmp_path / "server",
        ["notebook", *APP, f"--ServerApp.root_dir={project}"],
        python=base_python,
        env={"PATH": f"{base_python.parent}:{os.environ['PATH']}"},
    )
    page = browser.new_page(viewport={"width": 1180, "height": 860})
    page.set_default_timeout(180_000)
    page.goto(f"{server.url}/{path}")
    page.wait_for_function("window.jupyterapp?.shell?.currentWidget?.context?.path === 'notebooks/quickstart.ipynb'")
    page.wait_for_function("jupyterapp.shell.currentWidget.sessionContext?.session?.kernel?.status === 'idle'")
    page.evaluate(FIRST_PIPELINE)
    page.wait_for_function("window.live > 0")
    page.wait_for_function("document.body.innerText.includes('12 of 12 completed')")
    page.close()
