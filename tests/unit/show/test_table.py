"""The results table and the profile: columns, dtypes, names that clash."""

import datetime as dt
import decimal
import enum
import string
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import pandas as pd
import pytest

from fanlab import get_step_context, pipeline, step
from fanlab.client import Client
from fanlab.errors import PipelineError
from fanlab.runs import Artifact

here = pipeline(backend="sequential")
FIXED = ["step", "branch", "status", "error"]


@step
def same(x):
    return x


@step
def picky(x):
    if x is None:
        raise ValueError("nothing")
    return x


def results(body):
    """The table of a run, failed or not."""
    made = here(body)
    try:
        return made().results
    except PipelineError as error:
        return error.run.results


def of_values(*values):
    """The `output` column of branches that return these values; None fails."""

    def body():
        picky.map(list(values))

    return results(body)["output"]


def test_there_is_a_row_per_node_and_branch_in_call_order():
    def body():
        last = same(1, id="last", after="first")
        same.map({"b": 1, "a": 2}, id="named", after=last)
        same(2, id="first")

    assert list(results(body).index) == ["last", "named[b]", "named[a]", "first"]


def test_columns_stand_in_a_fixed_order():
    @step
    def fit(alpha, kind):
        get_step_context().log_metadata({"epochs": 3})
        return {"score": 1.0}

    assert list(results(lambda: fit(0.1, kind="ridge"))) == [
        "step", "branch", "alpha", "kind", "score", "epochs", "status", "error",
    ]  # fmt: skip


def test_a_table_without_rows_has_the_fixed_columns():
    table = results(lambda: same.map([]))
    assert list(table) == FIXED
    assert len(table) == 0


def test_a_map_whose_branches_never_became_known_is_one_row():
    def body():
        same.map(picky(None), id="unknown")

    table = results(body)
    assert list(table.index) == ["picky", "unknown"]
    assert list(table["status"]) == ["failed", "skipped"]


def test_zero_branches_make_no_row():
    def body():
        same.map(same([]), id="none")

    assert list(results(body).index) == ["same"]


# dtypes of complete and incomplete columns


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, 2], "int64"),
        ([1.5, 2.5], "float64"),
        ([1, 2.5], "float64"),
        ([True, False], "bool"),
        (["a", "b"], "str"),
        ([np.float32(1), np.float32(2)], "float32"),
        ([dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 2)], "datetime64[us]"),
        ([pd.Timestamp("2024-01-01", tz="UTC")] * 2, "datetime64[us, UTC]"),
        ([1j, 2j], "complex128"),
    ],
    ids=str,
)
def test_a_complete_column_has_a_numpy_dtype(values, dtype):
    column = of_values(*values)
    assert column.dtype == dtype
    assert list(column) == values


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, 2], "Int64"),
        ([1.5, 2.5], "Float64"),
        ([1, 2.5], "Float64"),
        ([True, False], "boolean"),
        (["a", "b"], "string"),
        ([np.int32(1), np.int32(2)], "Int64"),
    ],
    ids=str,
)
def test_an_incomplete_column_has_a_nullable_dtype(values, dtype):
    column = of_values(*values, None)
    assert column.dtype == dtype
    assert list(column[:-1]) == values
    assert column.iloc[-1] is pd.NA


def test_an_incomplete_column_of_times_keeps_its_dtype():
    column = of_values(pd.Timestamp("2024-01-01"), None)
    assert column.dtype.kind == "M"
    assert column.iloc[0] == pd.Timestamp("2024-01-01")
    assert pd.isna(column.iloc[1])


def test_other_scalars_are_kept_as_they_are():
    values = [decimal.Decimal("1.5"), Path("a") / "b"]
    assert list(of_values(*values)) == values


def test_none_as_a_result_is_missing():
    assert results(lambda: same.map([None, 1]))["output"].tolist() == [pd.NA, 1]


def test_whole_numbers_beyond_64_bits_are_kept():
    assert list(of_values(2**70, 1)) == [2**70, 1]


def test_whole_numbers_beyond_64_bits_are_kept_in_an_incomplete_column():
    assert list(of_values(2**70, 1, None)) == [2**70, 1, pd.NA]


