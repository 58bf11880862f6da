"""Runs the same workloads in fanlab and in other tools, each in an environment of its own; writes a table and a plot.

python benchmarks/peers/run.py            all tools
python benchmarks/peers/run.py dask ray   some
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from html import escape
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
RESULTS = HERE.parent / "results"
NEEDS = {
    "fanlab": ["-e", str(PROJECT)],
    "joblib": ["joblib"],
    "pipefunc": ["pipefunc"],
    "dask": ["distributed"],
    "ray": ["ray"],
    "prefect": ["prefect==3.8.8", "fastapi<0.141"],
}
WORK = [("noop", 8), ("noop", 1000), ("busy", 64)]
SECONDS = 300


def python_of(tool: str) -> Path:
    """The Python of a tool's environment, made and filled if it is not there. Raises CalledProcessError."""
    folder = PROJECT / ".venv-peers" / tool
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *NEEDS[tool]], check=True)
        (folder / "ready").touch()
    return python


def measured(tool: str, kind: str, count: int, state: str) -> float | str:
    """The median of a tool's warm runs in seconds, or why there is none."""
    environment = {**os.environ, "FANLAB_STORE": f"{state}/fanlab", "PREFECT_HOME": f"{state}/prefect"}
    try:
        command = [python_of(tool), HERE / "workload.py", tool, kind, str(count)]
    except subprocess.CalledProcessError:
        return "cannot be installed"
    # Files, since some tools leave processes behind that would keep a pipe open; a session, to end those.
    with tempfile.TemporaryFile("w+") as printed, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command, env=environment, cwd=state, stdout=printed, stderr=errors, start_new_session=True
        )
        try:
            code = process.wait(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return f"more than {SECONDS} s"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        printed.seek(0), errors.seek(0)
        if code:
            lines = errors.read().strip().splitlines()
            return f"failed: {lines[-1][:60]}" if lines else f"failed: exit code {code}"
        return float(json.loads(printed.read().strip().splitlines()[-1]))


def main() -> None:
    """Measure, print, and write down."""
    tools = sys.argv[1:] or list(NEEDS)
    found: dict[str, list[float | str]] = {}
    for tool in tools:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as state:
            found[tool] = [measured(tool, kind, count, state) for kind, count in WORK]
        print(tool, *found[tool], flush=True)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "peers.md").write_text(table(found))
    (RESULTS / "peers.svg").write_text(bars({tool: times[1] for tool, times in found.items()}))


def table(found: dict[str, list[float | str]]) -> str:
    """Seconds of each tool, and how many times fanlab's."""
    heads = [f"{count} × {kind}" for kind, count in WORK]
    lines = ["# The same work in other tools", ""]
    lines.append(
        "Two workers, warm, a fan-in that adds up; medians in seconds and times fanlab's. Made by `make bench-peers`."
    )
    lines += ["", f"| tool | {' | '.join(heads)} |", "|---|" + "---|" * len(heads)]
    for tool, times in found.items():
        cells = []
        for mine, theirs in zip(found.get("fanlab", times), times, strict=True):
            both = isinstance(mine, float) and isinstance(theirs, float)
            cells.append(f"{theirs:.3f} ({theirs / mine:.1f} ×)" if both else str(theirs))
        lines.append(f"| {tool} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def bars(times: dict[str, float | str]) -> str:
    """A bar for each tool: seconds for 1,000 branches that do nothing."""
    known = {tool: time for tool, time in times.items() if isinstance(time, float)}
    longest = max(known.values(), default=1.0)
    height = 30 * len(known) + 30
    size = f'width="640" height="{height}"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="13">']
    for number, (tool, time) in enumerate(known.items()):
        top, wide = 10 + 30 * number, max(2, round(420 * time / longest))
        parts.append(f'<text x="88" y="{top + 15}" text-anchor="end" fill="#888888">{escape(tool)}</text>')
        parts.append(f'<rect x="96" y="{top}" width="{wide}" height="20" fill="#2a9d8f"/>')
        parts.append(f'<text x="{104 + wide}" y="{top + 15}" fill="#888888">{time:.3f} s</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    main()
