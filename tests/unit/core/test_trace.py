"""What a body's calls become: names, order, outputs, groups, and what is refused."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import pytest

from fanlab import step
from fanlab.core.spec import RECORDER, Branches, Options, Output, Step, unmapped
from fanlab.core.trace import Trace, trace
from fanlab.errors import FanOutError, GraphError, StepCallError
from fanlab.place import Place


def load(path=None):
    return path


def fit(frame, alpha=1.0, *, depth=3):
    return frame, alpha, depth


def anything(*args, **kwargs):
    return args, kwargs


LOAD, FIT, ANY = Step(load, "load"), Step(fit, "fit"), Step(anything, "any")


def recorded(body, **options) -> Trace:
    return trace("sweep", body, (), {}, **options)


def names(body) -> list[str]:
    return list(recorded(body).graph.nodes)


def only(body):
    """The one node that a body records."""
    (node,) = recorded(body).graph.nodes.values()
    return node


def line(body, offset=1) -> str:
    """The place of a line of a body, counted from its `def`."""
    return str(Place(__file__, body.__code__.co_firstlineno + offset))


def inlined(name, body, enable_cache=True):
    """What a pipeline does that is called in another one's body."""
    with RECORDER.get().group(name, enable_cache):
        return body()


# names


def test_a_node_bears_the_name_of_its_step():
    assert names(lambda: LOAD()) == ["load"]


def test_a_repeat_of_a_step_gets_a_numbered_name():
    assert names(lambda: [LOAD() for _ in range(3)]) == ["load", "load_2", "load_3"]


def test_fan_outs_and_calls_of_a_step_are_numbered_together():
    assert names(lambda: (ANY(1), ANY.map([1]), ANY.product([1]))) == ["any", "any_2", "any_3"]


def test_an_id_names_the_node():
    assert names(lambda: (LOAD(id="train"), LOAD(id="test"), LOAD())) == ["train", "test", "load"]


def test_a_number_that_an_id_has_taken_is_left_out():
    assert names(lambda: (LOAD(id="load_2"), LOAD(), LOAD(), LOAD())) == ["load_2", "load", "load_3", "load_4"]


def test_an_id_names_a_fan_out():
    assert names(lambda: ANY.map([1], id="grid")) == ["grid"]


def test_many_repeats_are_numbered_without_a_gap():
    assert names(lambda: [LOAD() for _ in range(500)])[-1] == "load_500"


def test_an_id_that_is_taken_is_refused_with_both_calls():
    def body():
        LOAD(id="data")
        FIT(1, id="data")

    with pytest.raises(GraphError) as raised:
        recorded(body)

    assert str(raised.value) == (
        f"id 'data' is taken: step 'load' has it at {line(body)}\n"
        f"  where: step 'fit' asks for it at {line(body, 2)}\n"
        "  do:    give each call an id of its own, or leave id out to have them numbered"
    )


def test_an_id_may_not_be_the_name_of_an_earlier_node():
    def body():
        LOAD()
        FIT(1, id="load")

    with pytest.raises(GraphError, match="^id 'load' is taken: step 'load' has it at "):
        recorded(body)


def test_nodes_are_in_call_order():
    def body():
        FIT(LOAD(), 1)
        ANY()

    assert names(body) == ["load", "fit", "any"]


# after


def test_after_takes_an_output():
    graph = recorded(lambda: FIT(1, after=LOAD())).graph

    assert graph.edges() == [("load", "fit")]
    assert graph.nodes["fit"].after == (("load", None),)


def test_after_takes_one_branch():
    assert recorded(lambda: FIT(1, after=ANY.map([1, 2])[1])).graph.nodes["fit"].after == (("any", 1),)


def test_after_takes_branches():
    assert recorded(lambda: FIT(1, after=ANY.map([1, 2]))).graph.nodes["fit"].after == (("any", None),)


def test_after_takes_the_name_of_an_earlier_node():
    def body():
        LOAD()
        FIT(1, after="load")

    assert recorded(body).graph.edges() == [("load", "fit")]


def test_after_takes_the_name_of_a_later_node():
    def body():
        FIT(1, after="load")
        LOAD()

    assert recorded(body).graph.edges() == [("load", "fit")]


