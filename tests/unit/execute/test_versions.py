"""Versions that have to agree, where processes are, and the main guard of scripts."""

import os
import socket
import sys
from multiprocessing.connection import Client, Listener
from types import ModuleType

import pytest

from fanlab.core.batch import RunHeader
from fanlab.execute import exchange, guard, surroundings, versions


def test_the_same_versions_do_not_differ():
    assert versions.difference(versions.versions()) is None


def test_a_patch_of_python_makes_no_difference():
    minor = versions.versions().python.rpartition(".")[0]
    assert versions.difference(versions.versions()._replace(python=f"{minor}.99")) is None


@pytest.mark.parametrize(
    ("there", "told"),
    [
        ({"python": "2.7.18"}, "Python 2.7.18, and this kernel has {0.python}"),
        ({"fanlab": "0.0.1"}, "fanlab 0.0.1, and this kernel has {0.fanlab}"),
        ({"fanlab": ""}, "no fanlab, and this kernel has {0.fanlab}"),
        ({"cloudpickle": "1.0"}, "cloudpickle 1.0, and this kernel has {0.cloudpickle}"),
    ],
)
def test_other_versions_are_told_with_both(there, told):
    here = versions.versions()
    assert versions.difference(here._replace(**there)) == told.format(here)


def test_a_container_of_the_same_machine_is_another_one(monkeypatch):
    here = versions.machine()
    assert versions.machine() == here
    monkeypatch.setattr(socket, "gethostname", lambda: "pod-7")
    assert versions.machine() != here


def test_the_address_for_workers_can_be_chosen(monkeypatch):
    monkeypatch.setenv("FANLAB_HOST", "10.0.0.7")
    assert exchange.own_host("127.0.0.1") == "10.0.0.7"


def test_marks_that_killed_kernels_have_left_are_removed_after_a_week(tmp_path):
    import os

    old, new = tmp_path / "old.mark", tmp_path / "new.mark"
    for path in (old, new):
        path.write_text("x")
    os.utime(old, (0, 0))
    exchange._mark(str(tmp_path), "this")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.mark", "this.mark"]


# what a worker keeps of its own


def header(**changed):
    environment = (("COLOUR", "blue"), ("CUDA_VISIBLE_DEVICES", "0,1"))
    made = RunHeader("id", "name", "p", "/store", "/", ("/kernel", "/"), environment, 30, ())
    return made._replace(**changed)


def test_a_worker_on_this_machine_keeps_its_devices_and_takes_over_the_rest(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.setenv("COLOUR", "green")
    found = surroundings.moved(header(), near=True)
    assert dict(found.environment)["CUDA_VISIBLE_DEVICES"] == "1"
    assert dict(found.environment)["COLOUR"] == "blue"
    assert found.path == ("/kernel", "/")


def test_a_worker_on_another_machine_keeps_what_it_has_and_takes_over_what_is_new(monkeypatch):
    monkeypatch.setenv("COLOUR", "green")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    found = surroundings.moved(header(), near=False)
    assert dict(found.environment)["COLOUR"] == "green"
    assert dict(found.environment)["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert found.path == (*sys.path, *(["/"] if "/" not in sys.path else []))


def test_a_working_directory_that_is_not_there_is_replaced_by_the_stores():
    assert surroundings.moved(header(directory="/nowhere/at/all"), near=False).directory == "/store"
    assert surroundings.moved(header(), near=False).directory == "/"


# the main guard


@pytest.mark.parametrize(
    ("source", "line", "guarded"),
    [
        ("run()\n", 1, False),
        ("if __name__ == '__main__':\n    run()\n", 2, True),
        ("if '__main__' == __name__:\n    run()\n", 2, True),
        ("if True:\n    run()\n", 2, False),
        ("if __name__ == '__main__':\n    pass\nrun()\n", 3, False),
        ("def broken(:\n", 1, True),
    ],
)
def test_a_line_is_guarded_inside_the_guard_only(source, line, guarded):
    assert guard.is_guarded(source, line) is guarded


def test_a_session_without_a_file_needs_no_guard(monkeypatch):
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    guard.need_guard()


def test_the_ends_of_a_connection_send_at_once_and_notice_a_machine_that_is_gone():
    with Listener(("127.0.0.1", 0)) as listener, Client(listener.address) as connection:
        versions.tune(connection)
        with socket.socket(fileno=os.dup(connection.fileno())) as found:
            assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
