"""Which branches a map or product makes, what they are called, and what makes none."""

from __future__ import annotations

import io
import itertools
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import ParameterGrid

from fanlab.core.expand import CALL, Items, Shape, Source, combine, items_of, key_label
from fanlab.core.spec import Branches, Output, Step, unmapped
from fanlab.core.trace import Trace, trace
from fanlab.errors import FanOutError, StepCallError
from fanlab.place import Place


def fit(frame=None, alpha=1.0, k=3):
    return frame, alpha, k


def cell(row, column):
    return row, column


FIT, CELL, LOAD = Step(fit, "fit"), Step(cell, "cell"), Step(lambda: [1], "load")


def recorded(body) -> Trace:
    return trace("sweep", body, (), {})


def shape_of(body, node="fit") -> Shape:
    return recorded(body).shapes[node]


def branch_names(body, node="fit") -> list[str]:
    shape = shape_of(body, node)
    return [f"{node}[{shape.label(branch)}]" for branch in range(shape.size)]


def branch_arguments(body, node) -> list[tuple]:
    """What each branch gets for each mapped argument."""
    traced = recorded(body)
    shape, arguments = traced.shapes[node], [a for a in traced.graph.nodes[node].arguments if a.mapped]
    return [
        tuple(argument.value.values[shape.item(position, branch)] for position, argument in enumerate(arguments))
        for branch in range(shape.size)
    ]


def refused(body) -> FanOutError:
    with pytest.raises(FanOutError) as raised:
        recorded(body)
    return raised.value


def line(body, offset=1) -> str:
    return str(Place(__file__, body.__code__.co_firstlineno + offset))


# what is mapped over and what is shared


class Pair(NamedTuple):
    left: int
    right: int


MAPPED = {
    "list": (lambda: [1, 2], (1, 2)),
    "empty-list": (list, ()),
    "list-of-lists": (lambda: [[1], [2]], ([1], [2])),
    "tuple": (lambda: (1, 2), (1, 2)),
    "range": (lambda: range(3), (0, 1, 2)),
    "generator": (lambda: (i * i for i in range(3)), (0, 1, 4)),
    "iterator": (lambda: iter([1, 2]), (1, 2)),
    "zip": (lambda: zip([1], [2], strict=True), ((1, 2),)),
    "keys": (lambda: {"a": 1, "b": 2}.keys(), ("a", "b")),
    "values": (lambda: {"a": 1, "b": 2}.values(), (1, 2)),
    "items": (lambda: {"a": 1}.items(), (("a", 1),)),
    "array": (lambda: np.array([1.5, 2.5]), (1.5, 2.5)),
    "array-of-text": (lambda: np.array(["a", "b"]), ("a", "b")),
    "series": (lambda: pd.Series([1, 2], index=["x", "y"]), (1, 2)),
    "index": (lambda: pd.Index(["x", "y"]), ("x", "y")),
    "range-index": (lambda: pd.RangeIndex(2), (0, 1)),
    "dates": (lambda: pd.date_range("2024-01-01", periods=1), (pd.Timestamp("2024-01-01"),)),
}

SHARED = {
    "text": "abc",
    "bytes": b"abc",
    "number": 3,
    "float": 1.5,
    "none": None,
    "true": True,
    "2-d-array": np.zeros((2, 2)),
    "0-d-array": np.array(3),
    "numpy-number": np.float64(1.5),
    "frame": pd.DataFrame({"a": [1, 2]}),
    "object": object(),
    "function": len,
    "class": dict,
    "named-tuple": Pair(1, 2),
}


@pytest.mark.parametrize(("make", "values"), MAPPED.values(), ids=MAPPED)
def test_what_holds_items_in_order_is_mapped_over(make, values):
    assert items_of(make()) == Items(values)


def test_a_dict_is_mapped_over_by_its_values_under_its_keys():
    assert items_of({"us": 1, "eu": 2}) == Items((1, 2), ("us", "eu"))


@pytest.mark.parametrize("value", SHARED.values(), ids=SHARED)
def test_what_is_one_value_is_shared(value):
    assert items_of(value) is None


def test_an_open_file_is_shared_though_it_iterates():
    assert items_of(io.StringIO("a\nb\n")) is None


def test_a_generator_is_listed_once_at_the_call():
    assert branch_arguments(lambda: FIT.map(i for i in range(3)), "fit") == [(0,), (1,), (2,)]


