"""Steps: what @step makes of a function, and what it refuses."""

import pytest

from fanlab import step
from fanlab.errors import StepCallError, StepDefinitionError


@step
def same(x):
    return x


def test_a_step_outside_a_pipeline_is_a_plain_call():
    assert same(4) == 4


def test_a_step_keeps_the_name_and_docstring_of_its_function():
    @step
    def fit(x):
        """Fit a model."""

    assert (fit.__name__, fit.__doc__, fit.name) == ("fit", "Fit a model.", "fit")


def test_a_step_has_a_short_repr():
    assert repr(same) == "<step same>"


def test_with_options_leaves_the_original_as_it_was():
    copy = same.with_options(name="other", enable_cache=False)
    assert (same.name, copy.name) == ("same", "other")
    assert (same.options.enable_cache, copy.options.enable_cache) == (None, False)
    assert copy(3) == 3


def test_a_step_with_options_takes_them_in_the_decorator():
    @step(name="train", version="2")
    def fit(x):
        return x

    assert (fit.name, fit.options.version, fit(1)) == ("train", "2", 1)


def test_a_generator_step_is_refused(refusal):
    assert refusal(
        StepDefinitionError,
        """
        @step
        def lines(path):
            yield path
        """,
    ) == (
        "step 'lines' is a generator, whose value cannot be stored\n"
        "  where: sweep.py, line 1\n"
        "  do:    return a list instead of using yield"
    )


def test_an_async_step_is_refused(refusal):
    assert refusal(
        StepDefinitionError,
        """
        @step
        async def fetch(url):
            return url
        """,
    ) == (
        "step 'fetch' is async, which steps cannot be yet\n"
        "  where: sweep.py, line 1\n"
        "  do:    make it a plain function that calls asyncio.run(...)"
    )


def test_an_async_generator_step_is_refused(refusal):
    assert refusal(
        StepDefinitionError,
        """
        @step
        async def fetch(url):
            yield url
        """,
    ) == (
        "step 'fetch' is a generator, whose value cannot be stored\n"
        "  where: sweep.py, line 1\n"
        "  do:    return a list instead of using yield"
    )


def test_a_method_is_refused(refusal):
    assert refusal(
        StepDefinitionError,
        """
        class Model:
            @step
            def fit(self, x):
                return x
        """,
    ) == (
        "'fit' is a method of Model, which cannot be a step\n"
        "  where: sweep.py, line 2\n"
        "  do:    make it a function that takes the object as an argument"
    )


def test_a_static_method_is_refused(refusal):
    assert refusal(
        StepDefinitionError,
        """
        class Model:
            @step
            @staticmethod
            def fit(x):
                return x
        """,
    ) == ("@step takes a function, not staticmethod\n  do:    put @step on a function at top level")


@pytest.mark.parametrize("name", ["id", "after", "probe"])
def test_a_parameter_with_a_reserved_name_is_refused(refusal, name):
    assert refusal(
        StepDefinitionError,
        f"""
        @step
        def fit(frame, {name}):
            return frame
        """,
    ) == (
        f"step 'fit' has a parameter called '{name}', which calls in a pipeline use themselves\n"
        "  where: sweep.py, line 1\n"
        f"  do:    call it something else, for example 'fit_{name}'"
    )


def test_a_step_of_a_step_is_refused(refusal):
    assert refusal(
        StepDefinitionError,
        """
        @step
        @step
        def fit(x):
            return x
        """,
    ) == ("'fit' is a step already\n  do:    use .with_options(...) for a copy with other options")


def test_what_is_no_function_is_refused(refusal):
    assert refusal(StepDefinitionError, "step(7)") == (
        "@step takes a function, not int\n  do:    put @step on a function at top level"
    )


def test_two_outputs_of_one_name_are_refused(refusal):
    assert refusal(
        StepDefinitionError,
        """
        from typing import Annotated

        @step
        def split(x) -> tuple[Annotated[int, "part"], Annotated[int, "part"]]:
            return x, x
        """,
    ) == ("step 'split' names two outputs alike: 'part', 'part'\n  do:    give each a name of its own")


def test_an_unknown_option_of_a_step_names_the_nearest(refusal):
    assert refusal(
        StepCallError,
        """
        @step
        def fit(x):
            return x
        fit.with_options(enable_cach=False)
        """,
    ) == (
        "with_options of step 'fit' has no option 'enable_cach'\n  where: sweep.py, line 4\n  do:    did you mean 'enable_cache'?"
    )


def test_a_decorator_with_an_unknown_option_names_the_nearest(refusal):
    assert refusal(
        StepCallError,
        """
        @step(time_out=3)
        def fit(x):
            return x
        """,
    ) == ("@step has no option 'time_out'\n  where: sweep.py, line 1\n  do:    did you mean 'timeout'?")


@pytest.mark.parametrize("method", ["map", "product", "map_records"])
def test_a_fan_out_outside_a_pipeline_is_refused(refusal, method):
    assert refusal(
        StepCallError,
        f"""
        @step
        def fit(x):
            return x
        fit.{method}([1, 2])
        """,
    ) == (
        f"fit.{method}() has been called outside a pipeline\n"
        "  where: sweep.py, line 4\n"
        "  do:    call it in a @pipeline function or a %%pipeline cell; here, [fit(x) for x in items] works"
    )
