"""``omnistream replay --step``: each firing with its inputs and outputs, one after the other."""

from __future__ import annotations

import signal
import sys
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from omnistream.errors import GraphError
from omnistream.message import INFINITY
from omnistream.observe.brief import at, brief_message

if TYPE_CHECKING:
    from rich.console import Console

    from omnistream.engine.seen import Seen
    from omnistream.message import Message

__all__ = ["Stepper", "check_nodes"]

_HELP = (
    "Enter: the next firing; a node: its next firing; a time such as 3.5s: the first firing from then on; c: all that is left; "
    "q: quit"
)


def check_nodes(names: Sequence[str], known: Collection[str]) -> None:
    """Raises GraphError for what is no node."""
    from omnistream.graph.suggest import did_you_mean

    for name in names:
        if name not in known:
            raise GraphError(f"--node {name}: there is no node '{name}'{did_you_mean(name, known, 'the nodes:')}")


class Stepper:
    """Shows firings. On a terminal it waits after each for what is to be done; otherwise it goes on.

    `nodes`: those that are shown, all if none is named. Times count from `start_ns`.
    """

    def __init__(self, console: Console, nodes: Collection[str], known: Collection[str], start_ns: int) -> None:
        self.over = False
        self._console, self._nodes, self._known, self._start = console, nodes, known, start_ns
        self._asks = console.is_terminal and sys.stdin.isatty()
        self._until_node, self._until_ns = "", -INFINITY
        self._count: Counter[str] = Counter()
        if self._asks:
            self._print(_HELP)

    def fired(self, seen: Seen) -> None:
        self._count[seen.node] = seen.firing or self._count[seen.node] + 1
        if self._nodes and seen.node not in self._nodes:
            return
        if seen.t < self._until_ns or self._until_node not in ("", seen.node):
            return
        for line in self._lines(seen):
            self._print(line)
        if self._asks:
            self._ask()

    def _lines(self, seen: Seen) -> Iterator[str]:
        life = f", life {seen.life}" if seen.life else ""
        fate = "" if seen.fate == "consumed" else f"  [{seen.fate or 'broken off'}]"
        yield f"{at(seen.t, self._start)}  {seen.node}, firing {self._count[seen.node]}{life}{fate}"
        for port, messages in seen.reads:
            yield from self._read(port, messages)
        for message in seen.outs:
            yield f"    gives  {brief_message(message, self._start)}"
        if seen.role != "sink" and not seen.outs:
            yield "    gives  nothing"

    def _read(self, port: str, messages: Sequence[Message[Any]]) -> Iterator[str]:
        """All of a few messages; of many, the first and the last."""
        shown = list(messages) if len(messages) <= 4 else [messages[0], None, messages[-1]]
        for message in shown:
            what = f"... {len(messages) - 2} more" if message is None else brief_message(message, self._start)
            yield f"    reads  {port}: {what}"

    def _ask(self) -> None:
        """What is to be done next. Nothing has a clock here, so whoever thinks may take his time."""
        from omnistream.graph.units import parse_duration

        while True:
            before = signal.signal(signal.SIGINT, signal.default_int_handler)
            try:
                word = input("> ").strip()
            except (EOFError, KeyboardInterrupt):
                word = "q"
            finally:
                signal.signal(signal.SIGINT, before)
            self._until_node, self._until_ns = "", -INFINITY
            if not word:
                return
            if word in (self._nodes or self._known):
                self._until_node = word
            elif word == "q":
                self.over = True
            elif word == "c":
                self._asks = False
            else:
                try:
                    self._until_ns = self._start + parse_duration(word)
                except ValueError:
                    self._print(f"there is no node '{word}', and it is no time. {_HELP}")
                    continue
            return

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
