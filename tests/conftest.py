"""What all tests share: a store of their own, and ways to wait, to run scripts, and to read messages."""

import gc
import os
import runpy
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import hypothesis
import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import fanlab
from fanlab.show.terminal import Nowhere

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in the background of a shell: programs would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Each process of tests may have workers of its own, and there are as many processes as cores.
os.environ.setdefault("LOKY_MAX_CPU_COUNT", "4")

# As Hypothesis has it, but how long an example takes, or is made, says nothing of what it is; and each run has the same
# ones, as Hypothesis has it in CI: `--hypothesis-profile search` looks for others.
untimed = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("search", hypothesis.settings.default, **untimed)
hypothesis.settings.register_profile("fanlab", hypothesis.settings.default, derandomize=True, database=None, **untimed)
hypothesis.settings.load_profile("fanlab")

os.environ.setdefault("PIP_DEFAULT_TIMEOUT", "60")  # seconds: some tests install what a person would
os.environ.setdefault("PIP_RETRIES", "10")

# What programs say whose kernel has not come up: another program has taken one of the ports that were chosen for it.
DIED_EARLY = "Kernel died before replying to kernel_info"

MOST_DESCRIPTORS = 200  # new ones, before what nobody uses any more is looked for
_held = [0]  # those that were in use then


def descriptors():
    """How many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))


def run_program(words, **options):
    """Run a program to its end and return what it said; again, where another one has taken a port of its kernel."""
    for _ in range(3):
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)
        if DIED_EARLY not in done.stdout + done.stderr:
            break
    return done


@pytest.fixture(autouse=True)
def own_store(tmp_path, tmp_path_factory, monkeypatch):
    """Every test works in a folder of its own, and so has a store of its own; runs say nothing of how long they take."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FANLAB_STORE", raising=False)
    # Kernels that programs start share no history with those of another process, which may have locked it.
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path_factory.getbasetemp() / "ipython"))
    monkeypatch.setattr("fanlab.show.live.InLines", Nowhere)  # whose lines depend on how long a run takes
    monkeypatch.setattr("fanlab.execute.cluster._PATIENT_SECONDS", float("inf"))  # and so does that of a waiting run
    yield
    fanlab.configure(store=None, n_jobs=None, backend=None, store_limit=None)
    if descriptors() > _held[0] + MOST_DESCRIPTORS:  # stores of earlier tests, in cycles of pipelines and runs
        gc.collect()
        _held[0] = descriptors()


@pytest.fixture
def until():
    """Wait until a condition holds and return what it gave; fail at the deadline."""

    def until(condition, seconds=60):
        limit = time.monotonic() + seconds
        while True:
            found = condition()
            if found:
                return found
            if time.monotonic() > limit:
                pytest.fail(f"not within {seconds} s: {condition}")
            time.sleep(0.005)

    return until


@pytest.fixture
def python(tmp_path):
    """Run a program in a Python of its own, in this test's folder; its stdout. A failure shows its stderr."""

    def python(source, timeout=300, env=None):
        program = tmp_path / "program.py"
        program.write_text(textwrap.dedent(source).lstrip("\n"))
        done = subprocess.run(
            [sys.executable, program],
            cwd=tmp_path,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return python


@pytest.fixture
def refusal():
    """Run a program that must raise one of fanlab's errors, and return the error's whole text.

    The program is sweep.py; its first line is line 1. It has the public names without importing them.
    """
    public = {name: getattr(fanlab, name) for name in ("get_step_context", "pipeline", "step", "unmapped")}

    def refusal(kind, source):
        path = Path("sweep.py").absolute()
        path.write_text(textwrap.dedent(source).lstrip("\n"))
        with pytest.raises(kind) as caught:
            runpy.run_path(str(path), init_globals=public)
        assert type(caught.value) is kind
        return str(caught.value)

    return refusal


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A shell without fanlab. Its cells are numbered from 1."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])  # the shell puts its own there
    InteractiveShell.clear_instance()
    config = Config()
    config.HistoryManager.enabled = False
    config.InteractiveShell.colors = "nocolor"
    yield InteractiveShell.instance(config=config)
    InteractiveShell.clear_instance()


@pytest.fixture(scope="session")
def dask():
    """A Dask cluster of two workers, its client the active one."""
    distributed = pytest.importorskip("distributed", reason="needs fanlab[dask]")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", memory_limit=0) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="session")
def ray():
    """A Ray of two processors."""
    ray = pytest.importorskip("ray", reason="needs fanlab[ray]")
    # Its own waits and choices are for machines that it has for itself; others use this one, too.
    os.environ.setdefault("RAY_raylet_start_wait_time_s", "40")
    os.environ.setdefault("RAY_memory_monitor_refresh_ms", "0")  # or it ends workers where others use the memory
    os.environ.setdefault("RAY_worker_niceness", "0")  # or they hardly run beside others

    def begin():
        ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)

    def end():
        started = [found for found in gc.get_objects() if isinstance(found, subprocess.Popen)]
        ray.shutdown()
        for found in started:  # Ray ends its processes without waiting for them, of which Python warns
            if found.poll() is None:
                found.kill()
                found.wait(30)

    for left in (3, 2, 1, 0):
        try:
            begin()
            break
        except Exception:  # a bare one: its agents have 15 s to start, which nobody can change
            end()
            if not left:
                raise
    yield ray
    end()
