"""The tree of errors and what their messages look like."""

from __future__ import annotations

import copy
import pickle

import pytest

from fanlab import errors
from fanlab.errors import FanlabError, listed, near

TREE = {
    "StepDefinitionError": TypeError,
    "StepCallError": TypeError,
    "GraphError": ValueError,
    "FanOutError": ValueError,
    "NoValueYet": TypeError,
    "PipelineError": RuntimeError,
    "CannotSend": TypeError,
    "CannotStore": TypeError,
    "WorkerDied": RuntimeError,
    "NotFound": KeyError,
    "NotAvailable": RuntimeError,
    "StoreError": OSError,
}
EVERY = [FanlabError, *(getattr(errors, name) for name in TREE)]
PARTS = {
    "all": ("what", "where", "do"),
    "no-where": ("what", None, "do"),
    "no-do": ("what", "where", None),
    "what": ("what", None, None),
}
TEXTS = {
    "all": "what\n  where: where\n  do:    do",
    "no-where": "what\n  do:    do",
    "no-do": "what\n  where: where",
    "what": "what",
}


@pytest.mark.parametrize(("name", "kind"), TREE.items(), ids=TREE)
def test_each_error_is_fanlabs_and_of_pythons_kind(name, kind):
    assert issubclass(getattr(errors, name), FanlabError)
    assert issubclass(getattr(errors, name), kind)


def test_every_error_of_the_module_is_in_its_docstring():
    found = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Exception)]

    assert [kind.__name__ for kind in found if kind.__name__ not in errors.__doc__] == []


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("parts", PARTS)
def test_the_message_has_a_line_for_each_part(kind, parts):
    assert str(kind(*PARTS[parts])) == TEXTS[parts]


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("carried", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy], ids=["pickle", "copy"])
def test_an_error_keeps_its_parts_when_it_is_carried(kind, parts, carried):
    found = carried(kind(*PARTS[parts]))

    assert type(found) is kind
    assert (found.what, found.where, found.do) == PARTS[parts]
    assert str(found) == TEXTS[parts]


def test_a_pipeline_error_has_a_place_for_its_run():
    assert errors.PipelineError("fit failed").run is None


@pytest.mark.parametrize(
    ("name", "names", "hint"),
    [
        ("lod", ["load", "fit"], "did you mean 'load'?"),
        ("fit_1", ["fit_2", "fit_3"], "did you mean 'fit_3' or 'fit_2'?"),
        ("xyz", ["load", "fit"], ""),
        ("load", [], ""),
        ("12", [112, 5], "did you mean '112'?"),
    ],
    ids=["one", "several", "none-near", "no-names", "not-text"],
)
def test_near_names_are_suggested(name, names, hint):
    assert near(name, names) == hint


def test_a_name_is_suggested_once():
    assert near("lod", ["load", "load"]) == "did you mean 'load'?"


def test_a_suggestion_takes_the_quotes_that_it_is_given():
    assert near("lod", ["load"], quote="`") == "did you mean `load`?"


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], ""),
        (["a"], "'a'"),
        ("abcde", "'a', 'b', 'c', 'd', 'e'"),
        ("abcdef", "'a', 'b', 'c', 'd', 'e' and 1 more"),
        (range(100), "'0', '1', '2', '3', '4' and 95 more"),
    ],
    ids=["none", "one", "five", "six", "hundred"],
)
def test_a_long_list_of_names_is_cut_with_a_count(names, text):
    assert listed(names) == text