@pytest.mark.parametrize("value", [{1, 2}, frozenset([1])], ids=["set", "frozenset"])
def test_a_set_is_refused_since_it_has_no_order(value):
    def body():
        FIT.map(alpha=value)

    assert str(refused(body)) == (
        "argument 'alpha' of fit.map(): a set cannot be mapped over, since it has no order\n"
        f"  where: {line(body)}\n"
        "  do:    use sorted(...) to give it one, or unmapped(...) to share it"
    )


def test_an_unmapped_set_is_shared():
    traced = recorded(lambda: FIT.map([1], alpha=unmapped({1, 2})))

    assert traced.graph.nodes["fit"].arguments[1].value == {1, 2}


def test_a_map_of_nothing_but_shared_values_is_refused():
    def body():
        FIT.map("abc", alpha=1.0, k=unmapped([1, 2]))

    assert str(refused(body)) == (
        "fit.map() has nothing to map over: frame is str, alpha is float, k is list\n"
        f"  where: {line(body)}\n"
        "  do:    pass a list, range, dict, array, Output or Branches; unmapped(...) marks what all branches share; "
        "for a DataFrame's rows use map_records(...)"
    )


def test_a_product_of_nothing_but_shared_values_is_refused_under_its_own_name():
    assert refused(lambda: FIT.product(1)).what == "fit.product() has nothing to map over: frame is int"


def test_a_map_without_arguments_is_refused():
    assert refused(lambda: FIT.map()).what == "fit.map() has nothing to map over: there are no arguments"


def test_shared_and_mapped_arguments_are_told_apart():
    node = recorded(lambda: FIT.map("all", [1, 2], unmapped([7]))).graph.nodes["fit"]

    assert [(a.name, a.mapped) for a in node.arguments] == [("frame", False), ("alpha", True), ("k", False)]
    assert node.arguments[2].value == [7]


def test_a_mapped_list_may_hold_outputs():
    def body():
        FIT.map([LOAD(), 2])

    first, second = recorded(body).graph.nodes["fit"].arguments[0].value.values

    assert isinstance(first, Output)
    assert second == 2


def test_an_output_and_branches_are_mapped_over():
    node = recorded(lambda: FIT.map(LOAD(), CELL.map([1], [2]))).graph.nodes["fit"]

    assert [(type(a.value), a.mapped) for a in node.arguments] == [(Output, True), (Branches, True)]


def test_unmapped_branches_are_shared():
    node = recorded(lambda: FIT.map(unmapped(CELL.map([1], [2])), [1])).graph.nodes["fit"]

    assert [a.mapped for a in node.arguments] == [False, True]


# maps


def test_a_map_takes_its_arguments_in_step():
    assert branch_arguments(lambda: CELL.map([1, 2], ["a", "b"]), "cell") == [(1, "a"), (2, "b")]


def test_branches_of_a_map_over_a_list_are_numbered():
    assert branch_names(lambda: FIT.map(["a", "b"])) == ["fit[0]", "fit[1]"]


def test_branches_of_a_map_over_a_dict_bear_its_keys():
    assert branch_names(lambda: FIT.map({"us": 1, "eu": 2})) == ["fit[us]", "fit[eu]"]


def test_a_list_beside_a_dict_takes_its_keys():
    assert branch_names(lambda: FIT.map([1, 2], {"us": 1, "eu": 2})) == ["fit[us]", "fit[eu]"]


def test_a_map_over_branches_inherits_their_keys():
    shape = shape_of(lambda: FIT.map(CELL.map({"us": 1, "eu": 2}, [7, 8])))

    assert shape.keys == ("us", "eu")


def test_a_map_over_an_output_has_no_branches_yet():
    assert "fit" not in recorded(lambda: FIT.map(LOAD())).shapes


def test_a_map_over_branches_of_an_unknown_number_has_no_branches_yet():
    assert "cell" not in recorded(lambda: CELL.map(FIT.map(LOAD()), [1])).shapes


@pytest.mark.parametrize(
    "items",
    [[], (), {}, range(0), np.array([]), pd.Series([], dtype=float), iter(())],
    ids=["list", "tuple", "dict", "range", "array", "series", "iterator"],
)
def test_a_map_over_no_items_makes_no_branches(items):
    assert shape_of(lambda: FIT.map(items)).size == 0


def test_arguments_of_unequal_length_are_refused_with_each_length():
    def body():
        FIT.map([1, 2], alpha=[1, 2, 3], k=unmapped([1]))

    assert str(refused(body)) == (
        "the mapped arguments of 'fit' differ in length: frame has 2, alpha has 3\n"
        f"  where: {line(body)}\n"
        "  do:    give them equal lengths, mark a shared one with unmapped(...), or combine them with .product(...)"
    )


