"""Steps replaced for a test, on every backend."""

import pytest

from fanlab import StepCallError, step


@step
def load(path):
    raise OSError(f"no network for {path}")


@step
def clean(rows, factor=1):
    return [factor * row for row in rows]


@step
def square(x):
    return x * x


@step
def split(rows):
    return rows[0], rows[1:]


@pytest.fixture
def sweep(pipe):
    @pipe
    def sweep(path="far"):
        rows = clean(load(path))
        return square.map(rows)

    return sweep


def test_a_value_stands_in_for_a_step(sweep):
    with sweep.mock(load=[1, 2, 3]):
        assert list(sweep().load()) == [1, 4, 9]


def test_a_function_stands_in_and_gets_the_arguments(sweep):
    with sweep.mock(load=lambda path: [len(path)], square=lambda x: -x):
        assert list(sweep("four").load()) == [-4]


def test_none_is_a_value_like_another(pipe):
    @pipe
    def one():
        return load("x")

    with one.mock(load=None):
        assert one().load() is None


def test_the_step_is_itself_again_after_the_block(sweep, failed):
    with sweep.mock(load=[1]):
        sweep()
    assert "no network for far" in str(failed(sweep))


def test_a_step_with_several_outputs_takes_a_tuple(pipe):
    @pipe
    def parts():
        first, rest = split([1, 2, 3]).unpack(2)
        return first, square.map(rest)

    with parts.mock(split=(7, [8])):
        first, rest = parts().load()
    assert (first, list(rest)) == (7, [64])


def test_what_stands_in_is_not_kept_for_other_runs(sweep, statuses):
    with sweep.mock(square=lambda x: 0, load=[1, 2]):
        sweep()
    with sweep.mock(load=[1, 2]):
        assert list(sweep().load()) == [1, 4]


def test_what_was_kept_does_not_stand_in_for_a_stand_in(pipe):
    @pipe
    def plain():
        return square.map([1, 2])

    assert list(plain().load()) == [1, 4]
    with plain.mock(square=lambda x: 10 * x):
        assert list(plain().load()) == [10, 20]
    assert list(plain().load()) == [1, 4]


def test_a_resumed_run_does_not_take_over_what_stood_in(sweep, failed):
    with sweep.mock(load=[1, 2], square=lambda x: 1 / (x - 1)):
        run = failed(sweep).run
    with pytest.raises(RuntimeError, match="no network"):
        run.resume()


def test_blocks_in_blocks_stand_in_together(sweep):
    with sweep.mock(load=[1, 2]):
        with sweep.mock(square=lambda x: 100 + x, load=[5]):
            assert list(sweep().load()) == [105]
        assert list(sweep().load()) == [1, 4]


def test_steps_of_an_inlined_pipeline_are_replaced_too(pipe, sweep):
    @pipe
    def outer():
        return sweep()

    with outer.mock(load=[3]):
        assert list(outer().load()) == [9]
    with sweep.mock(load=[4]):
        assert list(outer().load()) == [16]


def test_an_unknown_step_is_answered_with_the_nearest_before_anything_runs(pipe):
    @pipe
    def one():
        return load("x")

    with one.mock(laod=1), pytest.raises(StepCallError) as caught:
        one()
    assert str(caught.value) == (
        "pipeline 'one' calls no step 'laod' that could be mocked\n  do:    did you mean 'load'?"
    )
    with one.mock(zebra=1), pytest.raises(StepCallError) as caught:
        one()
    assert str(caught.value) == (
        "pipeline 'one' calls no step 'zebra' that could be mocked\n  do:    the steps that it calls are 'load'"
    )


def test_a_pipeline_called_in_a_running_step_has_its_own_steps(pipe):
    @pipe
    def inside():
        return square(3)

    @step
    def outside(x):
        return inside().load() + x

    @pipe
    def whole():
        return outside(square(1))

    with whole.mock(square=10):
        assert whole().load() == 19
