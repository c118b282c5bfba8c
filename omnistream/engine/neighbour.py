"""Edges within one worker: crossing is a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from omnistream.engine.hosted import Hosted
from omnistream.flow.edge import Edge
from omnistream.flow.port import InEdge, Port
from omnistream.flow.token import Ack
from omnistream.message import Message

if TYPE_CHECKING:
    from omnistream.engine.source import SourceHost
    from omnistream.engine.worker import Worker

__all__ = ["LocalBack", "LocalLink"]

Adapt = Callable[[Message[Any]], Message[Any]]


class LocalLink:
    """The way from an edge to its receiver on the same worker: a call. `adapt` gives it arrays or tensors, as it takes them."""

    __slots__ = ("adapt", "clock", "edge", "hosted", "port", "timed", "wake")

    def __init__(self, worker: Worker, hosted: Hosted, port: Port, edge: InEdge, adapt: Adapt | None) -> None:
        self.hosted, self.port, self.edge = hosted, port, edge
        self.adapt = adapt
        self.wake, self.clock = worker.wake, worker.clock
        self.timed = not hosted.simple and not worker.options.fresh

    def message(self, message: Message[Any], bound: int, ack: Ack | None) -> None:
        if self.adapt is not None:
            message = self.adapt(message)
        self.port.receive(self.edge, message, bound, ack, self.clock.now() if self.timed else 0)
        hosted = self.hosted
        if not hosted.queued:
            self.wake(hosted)

    def bound(self, bound: int) -> None:
        self.edge.told(bound)
        self.wake(self.hosted)


class LocalBack:
    """The way from a receiving end to its sender on the same worker."""

    __slots__ = ("edge", "owner")

    def __init__(self, edge: Edge, owner: Hosted | SourceHost) -> None:
        self.edge, self.owner = edge, owner

    def credit(self, n: int) -> None:
        edge = self.edge
        edge.credits += n
        if edge.pending:
            edge.flush()

    def need(self, t: int) -> bool:
        return self.owner.need(self.edge, t)
