"""A program that ends while its workers are being started: it says what it has to say, and nothing else."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
import threading
from fanlab import pipeline, step

@step
def same(x):
    return x

@pipeline
def refused():
    threading.Event().wait(float(sys.argv[1]))
    raise ValueError("this body")

refused()
"""


def test_a_body_that_raises_at_once_leaves_its_traceback_only(tmp_path):
    """However far the workers have come: they start in the background, in about 0.1 s."""
    Path("program.py").write_text(PROGRAM)
    for seconds in (0, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2):
        done = subprocess.run(
            [sys.executable, "program.py", str(seconds)], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        lines = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("  ")]
        assert lines == ["Traceback (most recent call last):", "ValueError: this body"], seconds