def test_an_empty_list_beside_a_full_one_is_refused():
    assert refused(lambda: FIT.map([], [1])).what == (
        "the mapped arguments of 'fit' differ in length: frame has 0, alpha has 1"
    )


def test_branches_of_another_length_are_refused_at_the_call():
    assert refused(lambda: FIT.map(CELL.map([1], [2]), [1, 2])).what == (
        "the mapped arguments of 'fit' differ in length: frame has 1, alpha has 2"
    )


def test_dicts_with_different_keys_are_refused_with_both():
    def body():
        FIT.map({"us": 1, "eu": 2}, alpha={"us": 1, "uk": 2})

    assert str(refused(body)) == (
        "the keyed arguments of 'fit' differ in keys: frame has 'us', 'eu', alpha has 'us', 'uk'\n"
        f"  where: {line(body)}\n"
        "  do:    give both dicts the same keys in the same order"
    )


def test_dicts_with_the_same_keys_share_them():
    assert shape_of(lambda: FIT.map({"us": 1}, {"us": 2})).keys == ("us",)


# products


def test_the_last_argument_of_a_product_is_the_fastest():
    assert branch_arguments(lambda: CELL.product([1, 2], ["a", "b", "c"]), "cell") == [
        (1, "a"), (1, "b"), (1, "c"), (2, "a"), (2, "b"), (2, "c"),
    ]  # fmt: skip


def test_branches_of_a_product_over_lists_are_numbered():
    assert branch_names(lambda: CELL.product([1, 2], [3, 4]), "cell") == ["cell[0]", "cell[1]", "cell[2]", "cell[3]"]


def test_branches_of_a_product_with_a_dict_bear_all_parts():
    assert branch_names(lambda: CELL.product({"us": 1, "eu": 2}, [7, 8]), "cell") == [
        "cell[us,0]", "cell[us,1]", "cell[eu,0]", "cell[eu,1]",
    ]  # fmt: skip


def test_the_keys_of_a_product_are_tuples():
    assert shape_of(lambda: CELL.product(["a"], {"x": 1, "y": 2}), "cell").keys == ((0, "x"), (0, "y"))


def test_a_product_over_one_dict_has_its_keys():
    assert shape_of(lambda: FIT.product({"us": 1, "eu": 2})).keys == ("us", "eu")


def test_a_product_shares_what_a_map_shares():
    assert shape_of(lambda: FIT.product([1, 2], 3, [4, 5])).size == 4


@pytest.mark.parametrize("arguments", [([], [1, 2]), ([1, 2], []), ([], []), ({}, [1])], ids=repr)
def test_a_product_with_no_items_makes_no_branches(arguments):
    assert shape_of(lambda: CELL.product(*arguments), "cell").size == 0


@given(lengths=st.lists(st.integers(0, 4), min_size=1, max_size=4))
def test_a_product_takes_items_in_the_order_of_itertools(lengths):
    shape = combine("product", "cell", [Source(f"x{i}", length) for i, length in enumerate(lengths)])

    got = [tuple(shape.item(i, branch) for i in range(len(lengths))) for branch in range(shape.size)]

    assert got == list(itertools.product(*map(range, lengths)))


@given(
    lengths=st.lists(st.integers(1, 4), min_size=2, max_size=3), keyed=st.lists(st.booleans(), min_size=3, max_size=3)
)
def test_the_keys_of_a_product_are_in_the_order_of_itertools(lengths, keyed):
    keys = [tuple("abcd"[:n]) if k else None for n, k in zip(lengths, keyed, strict=False)]
    sources = [Source(f"x{i}", n, k) for i, (n, k) in enumerate(zip(lengths, keys, strict=True))]

    shape = combine("product", "cell", sources)

    parts = [range(n) if k is None else k for n, k in zip(lengths, keys, strict=True)]
    assert shape.keys == (tuple(itertools.product(*parts)) if any(keys) else None)


@given(length=st.integers(0, 5), count=st.integers(1, 3))
def test_a_map_gives_each_branch_the_item_of_its_own_number(length, count):
    shape = combine("map", "fit", [Source(f"x{i}", length) for i in range(count)])

    assert [[shape.item(i, branch) for branch in range(shape.size)] for i in range(count)] == [
        list(range(length)) for _ in range(count)
    ]


# keys and labels


@pytest.mark.parametrize(
    ("key", "label"),
    [("us", "us"), (3, "3"), (("us", 0), "us,0"), (1.5, "1.5"), (None, "None")],
    ids=["text", "number", "parts", "float", "none"],
)
def test_a_key_is_written_plainly_and_its_parts_with_commas(key, label):
    assert key_label(key) == label


