"""A run on a terminal and without one: a tree or a few lines on stderr, nothing on stdout, and users' text as text."""

import os
import pty
import re
import select
import subprocess
import sys
import textwrap
from array import array

import pytest

from fanlab import pipeline, step
from fanlab.core.events import Expanded, Failure, Finished, Frame, NodeInfo, RunEnded, RunStarted, Started, Status
from fanlab.core.expand import Shape
from fanlab.core.record import Record
from fanlab.errors import PipelineError
from fanlab.show.terminal import InLines, InTerminal, Nowhere, duration, has_terminal, tree

here = pipeline(backend="sequential")
PROGRAM = """
import os
import time
from fanlab import step, pipeline, unmapped

@step
def load():
    print("loading [bold]now[/bold]")
    return [1, 2, 3]

@step
def fit(x, wait):
    while wait and not os.path.exists("shown"):
        time.sleep(0.01)
    if x == 2:
        raise ValueError("singular [red]matrix[/red] \\x1b[31m\\x07")
    return x

@step
def total(found):
    return sum(found)

@pipeline(backend="threading")
def sweep():
    fits = fit.map(load(), unmapped(WAIT))
    return total(fits.successful())

print("result", sweep().load())
"""
# No time passes for the view, however long it takes.
SHORT = """
from types import SimpleNamespace
from fanlab.show import terminal

terminal.time = SimpleNamespace(monotonic=lambda: 0.0)
""" + PROGRAM.replace("WAIT", "False")
# No branch ends before the view has shown one that runs, or has told in a line that the run has begun.
LONG = """
from pathlib import Path
from fanlab.core.events import Status
from fanlab.show import terminal

def telling(show, is_shown):
    def shows(view, *given):
        show(view, *given)
        if is_shown(view._record):
            Path("shown").touch()
    return shows

terminal.InTerminal._paint = telling(
    terminal.InTerminal._paint, lambda record: record.nodes["fit"].overall() is Status.RUNNING
)
terminal.InLines._write = telling(terminal.InLines._write, lambda record: True)
""" + PROGRAM.replace("WAIT", "True")


@step
def same(x):
    return x


@step
def fails(text):
    raise ValueError(text)


def record(body):
    try:
        return here(body)()._record
    except PipelineError as error:
        return error.run._record


def shown(found, **options):
    """The tree as plain lines."""
    from rich.console import Console

    console = Console(width=200, color_system=None)
    with console.capture() as captured:
        console.print(tree(found, 1.25, **options), no_wrap=True)
    return captured.get().splitlines()


