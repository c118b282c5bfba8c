"""``omnistream top``: a running graph on the whole screen, with keys as htop has; without a terminal, a page of text."""

from __future__ import annotations

import contextlib
import os
import select
import sys
from collections.abc import Callable, Generator
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from omnistream.cli.attach import AddressOption, RunArgument, the_run
from omnistream.cli.screen import screen
from omnistream.cli.sentence import sentences
from omnistream.clock import pause
from omnistream.observe.board import Board

__all__ = ["top"]

_EVERY_S = 0.5
_KEYS = "q quit   n nodes   e edges   s sort   p pause"


@sentences
def top(
    run: RunArgument = "",
    once: Annotated[bool, typer.Option("--once", help="Show it once, and end.")] = False,
    address: AddressOption = None,
) -> None:
    """Watch a running graph: nodes or edges, with rates, times, ages, what is left of the budget, and losses.

    Keys: q quit, n nodes, e edges, s sort by the next column, p pause. The watching ends, the run goes on.
    """
    from omnistream.errors import OmniStreamError

    ask, view = the_run(run, address)
    console, board = screen(), Board()
    board.see(view)
    if once or not console.is_terminal:
        pause(_EVERY_S)
        board.see(ask({"ask": "view"}))
        console.print(board.show())
        return
    try:
        _watch(console, board, lambda: ask({"ask": "view"}))
    except (KeyboardInterrupt, OSError):  # or there is no terminal any more to show it on
        return
    except OmniStreamError:
        console.print("the run has ended")


def _watch(console: Console, board: Board, look: Callable[[], dict[str, Any]]) -> None:
    with _keys() as pressed, Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(Group(board.show(max(3, console.height - 8)), Text(_KEYS, "dim")), refresh=True)
            for key in pressed(_EVERY_S):
                if key == "q":
                    return
                _obey(board, key)
            board.see(look())


def _obey(board: Board, key: str) -> None:
    if key in "ne":
        board.turn("nodes" if key == "n" else "edges")
    elif key == "s":
        board.sort()
    elif key == "p":
        board.paused = not board.paused


@contextlib.contextmanager
def _keys() -> Generator[Callable[[float], str]]:
    """A function that waits so long for keys, and gives those that were pressed; the terminal is as it was afterwards."""
    import termios
    import tty

    try:
        fd = sys.stdin.fileno()
        before = termios.tcgetattr(fd)
        tty.setcbreak(fd, termios.TCSADRAIN)
    except (OSError, ValueError, termios.error):  # no terminal to read from
        yield lambda seconds: pause(seconds) or ""
        return

    def pressed(seconds: float) -> str:
        ready, _, _ = select.select([fd], [], [], seconds)
        if not ready:
            return ""
        with contextlib.suppress(OSError):
            if said := os.read(fd, 64):
                return said.decode("ascii", "ignore").lower()
        return "q"  # nobody looks any more: the terminal is gone, and would be ready for ever

    try:
        yield pressed
    finally:
        with contextlib.suppress(termios.error):
            termios.tcsetattr(fd, termios.TCSADRAIN, before)
