"""What a run leaves for the names of a body: values, lists of branches, and Missing."""

import copy
import math
import operator
import pickle

import pytest

from fanlab import pipeline, step
from fanlab.errors import NotAvailable, NotFound, PipelineError
from fanlab.exports import BranchList, Missing, value_of


@step
def inv(x):
    return 1 / x


@step
def pair(x) -> tuple[int, int]:
    return x, -x


@step
def describe(values):
    return type(values).__name__, values


@pytest.fixture
def exported():
    """Run a body and return what it returned, as a pipeline cell would leave it."""

    def exported(body):
        kept = []

        @pipeline(backend="sequential")
        def made():
            kept.append(body())

        try:
            made()
        except PipelineError:
            pass
        return value_of(kept[0], made.last_run)

    return exported


@pytest.fixture
def missing(exported):
    return exported(lambda: inv(0))


@pytest.fixture
def numbered(exported):
    return exported(lambda: inv.map([1, 2, 4]))


@pytest.fixture
def keyed(exported):
    return exported(lambda: inv.map({"us": 1, "de": 2}))


@pytest.fixture
def partly(exported):
    return exported(lambda: inv.map([1, 0, 4]))


# values


def test_an_output_is_its_value(exported):
    assert exported(lambda: inv(4)) == 0.25


def test_outputs_of_one_step_are_values_of_their_own(exported):
    assert exported(lambda: list(pair(3))) == [3, -3]


def test_a_branch_is_its_value(exported):
    assert exported(lambda: inv.map([1, 4])[1]) == 0.25


def test_a_container_without_outputs_stays_the_very_object(exported):
    plain = {"a": [1, (2, 3)]}
    assert exported(lambda: (inv(1), plain))[1] is plain


def test_a_container_with_outputs_is_a_new_one(exported):
    given = []

    def body():
        given.append([inv(1), "text"])
        return given[0]

    found = exported(body)
    assert found == [1.0, "text"]
    assert found is not given[0]


def test_one_output_of_branches_is_a_list_of_it(exported):
    first, second = exported(lambda: pair.map([1, 2]).unpack(2))
    assert (list(first), list(second)) == ([1, 2], [-1, -2])


# Missing


def test_missing_says_why_in_its_repr(missing):
    assert repr(missing) == "<missing: inv failed (ZeroDivisionError: division by zero)>"


def test_what_was_skipped_says_because_of_what(exported):
    assert repr(exported(lambda: inv(inv(0)))) == "<missing: inv_2 was skipped because 'inv' failed>"


def test_branches_that_never_became_known_are_missing(exported):
    assert repr(exported(lambda: inv.map(inv(0)))) == "<missing: inv_2 was skipped because 'inv' failed>"