def test_branches_without_a_value_of_their_own_are_missing_beside_numbers():
    def body():
        same.map([1, 2])
        same.map(["a", "b"], id="texts")
        same.map([[1], [2]], id="lists")

    table = results(body)
    assert table["output"].tolist()[:4] == [1, 2, "a", "b"]
    assert all(isinstance(found, Artifact) for found in table["output"][4:])


@pytest.mark.parametrize("kind", ["named tuple", "dataclass"])
def test_the_fields_of_a_record_are_columns(kind):
    class Fit(NamedTuple):
        score: float
        weights: list

    @dataclass
    class Told:
        score: float
        weights: list

    made = Fit if kind == "named tuple" else Told

    @step
    def fit(x):
        return made(x / 2, [x])

    table = results(lambda: fit.map([1, 3]))
    assert table["score"].tolist() == [0.5, 1.5]
    assert [found.load() for found in table["weights"]] == [[1], [3]]
    assert "output" not in table


def test_the_artifact_of_a_field_tells_the_fields_type():
    small, large = results(lambda: same.map([{"a": [1]}, {"a": np.zeros(20_000)}]))["a"]
    assert (small.type, large.type) == ("list", "numpy.ndarray")


def test_a_map_of_many_branches_keeps_its_order_and_its_dtypes():
    table = results(lambda: same.map(range(3000)))
    assert table["output"].tolist() == table["x"].tolist() == table["branch"].tolist() == list(range(3000))
    assert (table["output"].dtype, table["x"].dtype, table["branch"].dtype) == ("int64",) * 3


def test_a_nan_result_is_a_value():
    column = of_values(1.5, float("nan"))
    assert column.dtype == "float64"
    assert np.isnan(column.iloc[1])


def test_the_step_and_the_status_are_text():
    table = results(lambda: same(1))
    assert (table["step"].dtype, table["status"].dtype) == ("str", "str")


def test_errors_are_missing_where_all_went_well():
    table = results(lambda: same.map([1, 2]))
    assert table["error"].isna().all()
    assert table["error"].dtype == "string"


def test_errors_are_the_last_lines_of_their_tracebacks():
    table = results(lambda: picky.map([1, None]))
    assert table["error"].tolist() == [pd.NA, "ValueError: nothing"]


# branch keys


def test_the_branch_column_is_of_numbers_where_all_keys_are():
    table = results(lambda: same.map([10, 20]))
    assert table["branch"].tolist() == [0, 1]
    assert table["branch"].dtype == "int64"


def test_the_branch_column_is_missing_where_nothing_fanned_out():
    def body():
        same(1)
        same.map([1, 2])

    table = results(body)
    assert table["branch"].tolist() == [pd.NA, 0, 1]
    assert table["branch"].dtype == "Int64"


def test_the_branch_column_is_missing_and_of_numbers_without_any_fan_out():
    table = results(lambda: same(1))
    assert table["branch"].dtype == "Int64"
    assert table["branch"].tolist() == [pd.NA]


def test_the_branch_column_is_text_where_a_key_is():
    def body():
        same.map({"us": 1, "eu": 2})
        same.map([1])

    table = results(body)
    assert table["branch"].tolist() == ["us", "eu", "0"]
    assert table["branch"].dtype == "str"


def test_the_key_of_a_product_is_text():
    @step
    def add(a, b):
        return a + b

    assert results(lambda: add.product({"us": 1}, [1, 2]))["branch"].tolist() == ["us,0", "us,1"]


def test_a_template_names_rows_and_leaves_the_branch_a_number():
    table = results(lambda: same.map([0.1, 1.0], id="{x}"))
    assert list(table.index) == ["same[0.1]", "same[1.0]"]
    assert table["branch"].tolist() == [0, 1]


# arguments and outputs


def test_arguments_are_what_was_passed_and_no_defaults():
    @step
    def fit(a, b=2, c=3):
        return a

    table = results(lambda: fit(1, c=4))
    assert table.loc["fit", ["a", "c"]].tolist() == [1, 4]
    assert "b" not in table


def test_computed_arguments_have_no_column():
    table = results(lambda: picky(same(1, id="first")))
    assert "x" in table
    assert table["x"].tolist() == [1, pd.NA]


def test_items_of_a_dynamic_map_are_arguments():
    assert results(lambda: picky.map(same([5, 6])))["x"].tolist() == [pd.NA, 5, 6]


