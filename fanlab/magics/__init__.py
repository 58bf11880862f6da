"""The notebook's face: %%pipeline, %%step, %%combine and %fanlab. Only this folder and views import IPython."""

from __future__ import annotations

from typing import Any

from ..show.kernel import prepare
from .body import CellText
from .cells import FanlabMagics
from .complete import Completion

_KEY = "_fanlab"


def load(shell: Any) -> None:
    """Register the magics; a second time changes nothing."""
    if hasattr(shell, _KEY):
        return
    cell = CellText()
    shell.events.register("pre_run_cell", cell.remember)
    magics = FanlabMagics(shell, cell)
    shell.register_magics(magics)
    completion = Completion(magics)
    shell.Completer.custom_matchers.append(completion.match)
    setattr(shell, _KEY, (cell, magics, completion))
    if getattr(shell, "kernel", None) is not None:
        prepare()


def unload(shell: Any) -> None:
    """Take away everything that load added."""
    if not hasattr(shell, _KEY):
        return
    cell, magics, completion = getattr(shell, _KEY)
    delattr(shell, _KEY)
    shell.events.unregister("pre_run_cell", cell.remember)
    for kind, names in magics.magics.items():
        for name in names:
            shell.magics_manager.magics[kind].pop(name, None)
    shell.magics_manager.registry.pop(type(magics).__name__, None)
    shell.configurables.remove(magics)
    shell.Completer.custom_matchers.remove(completion.match)