def test_after_takes_a_list_of_all_of_them():
    def body():
        first, many = LOAD(), ANY.map([1, 2])
        FIT(1, after=[first, (many[0], "later"), None])
        LOAD(id="later")

    assert set(recorded(body).graph.nodes["fit"].after) == {("load", None), ("any", 0), ("later", None)}


def test_after_holds_for_a_fan_out():
    assert recorded(lambda: ANY.map([1], after=LOAD())).graph.nodes["any"].after == (("load", None),)


def test_a_value_of_several_outputs_may_come_before():
    split = Step(anything, "split", ("train", "test"))

    assert recorded(lambda: FIT(1, after=split())).graph.edges() == [("split", "fit")]


def test_an_unknown_after_is_refused_with_the_nearest_name():
    def body():
        LOAD()
        FIT(1, after="lood")

    with pytest.raises(GraphError) as raised:
        recorded(body)

    assert str(raised.value) == (
        f"after='lood' of 'fit' is not a node of this pipeline\n  where: {line(body, 2)}\n  do:    did you mean 'load'?"
    )


def test_an_unknown_after_with_no_name_near_is_refused_with_the_nodes():
    def body():
        LOAD()
        FIT(1, after="xyz")

    with pytest.raises(GraphError) as raised:
        recorded(body)

    assert raised.value.do == "the nodes are 'load', 'fit'"


def test_an_after_that_names_nothing_is_refused():
    def body():
        FIT(1, after=3)

    with pytest.raises(StepCallError) as raised:
        recorded(body)

    assert str(raised.value) == (
        "after= of 'fit' holds int 3\n"
        f"  where: {line(body)}\n"
        "  do:    it takes Outputs, Branches, names of nodes, and lists of them"
    )


def test_a_circle_through_a_later_after_is_spelled_out():
    def body():
        first = LOAD(after="fit")
        FIT(ANY(first))

    with pytest.raises(GraphError) as raised:
        recorded(body)

    assert str(raised.value) == (
        "the calls wait for each other in a circle: 'load' -> 'any' -> 'fit' -> 'load' (each runs before the next)\n"
        "  do:    take one `after` or argument of the circle out"
    )


def test_a_call_after_itself_is_a_circle():
    with pytest.raises(GraphError, match="in a circle: 'load' -> 'load' "):
        recorded(lambda: LOAD(after="load"))


# arguments


def test_outputs_are_found_in_nested_lists_tuples_and_dicts():
    def body():
        a, b, c, d = (LOAD(id=name) for name in "abcd")
        ANY([a, (1, b)], {"x": [c, {"y": (d,)}]}, id="all")

    assert recorded(body).graph.edges() == [(name, "all") for name in "abcd"]


def test_outputs_are_found_in_named_tuples():
    class Pair(NamedTuple):
        left: object
        right: object

    assert recorded(lambda: ANY(Pair(LOAD(), 2))).graph.edges() == [("load", "any")]


def test_an_output_that_is_passed_twice_is_one_edge():
    def body():
        out = LOAD()
        ANY(out, [out], x=out)

    assert recorded(body).graph.edges() == [("load", "any")]


def test_arguments_bear_the_names_of_their_parameters():
    node = only(lambda: FIT(1, alpha=2.0, depth=4))

    assert [(a.name, a.value, a.keyword) for a in node.arguments] == [
        ("frame", 1, False),
        ("alpha", 2.0, True),
        ("depth", 4, True),
    ]


def test_arguments_behind_a_star_are_numbered():
    node = only(lambda: ANY("a", "b", x="c"))

    assert [(a.name, a.value) for a in node.arguments] == [("args[0]", "a"), ("args[1]", "b"), ("x", "c")]


def test_a_list_is_copied_when_the_call_is_recorded():
    items = [1, [2], {"x": [3]}]

    def body():
        LOAD(items)
        items[1].append("later")
        items[2]["x"].append("later")
        items.append("later")

    assert only(body).arguments[0].value == [1, [2], {"x": [3]}]


def test_a_mapped_list_is_copied_when_the_call_is_recorded():
    items = [[1], [2]]

    def body():
        LOAD.map(items)
        items[0].append("later")
        items.append([3])

    assert only(body).arguments[0].value.values == ([1], [2])


def test_an_unmapped_list_is_copied_when_the_call_is_recorded():
    shared = [1]

    def body():
        FIT.map(unmapped(shared), [1, 2])
        shared.append("later")

    assert only(body).arguments[0].value == [1]


