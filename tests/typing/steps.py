"""What a type checker makes of steps and pipelines: checked by mypy, and never run. An ignore is an error it must find."""

from typing import Any, assert_type, cast

from fanlab import Artifact, Branches, Client, Output, Pipeline, Run, Step, StepRun, pipeline, step, unmapped


@step
def load(path: str, rows: int = 10) -> list[float]:
    return [float(len(path))] * rows


@step(retries=2, timeout=60.0)
def fit(data: list[float], alpha: float) -> float:
    return sum(data) * alpha


@step
def split(data: list[float]) -> tuple[list[float], list[float]]:
    return data, data


@step
def best(scores: list[float]) -> float:
    return max(scores)


@step
def table(scores: Any) -> dict[str, float]:
    return dict(scores)


@step
def add(a: float, b: float) -> float:
    return a + b


# A plain call is that of the function.
assert_type(load("a"), list[float])
assert_type(fit([1.0], alpha=0.5), float)
load(3)  # type: ignore[call-overload]
load()  # type: ignore[call-overload]
fit([1.0])  # type: ignore[call-overload]
fit([1.0], alhpa=0.5)  # type: ignore[call-overload]

assert_type(fit.with_options(retries=3)([1.0], 0.5), float)
assert_type(fit.name, str)


@pipeline
def sweep(path: str, alphas: tuple[float, ...] = (0.1, 1.0)) -> Any:
    # In a body a call has its value's type too, so that calls fit together as plain ones do.
    data = load(path)
    assert_type(data, list[float])
    train, test = split(data)
    assert_type(train, list[float])

    # What fans out are branches of that value, which go wherever values go.
    fits = fit.map(unmapped(train), alpha=alphas)
    assert_type(fits, Branches[float])
    assert_type(fits[0], Output[float])
    assert_type(list(fits), list[Output[float]])
    assert_type(best(fits), float)
    assert_type(best(scores=[fits[0], fits[1], 0.5]), float)
    assert_type(table(fits.results), dict[str, float])
    assert_type(best(fits.successful(at_least=0.5)), float)
    assert_type(fit.product([data, test], alphas), Branches[float])
    assert_type(fit.map_records([{"data": test, "alpha": 1.0}]), Branches[float])
    assert_type(add.reduce(fits), Output[float])
    assert_type(load.map(["a", "b"]), Branches[list[float]])
    add.map(load.map(["a"]).flatten(), 1.0)

    # With id= or after=, which only a body has, a call is an Output; load() gives its value.
    last = fit(train, 1.0, id="last", after=[fits, "load"])
    assert_type(last, Output[float])
    assert_type(best([1.0], after=last), Output[float])
    assert_type(last.load(), float)
    assert_type(fits[1].load(), float)
    assert_type(cast("Output[float]", fit(train, 1.0)).load(), float)
    return best([last, fits[0]])


@pipeline(n_jobs=2, on_failure="stop")
def outer(paths: list[str]) -> Any:
    found: Any = sweep(paths[0])  # in a body a pipeline gives what its body returns, which no type says
    return best([found])


# A pipeline has its body's parameters, and gives a run.
assert_type(sweep("a"), Run)
assert_type(sweep("a", (0.5,)).load(), Any)
assert_type(outer(["a"]), Run)
assert_type(sweep.start("a").wait(), Run)
assert_type(sweep.with_options(n_jobs=1)("a"), Run)
assert_type(sweep.last_run, Run | None)
sweep(1)  # type: ignore[arg-type]
sweep.plan()  # type: ignore[call-arg]


def looked_at(run: Run, sweep: Pipeline, fit: Step) -> None:
    assert_type(run.steps, dict[str, StepRun])
    assert_type(run["fit"], StepRun | list[StepRun])
    assert_type(run.steps["fit[0]"].output, Artifact)
    assert_type(run.resume(), Run)
    assert_type(run.rerun("fit"), Run)
    assert_type(run.logs("fit"), list[str])
    run.results.query("score > 0.5").nsmallest(3, "score")
    assert_type(Client().get_pipeline_run("a"), Run)
    assert_type(sweep(1, anything=2), Run)  # of one that is not known, anything
    fit(1, anything=2)
