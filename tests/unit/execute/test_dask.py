"""Dask as an engine: how its calls end."""

from concurrent.futures import CancelledError
from types import SimpleNamespace

import pytest

pytest.importorskip("distributed", reason="needs fanlab[dask]")


def raises(error):
    raise error


@pytest.mark.parametrize(
    "exception",
    [
        lambda: CancelledError("the client has been closed"),
        lambda: raises(CancelledError("the client has been closed")),
    ],
    ids=["told", "raised"],
)
def test_a_call_that_is_cancelled_while_it_is_asked_about_is_told_as_lost(exception):
    from fanlab.execute.dask import _done

    told = []
    _done(SimpleNamespace(exception=exception), lambda *found: told.append(found))
    assert told == [(None, "CancelledError: the client has been closed")]


def test_a_call_that_fails_tells_the_first_line_why():
    from fanlab.execute.dask import _done

    told = []
    _done(SimpleNamespace(exception=lambda: ValueError("one\ntwo")), lambda *found: told.append(found))
    assert told == [(None, "ValueError: one")]
