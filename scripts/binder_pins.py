"""Write binder/requirements.txt: every package that the notebooks need beyond Binder's own, at one version.

The environment is made as Binder makes it: the base image's packages at its versions, which repo2docker's own lock
file names, and then fanlab with what its notebooks need. What pip chose is pinned. Only names and versions are written.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PINS = ROOT / "binder" / "requirements.txt"
BASE = (
    "ipywidgets",
    "jupyter-offlinenotebook",
    "jupyter-resource-usage",
    "jupyter_server",
    "jupyterhub",
    "jupyterlab",
    "notebook",
)
PROJECT = "-e .[notebooks]"
HEAD = "# Made by `make binder-pins`: what is added to the base image of repo2docker {version} for Python {python}.\n"
# The names under which the Python package index has what conda-forge calls otherwise.
RENAMED = {
    "brotli-python": "brotli",
    "jupyterhub-base": "jupyterhub",
    "nbconvert-core": "nbconvert",
    "python-fastjsonschema": "fastjsonschema",
}


def base_versions(python: str) -> dict[str, str]:
    """Package to version, as the base image for this Python (3.11) has them."""
    folder = Path(str(find_spec("repo2docker").origin)).parent / "buildpacks" / "conda"
    lock = (folder / f"environment.py-{python}-linux-64.lock").read_text(encoding="utf-8")
    found = re.findall(r"/([^/\s]+)-([^-/\s]+)-(?:pyh|py\d)[^-/\s]*\.(?:conda|tar\.bz2)", lock)
    return {RENAMED.get(name, name): version for name, version in found}


def make_base(folder: Path) -> Path:
    """A virtual environment with the base image's packages; returns its Python."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    constraints = folder / "base.txt"
    versions = base_versions(".".join(map(str, sys.version_info[:2])))
    constraints.write_text("".join(f"{name}=={version}\n" for name, version in versions.items()))
    install(python, "-c", constraints, *BASE)
    return python


def install(python: Path, *words: str | Path) -> None:
    """Run pip in an environment, from the project's folder as Binder does."""
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *words], check=True, cwd=ROOT
    )


def frozen(python: Path) -> list[str]:
    """What an environment has: name==version, fanlab itself left out."""
    command = [python, "-m", "pip", "freeze", "--exclude-editable"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def main() -> None:
    """Make the environment, and write down what was added."""
    from importlib.metadata import version

    with tempfile.TemporaryDirectory() as folder:
        python = make_base(Path(folder) / "base")
        before = set(frozen(python))
        install(python, *PROJECT.split())
        added = [line for line in frozen(python) if line not in before]
    head = HEAD.format(version=version("jupyter-repo2docker"), python=".".join(map(str, sys.version_info[:2])))
    PINS.write_text("".join([head, *(f"{line}\n" for line in added), f"{PROJECT}\n"]), encoding="utf-8")
    print(f"{len(added)} versions in {PINS.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