def test_what_the_body_returns_is_copied():
    items = [1]

    traced = recorded(lambda: (LOAD(), items))
    items.append("later")

    assert traced.returned[1] == [1]


def test_an_argument_that_is_no_list_tuple_or_dict_is_kept_as_it_is():
    value = object()

    assert only(lambda: LOAD(value)).arguments[0].value is value


@pytest.mark.parametrize(
    ("call", "what", "do"),
    [
        (lambda: FIT(), "step 'fit' missing a required argument: 'frame'", "its parameters are (frame, alpha=1.0, *, depth=3)"),
        (lambda: FIT(1, 2, 3), "step 'fit' too many positional arguments", "its parameters are (frame, alpha=1.0, *, depth=3)"),
        (lambda: FIT(1, frame=2), "step 'fit' multiple values for argument 'frame'", "its parameters are (frame, alpha=1.0, *, depth=3)"),
        (lambda: FIT(1, alhpa=2), "step 'fit' got an unexpected keyword argument 'alhpa'", "did you mean 'alpha'?"),
        (lambda: FIT(1, aftr="x"), "step 'fit' got an unexpected keyword argument 'aftr'", "did you mean 'after'?"),
        (lambda: FIT(1, zzz=2), "step 'fit' got an unexpected keyword argument 'zzz'", "its parameters are (frame, alpha=1.0, *, depth=3)"),
        (lambda: FIT.map(1, alhpa=[2]), "step 'fit' .map() got an unexpected keyword argument 'alhpa'", "did you mean 'alpha'?"),
        (lambda: FIT.product(alpha=[2]), "step 'fit' .product() missing a required argument: 'frame'", "its parameters are (frame, alpha=1.0, *, depth=3)"),
        (lambda: FIT.map_records([{"frame": 1, "alfa": 2}]), "step 'fit' .map() got an unexpected keyword argument 'alfa'", "did you mean 'alpha'?"),
    ],
    ids=["missing", "too-many", "twice", "misspelt", "misspelt-after", "unknown", "map", "product", "records"],
)  # fmt: skip
def test_wrong_arguments_are_refused_at_the_call_with_the_step_and_the_parameter(call, what, do):
    with pytest.raises(StepCallError) as raised:
        recorded(call)

    assert str(raised.value) == f"{what}\n  where: {line(call, 0)}\n  do:    {do}"


def test_a_step_whose_signature_is_unknown_takes_any_arguments():
    untold = Step(type, "kind")  # `inspect.signature` cannot tell that of `type`

    assert [a.name for a in only(lambda: untold(1, x=2)).arguments] == ["args[0]", "x"]


def other_output() -> Output:
    kept = []
    trace("other", lambda: kept.append(LOAD()), (), {})
    return kept[0]


@pytest.mark.parametrize(
    "call",
    [
        lambda out: LOAD(out),
        lambda out: LOAD([{"x": (out,)}]),
        lambda out: LOAD.map(out),
        lambda out: LOAD.map([1, out]),
        lambda out: FIT.map([1], unmapped(out)),
    ],
    ids=["plain", "nested", "mapped", "item", "shared"],
)
def test_an_output_of_another_body_is_refused(call):
    foreign = other_output()

    with pytest.raises(StepCallError) as raised:
        recorded(lambda: call(foreign))

    error = raised.value
    assert error.what.startswith("argument '")
    assert error.what.endswith("' is <Output of 'load'> of another pipeline's body")
    assert error.where == line(call, 0)
    assert error.do == "run that pipeline first and pass the value: run.load()"


def test_an_output_of_another_body_is_named_with_the_argument_and_the_step():
    foreign = other_output()

    with pytest.raises(StepCallError, match="^argument 'frame' of step 'fit' is <Output of 'load'> of another "):
        recorded(lambda: FIT(foreign))


# outputs


def test_a_call_gives_one_output():
    out = recorded(lambda: LOAD()).returned

    assert isinstance(out, Output)
    assert (out._node, out._output, out._branch) == ("load", None, None)


def test_a_step_of_several_outputs_gives_one_output_for_each():
    split = Step(anything, "split", ("train", "test"))

    train, test = recorded(lambda: split()).returned

    assert [(out._node, out._output) for out in (train, test)] == [("split", "train"), ("split", "test")]


