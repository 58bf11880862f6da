"""What Binder builds from binder/: repo2docker accepts it, in the right order, with every version pinned."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = (ROOT / "binder" / "requirements.txt").read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module")
def dockerfile(tmp_path_factory):
    """The Dockerfile that repo2docker makes of the project as git has it."""
    copy = tmp_path_factory.mktemp("binder") / "project"
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    program = Path(sys.executable).parent / "jupyter-repo2docker"
    done = subprocess.run(
        [program, "--no-build", "--debug", "--user-id=1000", "--user-name=jovyan", copy],
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_the_source_is_copied_then_installed_then_tried(dockerfile):
    def place(pattern):
        found = list(re.finditer(pattern, dockerfile, re.MULTILINE))
        assert len(found) == 1, pattern
        return found[0].start()

    system = place(r"^apt-get install .* graphviz ")
    copied = place(r"^COPY .*src/ \$\{REPO_DIR\}/$")
    installed = place(r'pip install .*-r "?binder/requirements.txt')
    tried = place(r"^RUN \./binder/postBuild")
    assert system < copied < installed < tried


def test_the_python_is_the_one_that_is_asked_for(dockerfile):
    assert "Building conda environment for python=3.11\n" in dockerfile


def test_every_version_is_pinned_and_no_index_is_named():
    assert REQUIREMENTS[-1] == "-e .[notebooks]"
    for line in REQUIREMENTS[1:-1]:
        assert re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9A-Za-z.]*", line)


def test_what_fanlab_needs_is_pinned_or_in_the_base_image():
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        from binder_pins import base_versions
    finally:
        sys.path.remove(str(ROOT / "scripts"))
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    needed = [*project["dependencies"], *extras["notebooks"], *extras["demo"], *extras["run"], *extras["sql"]]
    names = {re.match(r"[\w-]+", text)[0].replace("_", "-").lower() for text in needed} - {"fanlab"}
    pinned = {line.partition("==")[0].lower() for line in REQUIREMENTS[1:-1]}
    base = {name.replace("_", "-").lower() for name in base_versions("3.11")}
    assert not names - pinned - base


def test_the_badge_opens_a_notebook_that_is_there():
    found = re.findall(r"https://mybinder\.org/v2/gh/[\w-]+/[\w-]+/HEAD\?urlpath=lab/tree/([\w/.-]+)", readme())
    assert found
    for path in found:
        assert (ROOT / path).is_file()


def readme():
    return (ROOT / "README.md").read_text(encoding="utf-8")