def in_a_terminal(folder, program, **environment):
    """Run a program whose stdin, stdout and stderr are a terminal of 100 columns; everything it wrote there."""
    path = folder / "program.py"
    path.write_text(textwrap.dedent(program))
    leader, follower = pty.openpty()
    names = {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30", **environment}
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "NO_COLOR")}
    done = subprocess.Popen(
        [sys.executable, path], cwd=folder, env={**kept, **names}, stdin=follower, stdout=follower, stderr=follower
    )
    os.close(follower)
    found = b""
    while True:
        waits = select.poll()  # select() knows no descriptor above 1,023
        waits.register(leader, select.POLLIN)
        ready = waits.poll(60_000)
        assert ready, "the program is silent"
        try:
            part = os.read(leader, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        found += part
    os.close(leader)
    assert done.wait(60) == 0, found.decode()
    return found.decode()


def screen(text, height=60):
    """What stands on a terminal after all that was written to it: lines, cursor up, and erasing."""
    lines, row, column = [""] * height, 0, 0
    for piece in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", text):
        if piece == "\n":
            row, column = row + 1, 0
        elif piece == "\r":
            column = 0
        elif piece.endswith("A") and piece.startswith("\x1b["):
            row -= int(piece[2:-1] or 1)
        elif piece == "\x1b[J":
            lines[row] = lines[row][:column]
            lines[row + 1 :] = [""] * (height - row - 1)
        elif piece == "\x1b[K":
            lines[row] = lines[row][:column]
        elif piece.startswith("\x1b["):
            assert piece.endswith(("m", "h", "l")), piece
        else:
            lines[row] = lines[row][:column].ljust(column) + piece + lines[row][column + len(piece) :]
            column += len(piece)
    return [line.rstrip() for line in lines if line.strip()]


def test_the_tree_has_the_records_words_and_glyphs():
    def sweep():
        return same(same.map([1, 2, 3], id="mapped"), id="total")

    assert shown(record(sweep)) == [
        "sweep completed  4 of 4  1.2 s",
        "├── ✓ mapped  ━━━━━━━━━━━━━━━━━━━━━━━━  3 of 3 completed",
        "└── ✓ total   completed",
    ]


def test_a_failed_step_has_its_error_below():
    assert shown(record(lambda: same(fails.map(["no", "no"], id="many")))) == [
        "<lambda> failed  0 of 3  1.2 s",
        "├── ✗ many  ━━━━━━━━━━━━━━━━━━━━━━━━  0 of 2 completed, 2 failed",
        "│   └── many[0], many[1]: ValueError: no",
        "└── ⊘ same  skipped",
    ]


def test_an_inlined_pipeline_is_a_branch_of_the_tree():
    @here
    def inner():
        return same(1)

    assert shown(record(lambda: inner()))[1:] == ["└── inner", "    └── ✓ same  completed"]


def test_where_room_is_short_what_is_done_makes_way_for_what_failed():
    def body():
        for _ in range(20):
            same(1)
        fails("no", id="bad")

    lines = shown(record(body), room=6)
    assert len(lines) <= 7
    assert [line for line in lines if "✗ bad" in line]
    assert lines[-1].endswith("more steps")


@pytest.mark.parametrize(
    "text", ["[bold]x[/bold]", "\x1b[31mred\x1b[0m\x07", "a\nb", "אב\u202eגד", "x" * 10**7, ":smile:"]
)
def test_what_users_wrote_is_text_and_takes_one_line(text):
    def body():
        fails.with_options(name=text)(text)

    lines = shown(record(body))
    assert len(lines) == 3
    assert all(len(line) < 500 for line in lines)
    assert not re.search("[\x00-\x1f\x7f\u202e]", "".join(lines))
    if len(text) < 20 and "\n" not in text and "\x1b" not in text and "\u202e" not in text:
        assert lines[2].endswith(f"ValueError: {text}")


def test_a_terminal_shows_the_tree_and_keeps_its_last_state(tmp_path):
    lines = screen(in_a_terminal(tmp_path, LONG))
    assert lines[0] == "loading [bold]now[/bold]"
    assert lines[1].startswith("fanlab: 1 failed branch was handled") or lines[1].startswith("sweep completed  4 of 5")
    assert [line for line in lines if line.startswith("├── ✗ fit    ━━━━━━━━━━━━━━━━╸"[:14])]
    assert [line for line in lines if "fit[1]: ValueError: singular [red]matrix[/red]" in line]
    assert lines[-1] == "result 4"


def test_a_terminal_is_painted_while_the_run_goes_on(tmp_path):
    written = in_a_terminal(tmp_path, LONG)
    assert "sweep \x1b[0m" in written or "running" in written
    assert "◐" in written


def test_a_short_run_is_painted_once(tmp_path):
    written = in_a_terminal(tmp_path, SHORT)
    assert "running" not in written
    assert written.count("sweep") == 1


def test_colour_is_left_out_where_it_is_not_wanted(tmp_path):
    written = in_a_terminal(tmp_path, SHORT, NO_COLOR="1")
    assert "\x1b[32m" not in written
    assert "\x1b[32m" in in_a_terminal(tmp_path, SHORT)


@pytest.mark.parametrize("environment", [{"CI": "true"}, {"TERM": "dumb"}])
def test_lines_are_plain_in_continuous_integration_and_on_a_simple_terminal(tmp_path, environment):
    written = in_a_terminal(tmp_path, LONG, **environment)
    assert "\x1b" not in written
    assert "fanlab: sweep: completed, 4 of 5 done, 1 failed, in " in written


def test_without_a_terminal_lines_go_to_stderr_and_nothing_to_stdout(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(LONG)
    done = subprocess.run([sys.executable, path], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "loading [bold]now[/bold]\nresult 4\n"
    lines = done.stderr.splitlines()
    assert lines[0] == "fanlab: sweep: started, 3 steps"
    assert [line for line in lines if line.startswith("fanlab: sweep: completed, 4 of 5 done, 1 failed, in ")]
    assert "fanlab:   fit[1]: ValueError: singular [red]matrix[/red] \\x07" in lines
    assert "\x1b" not in done.stderr


def test_a_pipeline_in_a_running_step_says_nothing_of_itself(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(
        textwrap.dedent("""
        from fanlab import step, pipeline
        @step
        def one():
            return 1
        @pipeline
        def inner():
            return one()
        @step
        def outer_step():
            return inner().load()
        @pipeline
        def outer():
            return outer_step()
        run = outer()
        assert run.logs("outer_step") == [], run.logs("outer_step")
        """)
    )
    done = subprocess.run([sys.executable, path], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "inner" not in done.stderr


class Clock:
    """Stands in for the time module."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr("fanlab.show.terminal.time", found)
    return found


def begun():
    """A record of a run of one step that has just begun."""
    found = Record()
    info = NodeInfo("fit", "fit", "map", ("output",), (), ())
    found.apply(RunStarted("1", "sweep-1", "sweep", {}, (info,), None, 1.0, 1))
    found.apply(Expanded("fit", Shape(100), (), 1.0))
    found.apply(Started("fit", 0, 1, 7, 1.0))
    return found


def test_lines_are_few(clock, capsys):
    found = begun()
    lines = InLines(found)
    while clock.now < 3600:
        lines.pulse()
        clock.now += 0.1
    found.apply(RunEnded("completed", 3601.0))
    lines.close()
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) < 35
    assert told.err.splitlines()[:2] == [
        "fanlab: sweep: started, 1 step",
        "fanlab: sweep: 0 of 100 done · 1 running · 10 s",
    ]
    assert told.err.splitlines()[-1] == "fanlab: sweep: completed, 0 of 100 done, in 1 h 00 min"


def test_the_tree_makes_way_for_what_is_printed(clock, capsys):
    view = InTerminal(begun())
    clock.now = 1.0
    view.pulse()
    painted = capsys.readouterr().err
    view.make_way()
    print("a line of a step", file=sys.stderr)
    clock.now = 1.2
    view.pulse()
    assert screen(painted + capsys.readouterr().err)[:2] == ["a line of a step", "sweep running  0 of 100  1.2 s"]


def test_a_view_that_cannot_write_does_not_stop_a_run(clock, monkeypatch):
    class Broken:
        def write(self, text):
            raise OSError("gone")

        def isatty(self):
            return True

    view, lines = InTerminal(begun()), InLines(begun())
    monkeypatch.setattr(sys, "stderr", Broken())
    clock.now = 1.0
    for found in (view, lines):
        found.pulse()
        found.make_way()
        found.close()


def test_a_process_without_stderr_has_no_terminal(monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(sys, "stderr", None)
    assert not has_terminal()
    InLines(begun()).close()


def test_a_short_run_writes_no_lines(clock, capsys):
    found = begun()
    lines = InLines(found)
    clock.now = 0.2
    lines.pulse()
    found.apply(RunEnded("completed", 1.2))
    lines.close()
    assert capsys.readouterr() == ("", "")


def test_a_run_that_fails_leaves_its_errors_to_the_exception(clock, capsys):
    for status, told in (("failed", 1), ("completed", 3)):
        found = begun()
        failure = Failure("ValueError", "no", (Frame("x.py", 1, "fit", "raise"),))
        found.apply(
            Finished(
                "fit",
                0,
                bytes([Status.FAILED]),
                1,
                7,
                array("d", [1.0]),
                array("d", [2.0]),
                array("q", [0]),
                (None,),
                {0: failure},
            )
        )
        found.apply(RunEnded(status, 2.0))
        lines = InLines(found)
        clock.now += 1.0
        lines.close()
        assert len(capsys.readouterr().err.splitlines()) == told


def test_nowhere_is_silent(capsys):
    view = Nowhere(begun())
    view.pulse()
    view.make_way()
    view.close()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.0123, "0.012 s"),
        (0.4, "0.4 s"),
        (9.9, "9.9 s"),
        (12.4, "12 s"),
        (59.9, "1 min 00 s"),
        (3599, "59 min 59 s"),
        (7265, "2 h 01 min"),
    ],
)
def test_durations_are_said_as_people_say_them(seconds, text):
    assert duration(seconds) == text
