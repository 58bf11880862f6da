"""Pipelines: what a body may call, what a call takes, and what is refused."""

import pytest

from fanlab import pipeline, step
from fanlab.errors import GraphError, StepCallError


@step
def same(x):
    return x


# calls in a body


def test_a_step_with_an_unknown_argument_names_the_nearest(refusal):
    assert refusal(
        StepCallError,
        """
        @step
        def fit(frame, alpha=1.0):
            return frame
        @pipeline
        def sweep():
            fit(1, alhpa=2.0)
        sweep()
        """,
    ) == (
        "step 'fit' got an unexpected keyword argument 'alhpa'\n"
        "  where: sweep.py, line 6\n"
        "  do:    did you mean 'alpha'?"
    )


def test_a_step_without_a_needed_argument_lists_its_parameters(refusal):
    assert refusal(
        StepCallError,
        """
        @step
        def fit(frame, alpha=1.0):
            return frame
        @pipeline
        def sweep():
            fit()
        sweep()
        """,
    ) == (
        "step 'fit' missing a required argument: 'frame'\n"
        "  where: sweep.py, line 6\n"
        "  do:    its parameters are (frame, alpha=1.0)"
    )


def test_a_map_with_wrong_arguments_says_that_it_was_a_map(refusal):
    assert refusal(
        StepCallError,
        """
        @step
        def fit(frame):
            return frame
        @pipeline
        def sweep():
            fit.map([1], [2])
        sweep()
        """,
    ) == (
        "step 'fit' .map() too many positional arguments\n"
        "  where: sweep.py, line 6\n"
        "  do:    its parameters are (frame)"
    )


def test_an_id_that_is_taken_names_both_calls(refusal):
    assert refusal(
        GraphError,
        """
        @step
        def load(path):
            return path
        @step
        def fit(x):
            return x
        @pipeline
        def sweep():
            load("a", id="first")
            fit(1, id="first")
        sweep()
        """,
    ) == (
        "id 'first' is taken: step 'load' has it at sweep.py, line 9\n"
        "  where: step 'fit' asks for it at sweep.py, line 10\n"
        "  do:    give each call an id of its own, or leave id out to have them numbered"
    )


def test_an_unknown_after_names_the_nearest(refusal):
    assert refusal(
        GraphError,
        """
        @step
        def load(path):
            return path
        @pipeline
        def sweep():
            load("a")
            load("b", id="second", after="laod")
        sweep()
        """,
    ) == (
        "after='laod' of 'second' is not a node of this pipeline\n"
        "  where: sweep.py, line 7\n"
        "  do:    did you mean 'load'?"
    )


def test_an_after_that_is_no_node_is_refused_with_its_type(refusal):
    assert refusal(
        StepCallError,
        """
        @step
        def load(path):
            return path
        @pipeline
        def sweep():
            load("a", after=3)
        sweep()
        """,
    ) == (
        "after= of 'load' holds int 3\n"
        "  where: sweep.py, line 6\n"
        "  do:    it takes Outputs, Branches, names of nodes, and lists of them"
    )


def test_a_cycle_is_spelled_out(refusal):
    assert refusal(
        GraphError,
        """
        @step
        def load(path):
            return path
        @pipeline
        def sweep():
            load("a", id="one", after="three")
            load("b", id="two", after="one")
            load("c", id="three", after="two")
        sweep()
        """,
    ) == (
        "the calls wait for each other in a circle: "
        "'one' -> 'two' -> 'three' -> 'one' (each runs before the next)\n"
        "  do:    take one `after` or argument of the circle out"
    )


def test_a_call_that_waits_for_itself_is_a_cycle(refusal):
    assert refusal(
        GraphError,
        """
        @step
        def load(path):
            return path
        @pipeline
        def sweep():
            load("a", after="load")
        sweep()
        """,
    ) == (
        "the calls wait for each other in a circle: 'load' -> 'load' (each runs before the next)\n"
        "  do:    take one `after` or argument of the circle out"
    )


def test_a_body_without_steps_is_refused(refusal):
    assert refusal(
        GraphError,
        """
        @pipeline
        def sweep():
            return 1
        sweep()
        """,
    ) == ("pipeline 'sweep' has no steps: its body called none\n  do:    call a @step function in it")


def test_an_output_of_another_body_is_refused(refusal):
    message = refusal(
        StepCallError,
        """
        kept = []
        @step
        def load(path):
            return path
        @pipeline(backend="sequential")
        def first():
            kept.append(load("a"))
        @pipeline(backend="sequential")
        def second():
            load(kept[0])
        first()
        second()
        """,
    )
    assert message == (
        "argument 'path' of step 'load' is <Output of 'load'> of another pipeline's body\n"
        "  where: sweep.py, line 10\n"
        "  do:    run that pipeline first and pass the value: run.load()"
    )


def test_a_body_that_raises_leaves_no_run(tmp_path):
    @pipeline
    def raises():
        same(1)
        raise OSError("from the body")

    with pytest.raises(OSError, match="from the body"):
        raises()
    assert raises.last_run is None
    assert not (tmp_path / ".fanlab").exists()


