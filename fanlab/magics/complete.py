"""Completion on a magic's line: its options, and the names of pipelines, steps and runs."""

from __future__ import annotations

import argparse
import builtins
import os
import re
from collections.abc import Callable, Iterable
from typing import Any

from IPython.core.completer import SimpleCompletion, context_matcher

from ..client import Client
from ..runs import Run
from ..store import location
from .pipeline import Pipelines
from .tool import OF_GC

_LINE = re.compile(r"\s*(%%(?:pipeline|step|combine)|%fanlab)\s+(.*)", re.DOTALL)
MOST_RUNS = 50


class Completion:
    """What completes the lines of one shell's magics."""

    def __init__(self, magics: Any) -> None:
        self._magics = magics
        self._pipelines: Pipelines = magics.pipelines

        @context_matcher(identifier="fanlab")  # type: ignore[untyped-decorator]
        def match(context: Any) -> dict[str, Any]:
            try:
                fragment, found = self.complete(context.full_text, context.cursor_line, context.cursor_position)
            except Exception:  # noqa: BLE001 (a store that cannot be read, say: typing goes on)
                return {"completions": []}
            completions = [SimpleCompletion(text=text, type=kind) for text, kind in found]
            return {"completions": completions, "suppress": True, "matched_fragment": fragment}

        self.match = match

    def complete(self, text: str, line: int, column: int) -> tuple[str, list[tuple[str, str]]]:
        """The part that is being typed, and what it may become, with its kind."""
        lines = text.split("\n")
        first = next((i for i, one in enumerate(lines) if one.strip()), 0)
        found = _LINE.match(lines[line][:column])
        if found is None or (found[1].startswith("%%") and line != first):
            return "", []
        parser: argparse.ArgumentParser = getattr(self._magics, found[1].strip("%")).parser
        *words, fragment = re.split(r"\s+", found[2])
        typed = _Typed(parser, words)
        option, equals, value = fragment.partition("=")
        if equals and typed.option(option) is not None:
            fragment, offered = value, self._values(typed.option(option), typed)
        elif typed.waiting is not None:
            offered = self._values(typed.waiting, typed)
        elif fragment.startswith("-"):
            offered = [(name, "option") for name in typed.options()]
        else:
            offered = self._values(typed.positional, typed)
            offered = offered or [(name, "option") for name in typed.options() if name.startswith("--")]
        known = {text: kind for text, kind in offered if text.startswith(fragment)}
        return fragment, list(known.items())

    def _values(self, action: argparse.Action | None, typed: _Typed) -> list[tuple[str, str]]:
        """What an option's value, or a positional word, may be."""
        if action is None:
            return []
        if action.choices is not None:
            return [(str(choice), "keyword") for choice in action.choices]
        names: dict[str, Callable[[], Iterable[str]]] = {
            "NAME": lambda: self._pipelines.last_runs() if typed.parser.prog == "%pipeline" else (),
            "PIPELINE": self._known_pipelines,
            "STEP": lambda: self._steps(typed),
            "RUN": lambda: (*self._known_pipelines(), *_stored(lambda c: c._store.run_names(limit=MOST_RUNS))),
            "EXCEPTION": self._exceptions,
        }
        find = names.get(str(action.metavar))
        return [(name, "instance") for name in dict.fromkeys(find())] if find is not None else []

    def _known_pipelines(self) -> Iterable[str]:
        return (*reversed(self._pipelines.last_runs()), *_stored(lambda client: client._store.pipelines()))

    def _steps(self, typed: _Typed) -> Iterable[str]:
        """The steps of the pipeline that the line names, else of the last one."""
        runs = self._pipelines.last_runs()
        name = typed.value("--from") or (typed.words[0] if typed.words else "")
        run: Run | None = runs.get(name) or next(reversed(list(runs.values())), None)
        if typed.value("--from") and name not in runs:
            run = next(iter(_stored(lambda client: [client.get_pipeline(name).last_run])), None)
        if run is None:
            return ()
        nodes = run._record.nodes
        return (*(node.info.step for node in nodes.values()), *nodes)

    def _exceptions(self) -> Iterable[str]:
        spaces = ({**vars(builtins)}, self._magics.shell.user_ns)
        return [n for space in spaces for n, v in space.items() if isinstance(v, type) and issubclass(v, Exception)]


class _Typed:
    """The words before the one that is being typed."""

    def __init__(self, parser: argparse.ArgumentParser, words: list[str]) -> None:
        self.parser = parser
        self.words: list[str] = []  # those that are no options nor their values
        self._given: dict[str, str] = {}
        self.waiting: argparse.Action | None = None  # the option whose value comes next
        for word in filter(None, words):
            if self.waiting is not None:
                self._given[self.waiting.option_strings[-1]], self.waiting = word, None
                continue
            name, equals, value = word.partition("=")
            action = self.option(name)
            if action is None:
                self.words.append(word)
                continue
            self._given[action.option_strings[-1]] = value
            if action.nargs is None and not equals:
                self.waiting = action

    def option(self, name: str) -> argparse.Action | None:
        """The option of this name."""
        return next((action for action in self.parser._actions if name in action.option_strings), None)

    def options(self) -> list[str]:
        """The options that have not been given yet."""
        actions = [action for action in self.parser._actions if action.option_strings]
        if self.parser.prog == "fanlab" and self.words[:1] != ["gc"]:
            actions = [action for action in actions if action.dest not in OF_GC]
        return [name for a in actions if a.option_strings[-1] not in self._given for name in a.option_strings]

    def value(self, option: str) -> str:
        """What an option has been given, or ""."""
        return self._given.get(option, "")

    @property
    def positional(self) -> argparse.Action | None:
        """What the next word that is no option is."""
        left = [action for action in self.parser._actions if not action.option_strings]
        if self.parser.prog == "fanlab" and self.words[:1] == ["gc"]:
            return None
        return left[len(self.words)] if len(self.words) < len(left) else None


def _stored(find: Callable[[Client], Iterable[Any]]) -> Iterable[Any]:
    """What the store has; nothing where there is none yet, which is not made for this."""
    return find(Client()) if os.path.isdir(location.current()) else ()
