"""A firing as an onlooker sees it when it has ended, the same in every kind of replay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from omnistream.flow.cell import Firing
from omnistream.message import Message

__all__ = ["Seen", "Watch", "reads_of", "watch_all"]


@dataclass(slots=True)
class Seen:
    """`reads`: each port that gave something, with its messages. `outs`: what was emitted, of a sink nothing.

    `firing` counts the node's firings of the whole run, from 1 on; 0 where only those that are seen can be counted.
    `fate` is "consumed", or why the firing was not stepped or failed; empty where a live run broke off in it.
    """

    node: str
    role: str
    life: int
    t: int
    reads: Sequence[tuple[str, Sequence[Message[Any]]]]
    outs: list[Message[Any]] = field(default_factory=list)
    fate: str = "consumed"
    firing: int = 0


class Watch(Protocol):
    """Who looks on. When it has seen enough, `over` is true, and the replay ends."""

    over: bool

    def fired(self, seen: Seen) -> None: ...


class _All:
    """Several who look on; it is over when it is for one of them."""

    def __init__(self, watches: Sequence[Watch]) -> None:
        self._watches = watches

    @property
    def over(self) -> bool:
        return any(w.over for w in self._watches)

    def fired(self, seen: Seen) -> None:
        for watch in self._watches:
            watch.fired(seen)


def watch_all(watches: Sequence[Watch]) -> Watch:
    """All of them as one."""
    found: Any = _All(watches)
    return found


def reads_of(firing: Firing) -> list[tuple[str, list[Message[Any]]]]:
    """What a firing took, but for what a sink found expired."""
    return [
        (port.config.name, [item.message for item in items])
        for port, items in firing.items
        if firing.args[port.config.name] is not None
    ]