@pytest.mark.parametrize(
    ("annotation", "outputs"),
    [
        (None, ("output",)),
        (int, ("output",)),
        (Annotated[int, "answer"], ("answer",)),
        (tuple[int, str], ("output_0", "output_1")),
        (tuple[Annotated[int, "train"], Annotated[int, "test"]], ("train", "test")),
        (tuple[Annotated[int, "train"], int], ("train", "output_1")),
        (tuple[int, ...], ("output",)),
        (tuple[int], ("output",)),
        (tuple, ("output",)),
    ],
    ids=["none", "plain", "named", "two", "two-named", "one-named", "any-length", "one-tuple", "bare-tuple"],
)
def test_a_return_annotation_names_the_outputs(annotation, outputs):
    def split():
        return None

    split.__annotations__ = {"return": annotation}

    assert step(split).outputs == outputs


def test_the_outputs_of_an_annotated_step_are_those_of_its_node():
    @step
    def split(frame) -> tuple[Annotated[int, "train"], Annotated[int, "test"]]:
        return frame, frame

    assert only(lambda: split(1)).outputs == ("train", "test")


def test_an_output_without_an_annotation_unpacks_into_as_many_as_are_asked_for():
    def body():
        train, test = LOAD().unpack(2)
        return train, test

    traced = recorded(body)

    assert traced.graph.nodes["load"].outputs == ("output_0", "output_1")
    assert [repr(out) for out in traced.returned] == [
        "<Output of 'load', 'output_0'>",
        "<Output of 'load', 'output_1'>",
    ]


def test_branches_unpack_into_branches_of_each_output():
    def body():
        lefts, rights = LOAD.map([1, 2, 3]).unpack(2)
        return lefts, rights

    lefts, rights = recorded(body).returned

    assert isinstance(lefts, Branches)
    assert (lefts._output, rights._output) == ("output_0", "output_1")


def test_one_branch_unpacks_into_its_own_outputs():
    left, right = recorded(lambda: LOAD.map([1, 2])[1].unpack(2)).returned

    assert [(out._output, out._branch) for out in (left, right)] == [("output_0", 1), ("output_1", 1)]


def test_unpacking_again_into_as_many_gives_the_same_outputs():
    def body():
        out = LOAD()
        return out.unpack(2), out.unpack(2)

    first, second = recorded(body).returned

    assert [out._output for out in first] == [out._output for out in second]


def test_unpacking_into_another_number_than_before_is_refused():
    def body():
        out = LOAD()
        out.unpack(2)
        out.unpack(3)

    with pytest.raises(StepCallError) as raised:
        recorded(body)

    assert str(raised.value) == (f"'load' has 2 outputs, so it cannot be unpacked into 3\n  where: {line(body, 3)}")


def test_branches_of_a_step_of_several_outputs_unpack_under_its_names():
    split = Step(anything, "split", ("train", "test"))

    train, test = recorded(lambda: split.map([1]).unpack(2)).returned

    assert (train._output, test._output) == ("train", "test")


def test_unpacking_branches_into_another_number_than_the_step_names_is_refused():
    split = Step(anything, "split", ("train", "test"))

    def body():
        split.map([1]).unpack(3)

    with pytest.raises(StepCallError) as raised:
        recorded(body)

    assert str(raised.value) == f"'split' has 2 outputs, so it cannot be unpacked into 3\n  where: {line(body)}"


# groups


def test_the_nodes_of_an_inlined_pipeline_bear_its_name():
    def body():
        inlined("inner", lambda: (LOAD(), FIT(1)))
        LOAD()

    assert names(body) == ["inner.load", "inner.fit", "load"]


def test_a_second_call_of_an_inlined_pipeline_is_numbered():
    def body():
        for _ in range(3):
            inlined("inner", lambda: (LOAD(), LOAD()))

    assert names(body) == [
        "inner.load", "inner.load_2", "inner_2.load", "inner_2.load_2", "inner_3.load", "inner_3.load_2",
    ]  # fmt: skip


def test_pipelines_inlined_in_each_other_put_their_names_in_a_row():
    def body():
        inlined("outer", lambda: (LOAD(), inlined("inner", LOAD), inlined("inner", LOAD)))

    assert names(body) == ["outer.load", "outer.inner.load", "outer.inner_2.load"]


def test_an_inlined_pipeline_gives_what_its_body_returns():
    out = recorded(lambda: inlined("inner", LOAD)).returned

    assert repr(out) == "<Output of 'inner.load'>"