def test_arguments_that_are_no_scalars_have_no_column():
    assert list(results(lambda: same([1, 2]))) == ["step", "branch", "output", "status", "error"]


def test_the_fields_of_a_dict_are_columns():
    @step
    def fit(x):
        return {"score": x / 2, "name": f"n{x}"}

    table = results(lambda: fit.map([1, 3]))
    assert table["score"].tolist() == [0.5, 1.5]
    assert table["name"].tolist() == ["n1", "n3"]
    assert "output" not in table


def test_fields_that_some_branches_lack_are_missing_there():
    @step
    def fit(x):
        return {"score": x} if x else {"note": "none"}

    table = results(lambda: fit.map([0, 1]))
    assert table["score"].tolist() == [pd.NA, 1]
    assert table["note"].tolist() == ["none", pd.NA]


def test_a_dict_with_very_many_fields_stays_one_value():
    value = results(lambda: same({str(i): i for i in range(65)}))["output"].iloc[0]
    assert isinstance(value, Artifact)


def test_several_outputs_are_a_column_each():
    @step
    def split(n) -> tuple[Annotated[int, "low"], Annotated[int, "high"]]:
        return n // 2, n - n // 2

    table = results(lambda: split(7) and None)
    assert table.loc["split", ["low", "high"]].tolist() == [3, 4]


def test_a_value_that_is_no_scalar_is_its_artifact():
    table = results(lambda: same.map([[1, 2], [1, 2], [3]]))
    first, again, other = table["output"]
    assert isinstance(first, Artifact)
    assert first.load() == [1, 2]
    assert first == again
    assert first != other


def test_a_field_that_is_no_scalar_is_its_artifact():
    @step
    def fit(x):
        return {"score": x, "weights": np.full(20_000, x), "names": ["a", x]}

    table = results(lambda: fit.map([1.5, 2.5]))
    assert table["score"].tolist() == [1.5, 2.5]
    weights = table["weights"].iloc[1]
    assert (weights.type, weights.load().sum()) == ("numpy.ndarray", 50_000)
    assert table["names"].iloc[1].load() == ["a", 2.5]


def test_a_large_dict_shows_its_scalars_without_being_loaded():
    @step
    def fit():
        return {"score": 0.5, "weights": np.zeros(20_000)}

    @here
    def fits():
        fit()

    run = fits()
    Path(run["fit"].output.path).unlink()
    assert run.results.loc["fit", "score"] == 0.5


def test_a_long_text_is_its_artifact():
    assert isinstance(results(lambda: same("x" * 10_000))["output"].iloc[0], Artifact)


def test_a_value_of_a_class_of_its_own_is_its_artifact():
    class Kind(enum.Enum):
        RED = 1

    @step
    def kind():
        return Kind.RED

    value = results(lambda: kind())["output"].iloc[0]
    assert isinstance(value, Artifact)
    assert value.load() is Kind.RED


def test_artifacts_are_equal_in_the_tables_of_two_runs():
    @here
    def arrays():
        same.map([np.ones(20_000), np.zeros(20_000)])

    pd.testing.assert_frame_equal(arrays().results, arrays().results)


def test_the_repr_of_an_artifact_is_the_same_for_two_runs():
    @here
    def arrays():
        same(np.ones(20_000))

    assert repr(arrays().results["output"].iloc[0]) == repr(arrays().results["output"].iloc[0])


# names that clash


def test_an_argument_with_a_fixed_name_is_marked():
    @step
    def fit(status, branch):
        return 1

    table = results(lambda: fit("good", 3))
    assert table.loc["fit", ["status_arg", "branch_arg", "status"]].tolist() == ["good", 3, "completed"]


def test_an_output_with_the_name_of_an_argument_is_marked():
    @step
    def fit(alpha):
        return {"alpha": alpha * 2}

    table = results(lambda: fit.map([1, 2]))
    assert table["alpha"].tolist() == [1, 2]
    assert table["alpha_out"].tolist() == [2, 4]


def test_an_output_with_a_fixed_name_is_marked():
    table = results(lambda: same({"error": 3, "step": "first"}))
    assert table.loc["same", ["error_out", "step_out"]].tolist() == [3, "first"]


