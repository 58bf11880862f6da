"""`-p name=value`: how words become values, and what is not understood."""

import pytest
import typer

from fanlab.cli.values import known, pairs, read, value
from fanlab.core.spans import span
from fanlab.errors import NotFound


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("3", 3),
        ("-0.5", -0.5),
        ("1e3", 1000.0),
        ("true", True),
        ("True", True),
        ("false", False),
        ("null", None),
        ("None", None),
        ("[1, 'a']", [1, "a"]),
        ("'3'", "3"),
        ("houses.csv", "houses.csv"),
        ("", ""),
        ("a=b", "a=b"),
        ("1 +", "1 +"),
        ("__import__('os')", "__import__('os')"),
    ],
)
def test_a_text_stands_for_the_literal_it_is_and_else_for_itself(text, meant):
    assert value(text) == meant
    assert type(value(text)) is type(meant)


def test_pairs_are_split_at_their_first_equals_sign():
    assert pairs(["alpha=0.1", "query=a=b", "empty="]) == {"alpha": "0.1", "query": "a=b", "empty": ""}


@pytest.mark.parametrize("word", ["alpha", "=3", "2x=3", "a b=1"])
def test_a_word_that_is_no_pair_is_told(word):
    with pytest.raises(typer.BadParameter) as caught:
        pairs([word])
    assert caught.value.message == f"{word!r} is not name=value, as in -p alpha=0.1"


def test_a_name_given_twice_is_told():
    with pytest.raises(typer.BadParameter) as caught:
        pairs(["a=1", "a=2"])
    assert caught.value.message == "'a' is given twice"


def test_an_unknown_name_is_told_with_the_nearest():
    with pytest.raises(NotFound) as caught:
        known(["alpa"], ["alpha", "beta"], "pipeline 'sweep'")
    assert str(caught.value) == "pipeline 'sweep' has no parameter 'alpa'\n  do:    did you mean 'alpha'?"


def test_an_unknown_name_far_from_all_is_told_with_all():
    with pytest.raises(NotFound) as caught:
        known(["zzz"], ["alpha"], "pipeline 'sweep'")
    assert str(caught.value) == "pipeline 'sweep' has no parameter 'zzz'\n  do:    its parameters are 'alpha'"


def test_a_name_where_there_are_none_is_told():
    with pytest.raises(NotFound) as caught:
        known(["zzz"], [], "sweep.ipynb")
    assert str(caught.value) == "sweep.ipynb has no parameter 'zzz'\n  do:    it has no parameters"


@pytest.mark.parametrize(("text", "seconds"), [("30d", 2592000), (None, None)])
def test_an_options_value_is_read_where_it_is_given(text, seconds):
    assert read(span, text) == seconds


def test_what_cannot_be_read_is_told():
    with pytest.raises(typer.BadParameter) as caught:
        read(span, "soon")
    assert caught.value.message == "'soon' is no time: write it as 30d, 12h, 90m or 3600s"
