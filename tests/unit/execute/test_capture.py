"""What is captured of a thread: whole lines, in its own target."""

import io
import logging
import sys
import threading
import warnings

import pytest

from fanlab.execute.capture import Capture, end_lines


@pytest.fixture
def lines():
    return []


@pytest.fixture
def target(lines):
    return lambda stream, text: lines.append((stream, text))


def run(*functions):
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)


def test_lines_go_to_the_target_with_their_stream(lines, target):
    with Capture().to(target):
        print("one")
        print("two", file=sys.stderr)
    assert lines == [("stdout", "one"), ("stderr", "two")]


def test_a_line_is_told_when_it_is_whole(lines, target):
    with Capture().to(target):
        print("one ", end="")
        assert lines == []
        print("line")
        assert lines == [("stdout", "one line")]


def test_text_of_several_lines_is_told_line_by_line(lines, target):
    with Capture().to(target):
        sys.stdout.write("a\nb\n\nc\n")
    assert [text for _, text in lines] == ["a", "b", "", "c"]


def test_the_rest_of_a_line_is_told_at_the_end(lines, target):
    with Capture().to(target):
        print("no end", end="")
    assert lines == [("stdout", "no end")]


def test_the_rests_of_both_streams_are_told_by_end_lines(lines, target):
    with Capture().to(target):
        print("out", end="")
        print("err", end="", file=sys.stderr)
        end_lines()
        assert lines == [("stdout", "out"), ("stderr", "err")]


def test_write_returns_how_much_was_written(target):
    with Capture().to(target):
        assert sys.stdout.write("four") == 4


@pytest.mark.parametrize(
    ("text", "told"),
    [("10 %\r50 %\r100 %\n", "100 %"), ("windows\r\n", "windows"), ("\r10 %\r20 %", "20 %"), ("plain\n", "plain")],
)
def test_carriage_returns_leave_the_last_state_of_a_line(text, told, lines, target):
    with Capture().to(target):
        sys.stdout.write(text)
    assert lines == [("stdout", told)]


def test_log_records_are_told_with_level_and_name(lines, target):
    with Capture().to(target):
        logging.getLogger("sweep.fit").warning("loss is %s", 3)
    assert lines == [("logging", "WARNING sweep.fit: loss is 3")]


@pytest.mark.filterwarnings("always")
def test_warnings_are_told_with_place_and_category(lines, target):
    with Capture().to(target):
        warnings.warn_explicit("careful", UserWarning, "sweep.py", 7)
    assert lines == [("warning", "sweep.py:7: UserWarning: careful")]


@pytest.mark.filterwarnings("always")
def test_everything_is_as_it_was_afterwards(target):
    before = sys.stdout, sys.stderr, warnings.showwarning, [*logging.getLogger().handlers]
    with Capture().to(target):
        assert sys.stdout is not before[0]
    assert (sys.stdout, sys.stderr, warnings.showwarning, [*logging.getLogger().handlers]) == before


def test_everything_is_as_it_was_after_an_exception(target):
    before = sys.stdout, sys.stderr
    with pytest.raises(ValueError), Capture().to(target):
        raise ValueError
    assert (sys.stdout, sys.stderr) == before


def test_threads_with_targets_of_their_own_stay_apart():
    capture = Capture()
    told = {name: [] for name in range(4)}
    together = threading.Barrier(4)

    def work(name):
        def inside():
            with capture.to(lambda _, text: told[name].append(text)):
                for i in range(50):
                    together.wait(30)
                    print(name, end=" ")
                    together.wait(30)
                    print(i)

        return inside

    run(*[work(name) for name in told])
    assert told == {name: [f"{name} {i}" for i in range(50)] for name in told}


def test_a_thread_without_a_target_writes_where_it_always_did(lines, target, capsys):
    with Capture().to(target):
        run(lambda: print("elsewhere"))
        print("here")
    assert lines == [("stdout", "here")]
    assert capsys.readouterr().out == "elsewhere\n"


def test_of_a_whole_process_lines_of_other_threads_go_to_the_target(lines, target, capsys):
    with Capture(whole_process=True).to(target):
        run(lambda: print("elsewhere"))
    assert lines == [("stdout", "elsewhere")]
    assert capsys.readouterr().out == ""


def test_of_a_whole_process_the_rest_of_a_line_of_another_thread_is_told_at_the_end(lines, target):
    with Capture(whole_process=True).to(target):
        run(lambda: print("elsewhere", end=""))
    assert lines == [("stdout", "elsewhere")]


def test_rests_are_told_while_other_threads_begin_lines(lines, target):
    capture = Capture(whole_process=True)

    class Name(str):
        """The name of a stream; whenever one is looked at, another thread begins a line."""

        __hash__ = str.__hash__

        def __eq__(self, other):
            run(lambda: print("begun", end=""))
            return str(self) == other

        def __ne__(self, other):
            return not self == other

    with capture.to(target):
        capture.held[Name("stdout"), 1] = "rest"
        capture.held["stdout", 2] = "rest"
        end_lines()
        assert lines == [("stdout", "rest")] * 2
    assert ("stdout", "begun") in lines


def test_a_capture_in_a_capture_has_its_own_target(lines, target):
    capture, inner = Capture(), []
    with capture.to(target):
        print("before")
        with capture.to(lambda _, text: inner.append(text)):
            print("inside")
        print("after")
    assert [text for _, text in lines] == ["before", "after"]
    assert inner == ["inside"]


def test_another_capture_in_a_capture_has_its_own_target(lines, target):
    inner = []
    with Capture(whole_process=True).to(target):
        print("before")
        with Capture().to(lambda _, text: inner.append(text)):
            print("inside")
        print("after")
    assert [text for _, text in lines] == ["before", "after"]
    assert inner == ["inside"]


def test_a_capture_by_threads_that_overlap_leaves_the_streams_as_they_were():
    before = sys.stdout, sys.stderr, warnings.showwarning
    second_is_in, first_is_out = threading.Event(), threading.Event()
    told, capture = [], Capture()

    def first():
        with capture.to(lambda *_: None):
            second_is_in.wait(30)
        first_is_out.set()

    def second():
        with capture.to(lambda _, text: told.append(text)):
            second_is_in.set()
            first_is_out.wait(30)
            print("still here")

    one = threading.Thread(target=first)
    one.start()
    run(second)
    one.join(30)
    after = sys.stdout, sys.stderr, warnings.showwarning
    sys.stdout, sys.stderr, warnings.showwarning = before
    assert after == before
    assert told == ["still here"]


def test_streams_that_are_replaced_while_another_thread_still_runs_are_captured_too(lines, target):
    before = sys.stdout, warnings.showwarning
    capture, entered, over = Capture(), threading.Event(), threading.Event()

    def linger():
        with capture.to(lambda stream, text: None):
            entered.set()
            over.wait(30)

    thread = threading.Thread(target=linger)
    thread.start()
    entered.wait(30)
    replaced = sys.stdout, warnings.showwarning = io.StringIO(), lambda *_: None
    try:
        with capture.to(target):
            print("a line")
            warnings.showwarning("look", UserWarning, "there", 1)
        print("behind it")
    finally:
        over.set()
        thread.join(30)
        after = sys.stdout, warnings.showwarning
        sys.stdout, warnings.showwarning = before
    assert lines == [("stdout", "a line"), ("warning", "there:1: UserWarning: look")]
    assert replaced[0].getvalue() == "behind it\n"
    assert after == replaced