def test_metadata_with_the_name_of_an_output_are_marked():
    @step
    def fit():
        get_step_context().log_metadata({"score": "from metadata"})
        return {"score": 1.0}

    table = results(lambda: fit())
    assert table.loc["fit", ["score", "score_meta"]].tolist() == [1.0, "from metadata"]


# runs that go on, and runs from the store


def test_the_table_can_be_read_while_the_run_goes_on():
    @step
    def look(after_it):
        table = get_step_context().pipeline_run.results
        return table["status"].tolist()

    @here
    def looks():
        return look(same.map([1, 2]))

    assert looks().load() == ["completed", "completed", "running"]


def test_the_table_from_the_store_is_the_same():
    @here
    def mixed():
        same.map([1, 2.5])
        same(np.ones(20_000), id="array")
        same.map({"us": [1], "eu": [2]}, id="keyed")

    run = mixed()
    pd.testing.assert_frame_equal(Client().get_pipeline_run(run.name).results, run.results)


def test_two_runs_have_equal_tables():
    @here
    def mixed():
        same.map([1, 2.5])
        same.map(same([3, 4]), id="late")

    pd.testing.assert_frame_equal(mixed().results, mixed().results)


# the profile


@pytest.fixture
def profile():
    @here
    def body():
        same(picky.map([np.ones(20_000), None]), id="after")

    with pytest.raises(PipelineError) as caught:
        body()
    return caught.value.run.profile


def test_the_profile_has_the_rows_of_the_results(profile):
    assert list(profile.index) == ["picky[0]", "picky[1]", "after"]


def test_the_columns_of_the_profile_have_fixed_dtypes(profile):
    assert {name: str(dtype) for name, dtype in profile.dtypes.items() if name != "status"} == {
        "reason": "str",
        "attempts": "Int64",
        "worker": "Int64",
        "queued": "datetime64[ns, UTC]",
        "start": "datetime64[ns, UTC]",
        "end": "datetime64[ns, UTC]",
        "seconds": "Float64",
        "peak_mb": "Float64",
        "nbytes": "Int64",
    }


def test_the_profile_tells_what_a_branch_took(profile):
    row = profile.loc["picky[0]"]
    assert (row["status"], row["attempts"]) == ("completed", 1)
    assert row["queued"] <= row["start"] <= row["end"]
    assert row["seconds"] == pytest.approx((row["end"] - row["start"]).total_seconds(), abs=1e-3)
    assert row["nbytes"] >= 160_000


def test_the_profile_of_a_failed_branch_has_times_and_no_bytes(profile):
    row = profile.loc["picky[1]"]
    assert row["status"] == "failed"
    assert row["seconds"] >= 0
    assert row["nbytes"] is pd.NA


def test_the_profile_of_a_skipped_step_is_missing(profile):
    row = profile.loc["after"]
    assert row["status"] == "skipped"
    assert row[["attempts", "worker", "start", "end", "seconds", "peak_mb", "nbytes"]].isna().all()


def test_an_empty_profile_has_its_columns():
    @here
    def nothing():
        same.map([])

    assert list(nothing().profile) == [
        "status", "reason", "attempts", "worker", "queued", "start", "end", "seconds", "peak_mb", "nbytes",
    ]  # fmt: skip


def test_text_that_is_no_unicode_is_spelled_out():
    @step(name="odd\ud800")
    def odd(x):
        return "\ud801" if x == "b" else None

    @pipeline(backend="sequential")
    def sweep():
        odd.map(["\ud802", "b"])

    table = sweep().results
    assert table["output"].tolist() == [pd.NA, r"\ud801"]
    assert table["x"].tolist() == [r"\ud802", "b"]
    assert table["step"].tolist() == [r"odd\ud800"] * 2
    assert list(table.index) == [r"odd\ud800[0]", r"odd\ud800[1]"]


def test_a_field_whose_class_is_gone_keeps_its_type_and_its_neighbours(monkeypatch):
    @step
    def fit(x):
        return {"model": string.Template("$x"), "score": x / 2}

    @here
    def sweep():
        fit.map([1, 2])

    run = sweep()
    before = run.results
    monkeypatch.delattr(string, "Template")  # as where its package is not installed

    assert [artifact.type for artifact in before["model"]] == ["string.Template"] * 2
    pd.testing.assert_frame_equal(run.results, before)
    assert [artifact.type for artifact in run.results["model"]] == ["string.Template"] * 2