def test_an_id_in_an_inlined_pipeline_is_taken_only_there():
    def body():
        LOAD(id="data")
        inlined("inner", lambda: LOAD(id="data"))

    assert names(body) == ["data", "inner.data"]


def test_an_after_looks_in_its_own_group_first():
    def body():
        LOAD()
        inlined("inner", lambda: (LOAD(), FIT(1, after="load")))

    assert recorded(body).graph.edges() == [("inner.load", "inner.fit")]


def test_an_after_that_its_group_does_not_have_looks_outside():
    def body():
        LOAD()
        inlined("outer", lambda: inlined("inner", lambda: FIT(1, after="load")))

    assert recorded(body).graph.edges() == [("load", "outer.inner.fit")]


def test_an_after_looks_in_the_nearest_group_that_has_it():
    def body():
        LOAD()
        inlined("outer", lambda: (LOAD(), inlined("inner", lambda: FIT(1, after="load"))))

    assert recorded(body).graph.edges() == [("outer.load", "outer.inner.fit")]


def test_an_after_may_name_a_node_of_a_group_from_outside():
    def body():
        FIT(1, after="inner.load")
        inlined("inner", LOAD)

    assert recorded(body).graph.edges() == [("inner.load", "fit")]


def test_a_body_that_raises_in_a_group_leaves_the_group():
    def fails():
        raise ZeroDivisionError

    def body():
        with pytest.raises(ZeroDivisionError):
            inlined("inner", fails)
        LOAD()

    assert names(body) == ["load"]


# the cache


@pytest.mark.parametrize(
    ("of_step", "of_pipeline", "enabled"),
    [(None, True, True), (None, False, False), (True, False, True), (False, True, False)],
)
def test_a_step_that_says_whether_it_is_cached_wins_over_its_pipeline(of_step, of_pipeline, enabled):
    cached = Step(load, "load", options=Options(enable_cache=of_step))

    assert recorded(cached, enable_cache=of_pipeline).graph.nodes["load"].enable_cache is enabled


def test_an_inlined_pipeline_keeps_its_own_cache_setting():
    def body():
        inlined("inner", LOAD, enable_cache=False)
        LOAD()

    nodes = recorded(body, enable_cache=True).graph.nodes

    assert (nodes["inner.load"].enable_cache, nodes["load"].enable_cache) == (False, True)


# the whole body


def test_a_body_without_steps_is_refused():
    with pytest.raises(GraphError) as raised:
        recorded(lambda: None)

    assert str(raised.value) == (
        "pipeline 'sweep' has no steps: its body called none\n  do:    call a @step function in it"
    )


def test_a_body_gets_its_arguments():
    traced = trace("sweep", lambda path, n: [LOAD(path) for _ in range(n)], ("a.csv",), {"n": 2})

    assert [node.arguments[0].value for node in traced.graph.nodes.values()] == ["a.csv", "a.csv"]


def test_a_body_that_raises_leaves_steps_as_plain_functions():
    def body():
        LOAD()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        recorded(body)

    assert LOAD("a.csv") == "a.csv"


def test_what_a_body_returns_is_kept():
    returned = recorded(lambda: {"fit": FIT(1), "n": 3}).returned

    assert (repr(returned["fit"]), returned["n"]) == ("<Output of 'fit'>", 3)


def test_the_branches_that_the_body_can_tell_are_known():
    def body():
        value = LOAD()
        ANY.map([1, 2], id="literal")
        ANY.map(value, id="dynamic")

    shapes = recorded(body).shapes

    assert {name: shape.size for name, shape in shapes.items()} == {"load": 1, "literal": 2}


def test_a_map_that_is_refused_records_nothing():
    def body():
        with pytest.raises(FanOutError):
            FIT.map([1, 2], [1, 2, 3])
        LOAD()

    assert names(body) == ["load"]


def test_an_argument_that_holds_itself_is_refused():
    def body():
        value = []
        value.append(value)
        LOAD(value)

    with pytest.raises(StepCallError) as caught:
        recorded(body)
    line = body.__code__.co_firstlineno + 3
    assert str(caught.value) == (
        "a list holds itself, or is nested too deeply to be an argument\n"
        f"  where: {Place(__file__, line)}\n"
        "  do:    give the step what it needs of it, or make it inside the step"
    )
