"""The program `fanlab`. Its commands are in `app`, which is loaded when the program starts, and never by a worker."""

from __future__ import annotations


def main() -> None:
    """Run the program with the words of its command line, and end the process with its exit code."""
    from .app import main

    main()
