"""Items, groups and reduces in a body: what is recorded, and how what cannot be is refused."""

import pytest

from fanlab import FanOutError, NotAvailable, NoValueYet, StepCallError, step, unmapped
from fanlab.core.graph import Growth
from fanlab.core.trace import trace


@step
def words(line):
    return line.split()


@step
def add(a, b):
    return a + b


@step
def gather(xs):
    return xs


def needs(body, name):
    return trace("sweep", body, (), {}).graph.needs[name]


@pytest.mark.parametrize("use", ["plain", "outputs", "template", "probe", "zip", "product"])
def test_only_a_map_of_items_alone_grows_with_them(use):
    def body():
        items = words.map(["a b"]).flatten()
        if use == "zip":
            add.map(items, [1, 2])
        elif use == "outputs":
            add.map(*(one.flatten() for one in words.map(["a b"], id="pair").unpack(2)))
        elif use == "product":
            add.product(items, [1, 2])
        else:
            add.map(items, unmapped(1), id="{a}" if use == "template" else None, probe=use == "probe")

    found = needs(body, "add")

    growing = {"plain": "words", "outputs": "pair"}.get(use)
    assert found.growth == (Growth(growing, True) if growing else None)
    assert found.sizes == (() if growing else (("words", None),))


def test_a_map_of_a_map_of_items_grows_with_it():
    def body():
        gather.map(gather.map(words.map(["a b"]).flatten()))

    assert needs(body, "gather_2").growth == Growth("gather", False)


def test_a_reduce_takes_the_names_of_calls_and_may_have_an_id():
    def body():
        add.reduce([1, 2])
        add.reduce([1, 2])
        add.reduce([1, 2], id="total", after="later")
        gather(1, id="later")

    graph = trace("sweep", body, (), {}).graph

    assert list(graph.nodes) == ["add", "add_2", "total", "later"]
    assert ("later", "total") in graph.edges()


def refused(kind, refusal, line):
    return refusal(
        kind,
        f"""
        @step
        def fit(x, alpha):
            return x

        @step
        def add(a, b):
            return a + b

        @pipeline
        def sweep():
            fits = fit.map([1, 2], unmapped(3))
            {line}

        sweep()
        """,
    )


def test_a_group_by_what_is_no_argument_is_refused_with_the_nearest(refusal):
    assert refused(FanOutError, refusal, "add.map(fits.group_by('xx'), [1])") == (
        "'fit' has no argument 'xx' to group by\n  where: sweep.py, line 12\n  do:    did you mean 'x'?"
    )


def test_a_group_by_a_shared_argument_is_refused(refusal):
    assert refused(FanOutError, refusal, "fits.group_by('alpha')") == (
        "'alpha' of 'fit' is shared by all its branches\n  where: sweep.py, line 12\n  do:    it maps over 'x'"
    )


def test_a_reduce_of_no_items_is_refused_at_the_call_where_that_is_known(refusal):
    assert refused(FanOutError, refusal, "add.reduce([])") == (
        "add.reduce() has nothing to reduce: there are no items\n"
        "  where: sweep.py, line 12\n"
        "  do:    give it at least one, or put a first value in front of the items"
    )


def test_a_reduce_of_what_has_no_items_is_refused(refusal):
    assert refused(FanOutError, refusal, "add.reduce(3)") == (
        "add.reduce() takes items, not int\n"
        "  where: sweep.py, line 12\n"
        "  do:    give it Branches, branches.successful(), a list, or an Output that is one"
    )


def test_a_reduce_of_results_is_refused(refusal):
    assert refused(FanOutError, refusal, "add.reduce(fits.results)") == (
        "add.reduce() takes items, not <results of 'fit'>\n"
        "  where: sweep.py, line 12\n"
        "  do:    give it Branches, branches.successful(), a list, or an Output that is one"
    )


def test_a_reduce_by_a_step_that_does_not_take_two_values_is_refused(refusal):
    source = """
        @step
        def one(x):
            return x

        @pipeline
        def sweep():
            one.reduce([1, 2])

        sweep()
        """

    assert refusal(StepCallError, source) == (
        "step 'one' .reduce() calls it with two values, but its parameters are (x)\n"
        "  where: sweep.py, line 7\n"
        "  do:    let it take two values, such as def add(a, b)"
    )


def test_a_reduce_outside_a_pipeline_is_refused(refusal):
    assert refusal(StepCallError, "@step\ndef add(a, b):\n    return a + b\n\nadd.reduce([1, 2])") == (
        "add.reduce() has been called outside a pipeline\n"
        "  where: sweep.py, line 5\n"
        "  do:    call it in a @pipeline function or a %%pipeline cell; here, functools.reduce(add, items) works"
    )


def test_groups_are_no_value_in_the_body(refusal):
    assert refused(NoValueYet, refusal, "len(fits.group_by('x')) if fits.group_by('x') == 1 else 0") == (
        "<groups of 'fit' by 'x'> has no value yet, so it cannot be compared\n"
        "  where: sweep.py, line 12\n"
        "  do:    move this into a step, which runs later, or wait for the value here with .load()"
    )


def test_an_output_cannot_be_loaded_when_its_body_has_ended(refusal):
    source = """
        @step
        def one():
            return 1

        kept = []

        @pipeline
        def sweep():
            kept.append(one())

        sweep()
        kept[0].load()
        """

    assert refusal(NotAvailable, source) == (
        "<Output of 'one'> cannot be loaded here: its pipeline's body has ended\n"
        "  where: sweep.py, line 12\n"
        "  do:    use run.load() for what the body returned, or run['name'].load() for one step"
    )


def test_an_output_that_has_been_started_cannot_be_unpacked(refusal):
    source = """
        @step
        def pair():
            return 1, 2

        @pipeline
        def sweep():
            both = pair()
            both.load()
            return both.unpack(2)

        sweep()
        """

    assert refusal(StepCallError, source) == (
        "'pair' has been started as one output, so it cannot be unpacked into 2 any more\n"
        "  where: sweep.py, line 9\n"
        "  do:    call .unpack(n) before the load() that starts it"
    )


def test_an_after_that_has_not_been_called_before_a_load_is_refused(refusal):
    from fanlab import GraphError

    source = """
        @step
        def one():
            return 1

        @pipeline
        def sweep():
            one(after="later").load()
            one(id="later")

        sweep()
        """

    assert refusal(GraphError, source) == (
        "after='later' of 'one' is not a node of this pipeline before this load()\n"
        "  where: sweep.py, line 7\n"
        "  do:    the nodes are 'one'"
    )


def test_a_body_that_only_plans_stops_at_its_first_load_and_says_where():
    ran = []

    def body():
        value = gather(1)
        other = gather(2, after="later")
        if value.load():
            ran.append(other)
        gather(3, id="later")

    found = trace("sweep", body, (), {})

    assert list(found.graph.nodes) == ["gather", "gather_2"]
    assert found.stopped.line == body.__code__.co_firstlineno + 3
    assert ran == []


def test_a_body_that_needs_no_value_is_planned_whole():
    assert trace("sweep", lambda: gather(1), (), {}).stopped is None
