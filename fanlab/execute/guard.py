"""Whether a script may start processes that import it: its main guard."""

from __future__ import annotations

import ast
import os
import sys
import threading
from types import FrameType

from ..errors import NotAvailable
from ..place import Place

_GUARD = 'if __name__ == "__main__":'


def need_guard() -> None:
    """Raises NotAvailable in a script whose main program is not guarded: each worker would run the script again."""
    main = sys.modules.get("__main__")
    path = getattr(main, "__file__", None)
    if path is None or not os.path.isfile(path) or hasattr(main, "get_ipython"):
        return
    line = _line_of(path)
    with open(path, encoding="utf-8", errors="replace") as file:
        source = file.read()
    if line is None or is_guarded(source, line):
        return
    raise NotAvailable(
        "a local Dask cluster starts processes that import this script, and would run it again in each of them",
        str(Place(path, line)),
        f"""put what the script does under '{_GUARD}', or use backend="loky", which needs no guard""",
    )


def is_guarded(source: str, line: int) -> bool:
    r"""Whether a line of a script is under an `if` that asks for the name of the module.

    >>> is_guarded('if __name__ == "__main__":\n    run()', 2)
    True
    >>> is_guarded('run()', 1)
    False
    """
    try:
        tree = ast.parse(source)
    except SyntaxError:  # not Python: nothing that a worker could import
        return True
    return any(
        isinstance(node, ast.If)
        and node.lineno <= line <= (node.end_lineno or node.lineno)
        and any(isinstance(found, ast.Name) and found.id == "__name__" for found in ast.walk(node.test))
        for node in tree.body
    )


def _line_of(path: str) -> int | None:
    """The line that the main program has got to, None if it is not running."""
    frame: FrameType | None = sys._current_frames().get(threading.main_thread().ident or 0)
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") == "__main__":
            return frame.f_lineno if frame.f_code.co_filename == path else None
        frame = frame.f_back
    return None
