"""What may be done with an Output or Branches while a body is recorded, and what says NoValueYet."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest

from fanlab.core.spec import Branches, Options, Output, Step, unmapped
from fanlab.core.trace import trace
from fanlab.errors import FanOutError, NoValueYet, StepCallError


@pytest.fixture(autouse=True)
def _in_this_folder(request, monkeypatch):
    """Places in messages are relative to the working directory."""
    monkeypatch.chdir(request.path.parent)


def work(*args, **kwargs):
    return args


LOAD, FIT = Step(work, "load"), Step(work, "fit")


def recorded(body):
    return trace("sweep", body, (), {})


def refused(use, make=LOAD):
    """What is raised when `use` is made of an Output in a body."""
    with pytest.raises(NoValueYet) as raised:
        recorded(lambda: use(make()))
    return raised.value


def unknown():
    """Branches whose number is known only when they run."""
    return FIT.map(LOAD())


# each use on a line of its own: the one below its `def`


def if_(out):
    if out:
        pass


def while_(out):
    while out:
        pass


def not_(out):
    return not out


def and_(out):
    return out and 1


def for_(out):
    for _ in out:
        pass


def unpacking(out):
    first, second = out
    return first, second


def list_(out):
    return list(out)


def starred(out):
    return [*out]


def len_(out):
    return len(out)


def index(out):
    return out[0]


def key(out):
    return out["rmse"]


def slice_(out):
    return out[1:]


def attribute(out):
    return out.shape


def method(out):
    return out.mean()


def equal(out):
    return out == 1


def unequal(out):
    return out != 1


def less(out):
    return out < 1


def at_most(out):
    return out <= 1


def more(out):
    return out > 1


def at_least(out):
    return 1 <= out


def compared_with_another(out):
    return out == LOAD()


def add(out):
    return out + 1


def radd(out):
    return 1 + out


def iadd(out):
    out += 1


def sub(out):
    return out - 1


def rsub(out):
    return 1 - out


def mul(out):
    return out * 2


def rmul(out):
    return 2 * out


def truediv(out):
    return out / 2


def rtruediv(out):
    return 2 / out


def floordiv(out):
    return out // 2


def mod(out):
    return out % 2


def power(out):
    return out**2


def rpower(out):
    return 2**out


def matmul(out):
    return out @ out


def and_bits(out):
    return out & 1


def or_bits(out):
    return 1 | out


def xor(out):
    return out ^ 1


def neg(out):
    return -out


def pos(out):
    return +out


def invert(out):
    return ~out


def abs_(out):
    return abs(out)


def round_(out):
    return round(out, 2)


def sum_(out):
    return sum([out, out])


def numpy_scalar(out):
    return np.float64(2) * out


def numpy_array(out):
    return np.arange(3) + out


def in_(out):
    return 1 in out


def call(out):
    return out()


def int_(out):
    return int(out)


def float_(out):
    return float(out)


def range_(out):
    return range(out)


def sqrt(out):
    return math.sqrt(out)


def pickled(out):
    return pickle.dumps(out)


def pickled_in_a_list(out):
    return pickle.dumps([out])


NOTHING_YET = {
    "tested": [if_, while_, not_, and_],
    "iterated": [for_, unpacking, list_, starred],
    "measured": [len_],
    "indexed": [index, key, slice_],
    "read": [attribute, method],
    "compared": [equal, unequal, less, at_most, more, at_least, compared_with_another],
    "calculated": [
        *[add, radd, iadd, sub, rsub, mul, rmul, truediv, rtruediv, floordiv, mod, power, rpower, matmul],
        *[and_bits, or_bits, xor, neg, pos, invert, abs_, round_, sum_, numpy_scalar, numpy_array],
    ],
    "looked into": [in_],
    "called": [call],
    "converted": [int_, float_, range_, sqrt],
    "sent": [pickled, pickled_in_a_list],
}
USES = [use for uses in NOTHING_YET.values() for use in uses]


@pytest.mark.parametrize("use", USES, ids=lambda use: use.__name__.strip("_"))
def test_a_use_of_an_output_as_a_value_is_refused_with_the_line_that_did_it(use):
    error = refused(use)

    assert error.what.startswith("<Output of 'load'> has no value yet, so ")
    assert error.where == f"test_spec.py, line {use.__code__.co_firstlineno + 1}"
    assert error.do == "move this into a step, which runs later, or wait for the value here with .load()"


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy], ids=["copy", "deepcopy"])
def test_an_output_cannot_be_copied(duplicate):
    assert refused(duplicate).what == (
        "<Output of 'load'> has no value yet, so it cannot be copied or sent inside a value that is not a list, "
        "tuple or dict"
    )


MESSAGES = {
    if_: "`if`, `while`, `and`, `or` and `not` cannot test it",
    for_: "it cannot be iterated or unpacked: map a step over it, or use .unpack(n) on 'load'",
    len_: "it has no length to count",
    key: "it cannot be indexed",
    attribute: "its attribute 'shape' cannot be read",
    equal: "it cannot be compared",
    add: "it cannot be calculated with",
    in_: "`in` cannot look into it",
    call: "it cannot be called",
}


@pytest.mark.parametrize(("use", "reason"), MESSAGES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_the_message_says_what_where_and_what_to_do(use, reason):
    assert str(refused(use)) == (
        f"<Output of 'load'> has no value yet, so {reason}\n"
        f"  where: test_spec.py, line {use.__code__.co_firstlineno + 1}\n"
        "  do:    move this into a step, which runs later, or wait for the value here with .load()"
    )


def test_no_value_yet_is_a_type_error():
    assert isinstance(refused(add), TypeError)


def test_the_message_names_the_branch_of_an_output():
    assert refused(add, lambda: FIT.map([1, 2])[1]).what.startswith("<Output of 'fit[1]'> has no value yet")


def test_the_message_names_one_of_several_outputs():
    split = Step(work, "split", ("train", "test"))

    assert refused(add, lambda: split()[1]).what.startswith("<Output of 'split', 'test'> has no value yet")


@pytest.mark.parametrize("name", ["_private", "__array__", "_ipython_display_"])
def test_a_private_attribute_that_is_not_there_is_an_attribute_error(name):
    seen = []

    recorded(lambda: seen.append(hasattr(LOAD(), name)))

    assert seen == [False]


def test_a_private_attribute_error_has_the_name():
    with pytest.raises(AttributeError, match=r"^_private$"):
        recorded(lambda: LOAD()._private)


def test_an_output_can_be_shown_hashed_and_told_from_another():
    seen = []

    def body():
        first, second = LOAD(), LOAD()
        seen.append((repr(first), str(second), len({first, second})))

    recorded(body)

    assert seen == [("<Output of 'load'>", "<Output of 'load_2'>", 2)]


# Branches


def known():
    return FIT.map([10, 20, 30])


def keyed():
    return FIT.map({"us": 1, "eu": 2})


def told(use, make):
    seen = []
    recorded(lambda: seen.append(use(make())))
    return seen[0]


def test_branches_of_a_known_number_have_a_length():
    assert told(len, known) == 3


def test_branches_of_a_known_number_iterate_over_their_outputs():
    assert [repr(out) for out in told(list, known)] == [f"<Output of 'fit[{i}]'>" for i in range(3)]


def test_branches_unpack_into_their_outputs():
    first, second = told(list, keyed)

    assert isinstance(first, Output)
    assert (first._branch, second._branch) == (0, 1)


@pytest.mark.parametrize(("position", "branch"), [(0, 0), (2, 2), (-1, 2), (-3, 0)])
def test_branches_are_indexed_by_position(position, branch):
    out = told(lambda branches: branches[position], known)

    assert (out._node, out._branch) == ("fit", branch)


def test_keyed_branches_are_indexed_by_key():
    assert told(lambda branches: branches["eu"], keyed)._branch == 1


def test_an_integer_key_is_a_key_where_branches_are_keyed():
    assert told(lambda branches: branches[7], lambda: FIT.map({7: "a", 0: "b"}))._branch == 0


def test_branches_of_a_product_over_keyed_arguments_are_indexed_by_the_parts():
    out = told(lambda branches: branches["eu", 1], lambda: FIT.product({"us": 1, "eu": 2}, [7, 8]))

    assert out._branch == 3


@pytest.mark.parametrize(("items", "truth"), [([], False), ([0], True)], ids=["none", "one"])
def test_branches_of_a_known_number_are_true_where_there_is_one(items, truth):
    assert told(bool, lambda: FIT.map(items)) is truth


def test_branches_of_a_map_over_branches_of_a_known_number_have_a_known_number():
    assert told(len, lambda: LOAD.map(known())) == 3


def test_an_unknown_key_is_answered_with_the_keys():
    def body():
        keyed()["uk"]

    with pytest.raises(FanOutError) as raised:
        recorded(body)

    assert str(raised.value) == (
        "<Branches of 'fit'> has no branch 'uk'\n"
        f"  where: test_spec.py, line {body.__code__.co_firstlineno + 1}\n"
        "  do:    its keys are 'us', 'eu'"
    )


@pytest.mark.parametrize("position", [3, -4, "us", 1.5])
def test_an_unknown_position_is_answered_with_the_number_of_branches(position):
    def body():
        known()[position]

    with pytest.raises(FanOutError) as raised:
        recorded(body)

    assert str(raised.value) == (
        f"<Branches of 'fit'> has no branch {position!r}\n"
        f"  where: test_spec.py, line {body.__code__.co_firstlineno + 1}\n"
        "  do:    it has 3 branches, counted from 0"
    )


UNKNOWN = {
    if_: "it cannot be tested: how many branches there are is known only when it runs",
    for_: "it cannot be iterated: how many branches there are is known only when it runs",
    len_: "it has no length: how many branches there are is known only when it runs",
    index: "it cannot be indexed: how many branches there are is known only when it runs",
}


@pytest.mark.parametrize(("use", "reason"), UNKNOWN.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_branches_of_an_unknown_number_say_that_it_is_known_only_when_they_run(use, reason):
    assert str(refused(use, unknown)) == (
        f"<Branches of 'fit'> has no value yet, so {reason}\n"
        f"  where: test_spec.py, line {use.__code__.co_firstlineno + 1}\n"
        "  do:    move this into a step, which runs later, or wait for the value here with .load()"
    )


@pytest.mark.parametrize("make", [known, unknown], ids=["known", "unknown"])
@pytest.mark.parametrize("use", [attribute, equal, less, add, in_, int_, pickled], ids=lambda use: use.__name__)
def test_branches_have_no_value_whether_their_number_is_known_or_not(use, make):
    error = refused(use, make)

    assert error.what.startswith("<Branches of 'fit'> has no value yet, so ")
    assert error.where == f"test_spec.py, line {use.__code__.co_firstlineno + 1}"


# steps


def test_outside_a_body_a_step_is_a_plain_call():
    assert LOAD(1, 2) == (1, 2)


@pytest.mark.parametrize("method", ["map", "product", "map_records"])
def test_a_fan_out_outside_a_body_says_what_works_there(method):
    with pytest.raises(StepCallError) as raised:
        getattr(FIT, method)([1])

    assert raised.value.what == f"fit.{method}() has been called outside a pipeline"
    assert raised.value.do == (
        "call it in a @pipeline function or a %%pipeline cell; here, [fit(x) for x in items] works"
    )


def test_a_step_bears_the_name_and_documentation_of_its_function():
    def load(path):
        """Read a table."""

    step = Step(load, "load")

    assert (step.__name__, step.__doc__, step.__wrapped__, repr(step)) == (
        "load",
        "Read a table.",
        load,
        "<step load>",
    )


def test_with_options_gives_a_copy_and_leaves_the_step_as_it_is():
    step = Step(work, "fit", ("model", "score"), Options(version="1"))

    copied = step.with_options(name="fit_again", enable_cache=False)

    assert (copied.function, copied.name, copied.outputs) == (work, "fit_again", ("model", "score"))
    assert (copied.options.enable_cache, copied.options.version) == (False, "1")
    assert (step.name, step.options.enable_cache) == ("fit", None)


def test_an_unknown_option_is_answered_with_the_nearest():
    with pytest.raises(StepCallError) as raised:
        FIT.with_options(enable_cach=False)

    assert str(raised.value) == (
        "with_options of step 'fit' has no option 'enable_cach'\n"
        f"  where: test_spec.py, line {raised.traceback[0].lineno + 1}\n"
        "  do:    did you mean 'enable_cache'?"
    )


def test_a_call_records_and_does_not_run():
    ran = []

    recorded(Step(lambda: ran.append(1), "load"))

    assert ran == []


def test_a_fan_out_gives_branches():
    assert isinstance(told(lambda branches: branches, known), Branches)


def test_what_is_unmapped_stays_as_it_is():
    assert unmapped([1, 2]).value == [1, 2]


# plain calls


def test_a_plain_call_with_wrong_arguments_is_told_at_the_callers_line():
    def add(a, b=1):
        return a + b

    with pytest.raises(StepCallError) as caught:
        Step(add, "add")(1, 2, 3)
    line = caught.traceback[0].lineno + 1
    assert str(caught.value) == (
        f"step 'add': {test_a_plain_call_with_wrong_arguments_is_told_at_the_callers_line.__name__}.<locals>.add() "
        "takes from 1 to 2 positional arguments but 3 were given\n"
        f"  where: test_spec.py, line {line}\n"
        "  do:    its parameters are (a, b=1)"
    )
    assert isinstance(caught.value, TypeError)


def test_a_type_error_of_the_step_itself_stays_what_it_is():
    def add(a, b):
        return a + b

    with pytest.raises(TypeError) as caught:
        Step(add, "add")(1, "2")
    assert type(caught.value) is TypeError
