"""Workers and the kernel they belong to: what they take over from it, share with it, and leave behind."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fanlab import pipeline, step


@step
def same(x):
    return x


@pytest.fixture
def look():
    """A pipeline that tells what a warm worker sees: directory, a variable of the environment, the path."""

    @step(enable_cache=False)
    def look():
        return os.getcwd(), os.environ.get("FANLAB_TEST_COLOUR"), list(sys.path)

    @pipeline(n_jobs=1)
    def looks():
        return look()

    return looks


# what workers take over


def test_a_warm_worker_follows_the_working_directory(look, tmp_path, monkeypatch):
    look()
    (tmp_path / "deeper").mkdir()
    monkeypatch.chdir(tmp_path / "deeper")
    assert look().load()[0] == str(tmp_path / "deeper")


def test_a_warm_worker_follows_the_environment(look, monkeypatch):
    seen = []
    for colour in ("blue", "red"):
        monkeypatch.setenv("FANLAB_TEST_COLOUR", colour)
        seen.append(look().load()[1])
    monkeypatch.delenv("FANLAB_TEST_COLOUR")
    seen.append(look().load()[1])
    assert seen == ["blue", "red", None]


def test_a_warm_worker_follows_the_path(look, tmp_path, monkeypatch):
    look()
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    assert look().load()[2] == sys.path


def test_a_module_of_a_folder_added_to_the_path_can_be_imported(tmp_path, monkeypatch):
    @step
    def answer():
        import fanlab_test_answers

        return fanlab_test_answers.ANSWER

    @pipeline(n_jobs=1)
    def imports():
        return answer()

    same_again = pipeline(n_jobs=1)(lambda: same(1))
    same_again()
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "fanlab_test_answers.py").write_text("ANSWER = 42\n")
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    assert imports().load() == 42


def test_what_a_step_does_to_its_surroundings_is_gone_in_the_next_run(look, tmp_path):
    @step
    def changes():
        os.environ["FANLAB_TEST_COLOUR"] = "green"
        os.chdir("/")
        sys.path.insert(0, "/nowhere")

    @pipeline(n_jobs=1)
    def disturbs():
        changes()

    disturbs()
    directory, colour, path = look().load()
    assert (directory, colour) == (str(tmp_path), None)
    assert path == sys.path


# what they write


def test_lines_of_threads_that_a_step_starts_are_its_own(able):
    @step
    def tells(x):
        def tell(i):
            print(f"{x} from thread {i}")

        threads = [threading.Thread(target=tell, args=(i,)) for i in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    @able(n_jobs=2)
    def writes():
        tells.map(range(5))

    run = writes()
    assert [sorted(found.logs) for found in run["tells"]] == [
        [f"{x} from thread {i}" for i in range(3)] for x in range(5)
    ]


def test_a_line_without_an_end_of_a_thread_is_its_branchs_own(able):
    @step
    def tells(x):
        thread = threading.Thread(target=lambda: print("part", x, end=""))
        thread.start()
        thread.join()

    @able(n_jobs=1)
    def writes():
        tells.map(range(4))

    run = writes()
    assert [found.logs for found in run["tells"]] == [[f"part {x}"] for x in range(4)]


# batches


def test_a_long_branch_does_not_hold_back_those_behind_it(able, until):
    @step
    def works(x):
        if x == 40:
            until(lambda: os.path.getsize("ran") == 399)  # what would wait behind it would wait for ever
        else:
            with open("ran", "a") as file:
                file.write(".")
        return x

    @able(n_jobs=2)
    def mixed():
        return works.map(range(400))

    assert mixed().load() == list(range(400))


def test_a_long_branch_does_not_hold_back_another_step(able, until):
    @step
    def works(x):
        if x == 40:
            until(lambda: os.path.exists("others"))

    @step
    def others(x):
        if x == 79:
            open("others", "w").close()

    @able(n_jobs=2)
    def mixed():
        works.map(range(80))
        others.map(range(80))

    assert mixed().status == "completed"


def test_a_branch_given_back_runs_once(able):
    @step
    def works(x):
        with open("ran", "a") as file:
            file.write(f"{x}\n")
        time.sleep(0.4 if x % 50 == 10 else 0.001)

    @able(n_jobs=2)
    def mixed():
        works.map(range(300))

    mixed()
    with open("ran") as file:
        assert sorted(map(int, file.read().split())) == list(range(300))


# joblib beside it


def test_joblib_of_ones_own_works_before_during_and_after_a_run(python):
    out = python(
        """
        from joblib import Parallel, delayed
        from fanlab import pipeline, step

        def square(x):
            return x * x

        @step
        def wait(x):
            import os, time
            while not os.path.exists("go"):
                time.sleep(0.01)
            return x

        @pipeline(n_jobs=2)
        def waits():
            return wait.map([1, 2])

        def squares():
            return Parallel(n_jobs=2)(delayed(square)(x) for x in range(4))

        print(squares())
        run = waits.start()
        print(squares())
        open("go", "w").close()
        print(run.wait(30).load())
        print(squares())
        """
    )
    assert out == "[0, 1, 4, 9]\n[0, 1, 4, 9]\n[1, 2]\n[0, 1, 4, 9]\n"


def test_joblib_inside_a_step_starts_no_processes(able):
    @step
    def nested(x):
        from joblib import Parallel, delayed

        own = os.getpid()
        pids = Parallel(n_jobs=4)(delayed(os.getpid)() for _ in range(8))
        default = Parallel()(delayed(os.getpid)() for _ in range(4))
        children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
        return {*pids, *default} == {own}, children

    @able(n_jobs=2)
    def nests():
        return nested.map(range(4))

    assert nests().load() == [(True, [])] * 4


# the kernel's end


@pytest.mark.parametrize(
    "work", ["sum(range(10**12))", "time.sleep(60)", "[None for _ in iter(int, 1)]"], ids=["C code", "sleep", "loop"]
)
def test_a_kernel_that_is_killed_leaves_no_worker(work, tmp_path, until, living):
    program = tmp_path / "program.py"
    program.write_text(
        f"""