USES = {
    "str": str,
    "format": lambda m: f"{m}",
    "bool": bool,
    "len": len,
    "iter": list,
    "call": lambda m: m(),
    "in": lambda m: 1 in m,
    "index": lambda m: m[0],
    "set an item": lambda m: operator.setitem(m, 0, 1),
    "delete an item": lambda m: operator.delitem(m, 0),
    "attribute": lambda m: m.shape,
    "set an attribute": lambda m: setattr(m, "shape", 1),
    "delete an attribute": lambda m: delattr(m, "shape"),
    "==": lambda m: m == 1,
    "!=": lambda m: m != 1,
    "reflected ==": lambda m: 1 == m,  # noqa: SIM300
    "<": lambda m: m < 1,
    ">=": lambda m: m >= 1,
    "+": lambda m: m + 1,
    "reflected +": lambda m: 1 + m,
    "+=": lambda m: operator.iadd(m, 1),
    "-": lambda m: m - 1,
    "*": lambda m: m * 2,
    "@": lambda m: m @ m,
    "/": lambda m: 1 / m,
    "//": lambda m: m // 2,
    "%": lambda m: m % 2,
    "**": lambda m: m**2,
    "divmod": lambda m: divmod(m, 2),
    "&": lambda m: m & 1,
    "|": lambda m: m | 1,
    "^": lambda m: m ^ 1,
    "<<": lambda m: m << 1,
    ">>": lambda m: m >> 1,
    "reflected <<": lambda m: 1 << m,
    "neg": operator.neg,
    "abs": abs,
    "invert": operator.invert,
    "int": int,
    "float": float,
    "complex": complex,
    "round": round,
    "range": range,
    "reversed": reversed,
    "next": next,
    "sum": lambda m: sum([m]),
    "with": lambda m: m.__enter__(),
    "pickle": pickle.dumps,
    "copy": copy.copy,
    "hash": hash,
    "a key of a dict": lambda m: {m: 1},
    "open": open,
    "bytes": bytes,
    "floor": math.floor,
    "trunc": math.trunc,
    "await": lambda m: m.__await__(),
    "f-string": lambda m: f"{m:>10}",
    "print": print,
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_every_other_use_of_missing_raises(missing, use):
    with pytest.raises(NotAvailable) as caught:
        use(missing)
    assert str(caught.value) == (
        "there is no value of 'inv': it failed (ZeroDivisionError: division by zero)\n"
        "  do:    mend its step and run the pipeline cell again"
    )


def test_numpy_cannot_take_missing_for_a_number(missing):
    numpy = pytest.importorskip("numpy")
    with pytest.raises(NotAvailable):
        numpy.asarray([1.0, missing], dtype=float)


# branches


def test_branches_have_a_length(numbered):
    assert len(numbered) == 3


def test_branches_are_indexed_by_position(numbered):
    assert (numbered[0], numbered[2], numbered[-1], numbered[-3]) == (1.0, 0.25, 0.25, 1.0)


def test_a_slice_of_branches_is_a_list(numbered):
    assert (numbered[1:], numbered[::-1], numbered[5:]) == ([0.5, 0.25], [0.25, 0.5, 1.0], [])


def test_branches_are_iterated_in_order_and_again(numbered):
    assert list(numbered) == list(numbered) == [1.0, 0.5, 0.25]


def test_branches_load_as_a_list(numbered):
    assert numbered.load() == [1.0, 0.5, 0.25]


def test_keys_of_branches_without_keys_are_their_positions(numbered):
    assert numbered.keys() == [0, 1, 2]


def test_branches_have_a_short_repr(numbered):
    assert repr(numbered) == "<3 branches of 'inv'>"


@pytest.mark.parametrize("position", [3, -4, 100])
def test_a_position_that_is_not_there_is_told_with_the_number(numbered, position):
    with pytest.raises(NotFound) as caught:
        numbered[position]
    assert str(caught.value) == f"'inv' has no branch {position}\n  do:    it has 3 branches"


def test_zero_branches_are_an_empty_list(exported):
    empty = exported(lambda: inv.map([]))
    assert (len(empty), list(empty), empty.load(), bool(empty)) == (0, [], [], False)


def test_keyed_branches_are_indexed_by_key(keyed):
    assert (keyed["us"], keyed["de"]) == (1.0, 0.5)


def test_keyed_branches_load_as_a_dict(keyed):
    assert keyed.load() == {"us": 1.0, "de": 0.5}


def test_keyed_branches_have_their_keys(keyed):
    assert keyed.keys() == ["us", "de"]


def test_iteration_over_keyed_branches_gives_values(keyed):
    assert list(keyed) == [1.0, 0.5]


def test_a_number_that_is_a_key_is_not_a_position(exported):
    found = exported(lambda: inv.map({1: 1, 0: 2}))
    assert (found[0], found[1]) == (0.5, 1.0)


@pytest.mark.parametrize("position", [0, -1])
def test_a_number_that_is_no_key_of_keyed_branches_is_not_found(exported, position):
    found = exported(lambda: inv.map({5: 1, 6: 2}))
    with pytest.raises(NotFound) as caught:
        found[position]
    assert str(caught.value) == f"'inv' has no branch {position}\n  do:    its keys are 5, 6"


def test_an_unknown_key_is_told_with_the_nearest(keyed):
    with pytest.raises(NotFound) as caught:
        keyed["uss"]
    assert str(caught.value) == "'inv' has no branch 'uss'\n  do:    did you mean 'us'?"


def test_an_unknown_key_without_a_near_one_is_told_with_the_keys(keyed):
    with pytest.raises(NotFound) as caught:
        keyed["zzz"]
    assert str(caught.value) == "'inv' has no branch 'zzz'\n  do:    its keys are 'us', 'de'"


def test_an_unknown_key_is_a_key_error(keyed):
    with pytest.raises(KeyError):
        keyed["zzz"]


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_branches_copied_or_sent_are_a_list(numbered, again):
    found = again(numbered)
    assert type(found) is list
    assert found == [1.0, 0.5, 0.25]


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_keyed_branches_copied_or_sent_are_a_dict(keyed, again):
    found = again(keyed)
    assert type(found) is dict
    assert found == {"us": 1.0, "de": 0.5}


def test_partly_failed_branches_hold_missing_items(partly):
    assert isinstance(partly, BranchList)
    assert [isinstance(item, Missing) for item in partly] == [False, True, False]
    assert repr(partly[1]) == "<missing: inv[1] failed (ZeroDivisionError: division by zero)>"


def test_partly_failed_branches_say_how_many_have_a_value(partly):
    assert repr(partly) == "<3 branches of 'inv', 2 with a value>"


def test_partly_failed_branches_give_the_others_values(partly):
    assert (partly[0], partly[2], partly[-1]) == (1.0, 0.25, 0.25)


def test_partly_failed_branches_cannot_be_sent(partly):
    with pytest.raises(NotAvailable):
        pickle.dumps(partly)


# as input of the next run


def run_with(body):
    """The value of a run whose body is `body`."""
    return pipeline(name="next", backend="sequential")(body)().load()


def test_branches_are_mapped_over_in_the_next_run(numbered):
    assert run_with(lambda: inv.map(numbered)) == [1.0, 2.0, 4.0]


def test_branches_are_a_list_for_a_step_of_the_next_run(numbered):
    assert run_with(lambda: describe(numbered)) == ("list", [1.0, 0.5, 0.25])


def test_keyed_branches_are_mapped_over_with_their_keys(keyed):
    assert run_with(lambda: inv.map(keyed)) == {"us": 1.0, "de": 2.0}


def test_keyed_branches_are_a_dict_for_a_step_of_the_next_run(keyed):
    assert run_with(lambda: describe(keyed)) == ("dict", {"us": 1.0, "de": 0.5})


def test_branches_inside_a_list_are_a_list_for_a_step(numbered):
    assert run_with(lambda: describe([numbered])) == ("list", [[1.0, 0.5, 0.25]])


def test_missing_as_an_argument_of_the_next_run_raises(missing):
    with pytest.raises(NotAvailable):
        run_with(lambda: inv(missing))


def test_a_missing_item_that_is_mapped_over_fails_its_branch_only(partly):
    def body():
        return inv.map(partly)

    with pytest.raises(PipelineError) as caught:
        run_with(body)
    assert [found.status for found in caught.value.run["inv"]] == ["completed", "failed", "completed"]
    assert str(caught.value) == (
        "inv[1] failed: CannotSend: <missing: inv[1] failed (ZeroDivisionError: division by zero)> cannot be sent\n"
        f"  where: test_exports.py, line {body.__code__.co_firstlineno + 1}\n"
        "  do:    pass plain data, or make the object inside the step"
    )