def test_a_plain_call_has_one_branch():
    assert (CALL.size, CALL.key(0), CALL.position(0), CALL.position(1)) == (1, 0, 0, None)


@pytest.mark.parametrize(
    ("shape", "key", "position"),
    [
        (Shape(3), 1, 1),
        (Shape(3), -1, 2),
        (Shape(3), 3, None),
        (Shape(3), "1", None),
        (Shape(2, ("us", "eu")), "eu", 1),
        (Shape(2, ("us", "eu")), 0, None),
        (Shape(0), 0, None),
    ],
)
def test_a_key_leads_to_its_branch(shape, key, position):
    assert shape.position(key) == position


# labels from an id template


def test_a_template_names_the_branches_from_their_arguments():
    assert branch_names(lambda: FIT.map(alpha=[0.1, 1.0], id="{alpha}")) == ["fit[0.1]", "fit[1.0]"]


def test_a_template_may_use_shared_arguments_and_formats():
    body = lambda: FIT.map("houses", alpha=[0.1, 0.25], k=[1, 2], id="{frame}-{alpha:.2f}-k{k}")  # noqa: E731

    assert branch_names(body) == ["fit[houses-0.10-k1]", "fit[houses-0.25-k2]"]


def test_a_template_may_reach_into_an_argument():
    rows = [{"name": "us"}, {"name": "eu"}]

    assert branch_names(lambda: FIT.map(rows, id="{frame[name]}")) == ["fit[us]", "fit[eu]"]


def test_a_template_may_have_braces_of_its_own():
    assert branch_names(lambda: FIT.map([1, 2], id="{{{frame}}}")) == ["fit[{1}]", "fit[{2}]"]


def test_a_template_names_the_branches_of_a_product():
    body = lambda: CELL.product(["a", "b"], [1, 2], id="{row}{column}")  # noqa: E731

    assert branch_names(body, "cell") == ["cell[a1]", "cell[a2]", "cell[b1]", "cell[b2]"]


def test_a_template_leaves_the_keys_as_they_are():
    shape = shape_of(lambda: FIT.map({"us": 1, "eu": 2}, id="at {frame}"))

    assert (shape.keys, shape.labels) == (("us", "eu"), ("at 1", "at 2"))


def test_a_node_with_a_template_bears_the_name_of_its_step():
    assert list(recorded(lambda: (FIT.map([1], id="{frame}"), FIT.map([1], id="{frame}"))).graph.nodes) == [
        "fit",
        "fit_2",
    ]


def test_a_template_over_an_output_is_kept_until_its_items_are_known():
    traced = recorded(lambda: FIT.map(LOAD(), id="{frame}"))

    assert (traced.graph.nodes["fit"].label, "fit" in traced.shapes) == ("{frame}", False)


def test_an_unknown_name_in_a_template_is_refused_with_the_nearest_argument():
    def body():
        FIT.map(alpha=[1], id="{alhpa}")

    assert str(refused(body)) == (
        "id='{alhpa}' of 'fit' uses 'alhpa', which is not one of its arguments\n"
        f"  where: {line(body)}\n"
        "  do:    did you mean 'alpha'?"
    )


def test_an_unknown_name_in_a_template_with_none_near_is_refused_with_the_arguments():
    assert refused(lambda: FIT.map([1], alpha=[1], id="{zzz}")).do == "the arguments are 'frame', 'alpha'"


def test_an_unknown_name_in_a_template_over_an_output_is_refused_at_the_call():
    assert refused(lambda: FIT.map(LOAD(), id="{frmae}")).do == "did you mean 'frame'?"


def test_a_template_that_cannot_be_read_is_refused():
    def body():
        FIT.map([1], id="{frame")

    assert str(refused(body)) == (
        "id='{frame' of 'fit' is not a template: expected '}' before end of string\n"
        f"  where: {line(body)}\n"
        '  do:    write it like id="{alpha}", with {{ and }} for braces of your own'
    )


@pytest.mark.parametrize(
    "body",
    [
        lambda: FIT.map(LOAD(), alpha=unmapped(LOAD()), id="{alpha}"),
        lambda: FIT.map(CELL.map([1], [2]), alpha=[1], id="{frame}"),
        lambda: FIT.map([LOAD(), 2], id="{frame}"),
    ],
    ids=["shared-output", "branches", "item"],
)
def test_a_template_cannot_use_what_other_steps_compute(body):
    error = refused(body)

    assert error.what.endswith(", whose values are computed by other steps")
    assert error.do == "name branches from arguments that are given, or leave id out to number them"
    assert error.where == line(body, 0)


