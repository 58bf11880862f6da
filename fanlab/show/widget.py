"""The live view's widget: what the page gets, and what it asks for. Everything else is in live.py and widget.js."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import anywidget
import traitlets

_HERE = pathlib.Path(__file__).parent

Heard = Callable[[dict[str, Any]], None]


class PipelineWidget(anywidget.AnyWidget):
    """A graph that is sent when it changes, a state that is sent whole, and messages for what is asked for."""

    _esm = _HERE / "widget.js"
    _css = _HERE / "widget.css"
    graph = traitlets.Dict().tag(sync=True)
    state = traitlets.Dict().tag(sync=True)
    phase = traitlets.Unicode("running").tag(sync=True)  # running, cancelling, rerunning, ended
    cell = traitlets.Dict().tag(sync=True)  # in whose output the run is shown, and the request that asked for it
    person = traitlets.Dict().tag(sync=True)  # what is open and chosen: the page sets it and never saves it

    def __init__(
        self,
        graph: dict[str, Any],
        state: dict[str, Any],
        heard: Heard,
        cell: dict[str, str] | None = None,
        phase: str = "running",
    ) -> None:
        super().__init__(graph=graph, state=state, cell=cell or {}, phase=phase)
        self._heard = heard
        self.on_msg(self._on_message)
        # ipykernel 7.4 handles what the page says in the shell that last sent something on this comm: the one
        # that is busy with the cell. None lets the page choose its own subshell, which hears at once. Private, and
        # so guarded by tests; a kernel that has no such attribute is not harmed by one.
        self.comm._reply_subshell_for = None

    @property
    def bundle(self) -> dict[str, Any]:
        """The widget's view and nothing else: an output that holds more could not be saved and compared."""
        return {
            "application/vnd.jupyter.widget-view+json": {
                "version_major": 2, "version_minor": 1, "model_id": self.model_id
            }
        }  # fmt: skip

    def _on_message(self, _: Any, content: Any, __: Any) -> None:
        if isinstance(content, dict):
            self._heard(content)
