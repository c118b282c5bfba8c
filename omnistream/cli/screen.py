"""Where commands print."""

from __future__ import annotations

from rich.console import Console

__all__ = ["screen"]

#: Rich takes what is no terminal for one of 80 columns, and would break every longer line of a log.
_COLUMNS = 160


def screen() -> Console:
    """Standard output as it is now: a terminal as wide as it is, a pipe or file with room for whole lines."""
    console = Console()
    return console if console.is_terminal else Console(width=_COLUMNS)