def test_branches_that_would_share_a_name_are_refused_with_the_names():
    def body():
        FIT.map(alpha=[1, 2, 1, 2, 3], id="{alpha}")

    assert str(refused(body)) == (
        "branches of 'fit' would share names: 'fit[1]', 'fit[2]'\n"
        f"  where: {line(body)}\n"
        "  do:    use an id template that tells them apart, or leave it out to number them"
    )


# records


def records(rows, **shared):
    """The mapped arguments of each branch of a map over records, by name."""
    traced = recorded(lambda: FIT.map_records(rows, **shared))
    shape, arguments = traced.shapes["fit"], traced.graph.nodes["fit"].arguments
    mapped = [argument for argument in arguments if argument.mapped]
    return [
        {argument.name: argument.value.values[shape.item(i, branch)] for i, argument in enumerate(mapped)}
        for branch in range(shape.size)
    ]


ROWS = [{"alpha": 0.1, "k": 1}, {"alpha": 0.2, "k": 2}]


@pytest.mark.parametrize(
    "rows",
    [ROWS, tuple(ROWS), iter(ROWS), pd.DataFrame(ROWS), [{"k": 1, "alpha": 0.1}, {"alpha": 0.2, "k": 2}]],
    ids=["list", "tuple", "iterator", "frame", "other-order"],
)
def test_a_record_is_the_keyword_arguments_of_one_branch(rows):
    assert records(list(rows) if not isinstance(rows, pd.DataFrame) else rows) == ROWS


def test_a_generator_of_records_is_listed():
    assert records(row for row in ROWS) == ROWS


def test_a_parameter_grid_makes_one_branch_for_each_of_its_points():
    grid = ParameterGrid({"alpha": [0.1, 1.0], "k": [1, 2]})

    assert records(grid) == list(grid)


def test_values_of_records_are_not_mapped_over_themselves():
    assert records([{"frame": [1, 2]}, {"frame": [3]}]) == [{"frame": [1, 2]}, {"frame": [3]}]


def test_what_goes_with_records_is_shared():
    arguments = recorded(lambda: FIT.map_records(ROWS, frame=[1, 2, 3])).graph.nodes["fit"].arguments

    assert [(a.name, a.value) for a in arguments if not a.mapped] == [("frame", [1, 2, 3])]


def test_a_map_over_records_takes_an_id_and_an_after():
    def body():
        LOAD()
        FIT.map_records(ROWS, id="{alpha}", after="load")

    traced = recorded(body)

    assert traced.shapes["fit"].labels == ("0.1", "0.2")
    assert traced.graph.edges() == [("load", "fit")]


@pytest.mark.parametrize(
    "rows", [[], pd.DataFrame({"row": [], "column": []}), iter(())], ids=["list", "frame", "iterator"]
)
def test_no_records_make_no_branches(rows):
    assert shape_of(lambda: CELL.map_records(rows), "cell").size == 0


def test_no_records_beside_shared_arguments_make_no_branches():
    assert shape_of(lambda: CELL.map_records([], column=3), "cell").size == 0


def test_records_of_unequal_fields_are_refused_with_both():
    def body():
        FIT.map_records([{"alpha": 1, "k": 2}, {"alpha": 1, "k": 2}, {"alpha": 1}])

    assert str(refused(body)) == (
        "records 0 and 2 of fit.map_records() differ: 'alpha', 'k' and 'alpha'\n"
        f"  where: {line(body)}\n"
        "  do:    give every record the same fields"
    )


@pytest.mark.parametrize(
    ("rows", "kind"),
    [(3, "int"), ("abc", "str"), ([1, 2], "list"), ({"alpha": 1}, "dict"), ([ROWS[0], 3], "list"), (None, "NoneType")],
    ids=["number", "text", "list-of-numbers", "one-dict", "mixed", "none"],
)
def test_what_is_no_records_is_refused(rows, kind):
    def body():
        FIT.map_records(rows)

    assert str(refused(body)) == (
        f"fit.map_records() takes a list of dicts, a DataFrame or a ParameterGrid, not {kind}\n"
        f"  where: {line(body)}\n"
        "  do:    use .map(...) for lists of values"
    )


def test_a_field_that_is_no_parameter_is_refused_with_the_nearest():
    with pytest.raises(StepCallError) as raised:
        recorded(lambda: FIT.map_records([{"alpa": 1}]))

    assert raised.value.do == "did you mean 'alpha'?"