def test_steps_are_plain_calls_again_after_a_body_that_raised():
    @pipeline
    def raises():
        raise OSError("from the body")

    with pytest.raises(OSError):
        raises()
    assert same(1) == 1


# calls of a pipeline


def test_a_pipeline_with_wrong_arguments_lists_its_parameters(refusal):
    assert refusal(
        StepCallError,
        """
        @step
        def load(path):
            return path
        @pipeline
        def sweep(path, alphas=(1, 2)):
            load(path)
        sweep()
        """,
    ) == ("pipeline 'sweep' missing a required argument: 'path'\n  do:    its parameters are (path, alphas=(1, 2))")


def test_an_unknown_backend_names_the_nearest(refusal):
    assert refusal(
        StepCallError,
        """
        @step
        def load(path):
            return path
        @pipeline(backend="loki")
        def sweep():
            load("a")
        sweep()
        """,
    ) == ("there is no backend 'loki'\n  do:    did you mean 'loky'?")


@pytest.mark.parametrize("count", [0, 1.5, True, "many"])
def test_a_number_of_jobs_that_is_none_is_refused(refusal, count):
    assert refusal(
        StepCallError,
        f"""
        @step
        def load(path):
            return path
        @pipeline(n_jobs={count!r})
        def sweep():
            load("a")
        sweep()
        """,
    ) == (f"n_jobs is {count!r}\n  do:    give a number of workers, or -1 for all cores")


def test_pipelines_take_backend_and_jobs_from_joblib():
    joblib = pytest.importorskip("joblib")

    @step
    def process():
        import os

        return os.getpid()

    @pipeline
    def processes():
        return process()

    import os

    with joblib.parallel_config(backend="sequential"):
        assert processes().load() == os.getpid()


def test_the_options_of_a_pipeline_win_over_joblibs():
    import os

    import joblib

    @step
    def process():
        return os.getpid()

    @pipeline(backend="sequential")
    def processes():
        return process()

    with joblib.parallel_config(backend="loky", n_jobs=2):
        assert processes().load() == os.getpid()


def test_with_options_of_a_pipeline_leaves_the_original_as_it_was():
    @pipeline
    def loads():
        return same(1)

    copy = loads.with_options(name="other", backend="sequential")
    assert copy().pipeline == "other"
    assert loads.last_run is None
    assert loads.name == "loads"


def test_a_pipeline_has_a_short_repr():
    @pipeline
    def sweep():
        same(1)

    assert repr(sweep) == "<pipeline sweep>"


def test_an_unknown_option_of_a_pipeline_names_the_nearest(refusal):
    assert refusal(
        StepCallError,
        """
        @pipeline
        def sweep():
            pass
        sweep.with_options(jobs=2)
        """,
    ) == (
        "with_options of pipeline 'sweep' has no option 'jobs'\n  where: sweep.py, line 4\n  do:    did you mean 'n_jobs'?"
    )


def test_a_decorator_with_an_unknown_option_names_the_nearest(refusal):
    assert refusal(
        StepCallError,
        """
        @pipeline(n_job=2)
        def sweep():
            pass
        """,
    ) == ("@pipeline has no option 'n_job'\n  where: sweep.py, line 1\n  do:    did you mean 'n_jobs'?")


def test_an_unknown_option_that_is_near_none_lists_all_of_a_pipeline(refusal):
    assert refusal(
        StepCallError,
        """
        @pipeline
        def sweep():
            pass
        sweep.with_options(xyz=2)
        """,
    ) == (
        "with_options of pipeline 'sweep' has no option 'xyz'\n"
        "  where: sweep.py, line 4\n"
        "  do:    the options are name, enable_cache, on_failure, n_jobs, backend, fresh"
    )


@pytest.mark.parametrize("method", ["map", "product", "map_records", "reduce"])
def test_a_pipeline_says_that_only_steps_fan_out(method):
    @pipeline
    def sweep():
        pass

    with pytest.raises(AttributeError) as caught:
        getattr(sweep, method)
    assert str(caught.value) == f"'sweep' is a pipeline, which has no {method}(): only steps have, call it in a loop"
    assert not hasattr(sweep, "anything")


def test_arguments_that_an_inlined_pipeline_does_not_take_are_refused_as_in_a_call():
    @pipeline
    def inner(x):
        pass

    @pipeline
    def outer():
        inner(y=1)

    with pytest.raises(StepCallError) as caught:
        outer()
    assert str(caught.value) == ("pipeline 'inner' missing a required argument: 'x'\n  do:    its parameters are (x)")


def test_a_run_is_compared_with_a_run_only():
    @step
    def one():
        return 1

    @pipeline(backend="sequential")
    def sweep():
        one()

    with pytest.raises(StepCallError) as caught:
        sweep().diff(3)
    assert str(caught.value) == "diff() takes a Run, not 3\n  do:    get one with Client().get_pipeline_run(name)"
