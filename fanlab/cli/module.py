"""`fanlab run MODULE:PIPELINE`: a pipeline found by name in a module or a file, and called."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Mapping
from typing import Any

from ..errors import NotFound, PipelineError, listed, near
from ..pipelines import Pipeline
from ..runs import Run
from .values import known, value


def run_pipeline(module: str, name: str, given: Mapping[str, str], n_jobs: int | None, backend: str | None) -> Run:
    """Run it and return the Run, whether it has completed or not. Raises NotFound for names that there are not."""
    found = find(module, name)
    parameters = inspect.signature(found._body).parameters
    known(given, parameters, f"pipeline '{name}'")
    arguments = {key: _meant(parameters[key], text) for key, text in given.items()}
    options: dict[str, Any] = {"n_jobs": n_jobs, "backend": backend}
    chosen = found.with_options(**{key: wish for key, wish in options.items() if wish is not None})
    run: Run
    try:
        run = chosen(**arguments)
    except PipelineError as error:
        run = error.run
    return run


def find(module: str, name: str) -> Pipeline:
    """The pipeline `name` of a module (`work.sweep`) or a file (`work/sweep.py`)."""
    loaded = _load(module)
    pipelines = [key for key, found in vars(loaded).items() if isinstance(found, Pipeline)]
    found = getattr(loaded, name, None)
    if isinstance(found, Pipeline):
        return found
    do = near(name, pipelines) or (f"it has {listed(pipelines)}" if pipelines else "mark a function with @pipeline")
    what = f"'{name}' of {module} is no pipeline" if hasattr(loaded, name) else f"{module} has no pipeline '{name}'"
    raise NotFound(what, do=do)


def _load(module: str) -> Any:
    """The module, imported as `import` would from its folder, so that workers find it by the same name."""
    folder, name = os.getcwd(), module
    if module.endswith(".py"):
        if not os.path.isfile(module):
            raise NotFound(f"there is no file {module}", do=f"the working directory is {os.getcwd()}")
        folder, name = os.path.dirname(os.path.abspath(module)), os.path.basename(module)[:-3]
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # the module is there, and something that it imports is not
        raise NotFound(
            f"there is no module '{module}'", do=f"name it as `import` would from {os.getcwd()}, or give its file"
        ) from None


def _meant(parameter: inspect.Parameter, text: str) -> Any:
    """The text itself for a parameter that takes text, else the value that was meant."""
    textual = parameter.annotation in (str, "str") or isinstance(parameter.default, str)
    return text if textual else value(text)
