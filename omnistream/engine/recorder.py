"""What a worker needs of whoever keeps its run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from omnistream.coded import Coded
from omnistream.flow.cell import Cell, Firing
from omnistream.message import Message

__all__ = ["Recorder"]


class Recorder(Protocol):
    """What keeps a run while it goes on (record/part.py); each call returns when the row is safe."""

    def message(
        self, message: Message[Any], bound_ns: int | None, clock_source: str, *, tap: bool = False, coded: Coded | None = None
    ) -> None: ...

    def taps(self, stream: str) -> bool: ...

    def began(self, start_ns: int) -> None: ...

    def opened(self, node: str) -> None: ...

    def fired(self, cell: Cell, firing: Firing, outs: Sequence[tuple[str, int, int]], fate: str) -> None: ...

    def more(self, node: str, outs: Sequence[tuple[str, int, int]]) -> None: ...

    def ended(self, node: str, fate: str) -> None: ...

    def consumed(self, cell: Cell, firing: Firing, fate: str, chain: bytes, void: Sequence[int]) -> None: ...

    def chain(self, sink: str) -> bytes: ...

    def close(self) -> None: ...
