"""Bars in a terminal for what takes minutes, one for each thing that is done."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

__all__ = ["Told", "bars"]

#: Gets what is done, how much, of how much, and a note.
Told = Callable[[str, int, int, str], None]


@contextmanager
def bars(console: Any) -> Generator[Told, None, None]:
    """Bars on a `rich.console.Console` for as long as it lasts; a thing that is told for the first time gets one."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, TextColumn("{task.fields[note]}"), console=console) as bar:
        tasks: dict[str, Any] = {}

        def told(what: str, done: int, of: int, note: str = "") -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=of, note="")
            bar.update(tasks[what], completed=done, total=of, note=note)

        yield told