import time
from fanlab import pipeline, step

@step
def works(x):
    open(f"started{{x}}", "w").close()
    {work}

@pipeline(n_jobs=2)
def endless():
    works.map([0, 1])

endless()
"""
    )
    process = subprocess.Popen(
        [sys.executable, str(program)], start_new_session=True, cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: os.path.exists("started0") and os.path.exists("started1"))
        assert len(living(process.pid)) >= 3
        process.kill()
        process.wait()
        until(lambda: not living(process.pid))
    finally:
        for left in living(process.pid):
            os.kill(left, signal.SIGKILL)
        process.wait()


def test_a_script_that_ends_leaves_no_process_and_no_folder(tmp_path, until, living):
    program = tmp_path / "program.py"
    program.write_text(
        """
from fanlab import pipeline, step

@step
def same(x):
    return x

@pipeline(n_jobs=2)
def sames():
    return same.map(range(4))

sames()
"""
    )
    (tmp_path / "temporary").mkdir()
    process = subprocess.Popen(
        [sys.executable, str(program)],
        start_new_session=True,
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path / "temporary")},
        stderr=subprocess.PIPE,
        text=True,
    )
    _, errors = process.communicate(timeout=180)
    assert process.returncode == 0
    assert [line for line in errors.splitlines() if not line.startswith("fanlab: ")] == []
    until(lambda: not living(process.pid))
    assert [name for name in os.listdir(tmp_path / "temporary") if name.startswith("fanlab")] == []


def test_a_script_ends_although_a_step_has_left_a_thread(python):
    printed = python(
        """
        import threading
        from fanlab import pipeline, step

        @step
        def leaves():
            threading.Thread(target=threading.Event().wait).start()
            return "left"

        @pipeline(n_jobs=2)
        def leaving():
            return leaves()

        print(leaving().load())
        """
    )
    assert printed == "left\n"


@pytest.mark.parametrize("way", [None, "fork", "spawn", "forkserver"])
def test_a_step_may_start_processes_of_its_own(way):
    @step
    def pool():
        with multiprocessing.get_context(way).Pool(2) as processes:
            return sum(processes.map(abs, [1, -2, 3]))

    @pipeline
    def sums():
        return pool()

    assert sums().load() == 6
