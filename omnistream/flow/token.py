"""Acknowledgement that cascades (rule 23): an input is acknowledged when its firing has ended and every effect of it is."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Ack", "Token"]

#: Called once, with "done" or with the reason for which the effect was lost.
Ack = Callable[[str], None]


class Token:
    """One firing's open ends: the firing itself, and every `block` output that is not acknowledged yet."""

    __slots__ = ("_fate", "_open", "_parents")

    def __init__(self, parents: list[Ack]) -> None:
        self._open = 1
        self._fate = "done"
        self._parents = parents

    def hold(self) -> Ack:
        """One more effect to wait for; call the result when it has ended."""
        self._open += 1
        return self.release

    def release(self, fate: str) -> None:
        if fate != "done":
            self._fate = fate
        self._open -= 1
        if not self._open:
            for parent in self._parents:
                parent(self._fate)
