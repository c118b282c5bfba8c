"""How edges of a simulated run reach their receivers: by a call within a worker, after what the way takes between two."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from omnistream.flow.edge import Edge
from omnistream.flow.port import InEdge, Port
from omnistream.flow.token import Ack
from omnistream.graph.budget.loop import Loop, Pieces
from omnistream.graph.budget.parts import SimNode
from omnistream.graph.budget.sources import SimSource
from omnistream.message import INFINITY, Message

__all__ = ["DirectBack", "DirectLink", "FarBack", "FarLink"]


class DirectLink:
    """Within a worker: crossing is a call."""

    def __init__(self, node: SimNode, port: Port, edge: InEdge) -> None:
        self.node, self.port, self.edge = node, port, edge

    def message(self, message: Message[Any], bound: int, ack: Ack | None) -> None:
        del ack  # a simulation restarts nothing
        self.port.receive(self.edge, message, bound, None, self.node.events.now)
        self.node.wake()

    def bound(self, bound: int) -> None:
        self.edge.told(bound)
        self.node.wake()


class DirectBack:
    def __init__(self, edge: Edge, owner: SimNode | SimSource) -> None:
        self.edge, self.owner = edge, owner

    def credit(self, n: int) -> None:
        self.edge.credits += n
        if self.edge.pending:
            self.edge.flush()

    def need(self, t: int) -> bool:
        return self.owner.need(self.edge, t)


class FarLink:
    """To another worker: in order, each after what the way takes."""

    def __init__(
        self, node: SimNode, port: Port, edge: InEdge, sender: Loop, latency: Callable[[], float], cpu: Callable[[], float]
    ) -> None:
        self.node, self.port, self.edge = node, port, edge
        self.sender, self.latency, self.cpu = sender, latency, cpu
        self.last = 0
        self.under_way: deque[int] = deque()

    def message(self, message: Message[Any], bound: int, ack: Ack | None) -> None:
        del ack
        cost = self.cpu()
        if cost >= 1.0:
            self.sender.call_soon(lambda: _spend(cost))
        self.under_way.append(message.stamp_ns)
        sent = self.node.events.now

        def come() -> Pieces:
            yield cost
            now = self.node.events.now
            self.under_way.popleft()
            self.node.hops[message.stream, message.seq] = now - sent
            self.port.receive(self.edge, message, bound, None, now)
            self.node.wake()

        self._send(come)

    def bound(self, bound: int) -> None:
        def come() -> None:
            self.edge.told(bound)
            self.node.wake()

        self._send(come)

    def _send(self, come: Callable[[], Any]) -> None:
        self.last = max(self.last, self.node.events.now + int(self.latency()))
        self.node.events.at(self.last, lambda: self.node.loop.call_soon(come, woken=True))

    def beyond(self) -> int:
        return min(self.under_way[0] if self.under_way else INFINITY, self.node.passed())


class FarBack:
    """Against an edge, to its sender on another worker."""

    def __init__(self, edge: Edge, owner: SimNode | SimSource, latency: Callable[[], float]) -> None:
        self.edge, self.owner, self.latency = edge, owner, latency

    def credit(self, n: int) -> None:
        self._say(lambda: self.edge.credit(n))

    def need(self, t: int) -> bool:
        def ask() -> None:
            self.owner.need(self.edge, t)

        self._say(ask)
        return False

    def _say(self, what: Callable[[], None]) -> None:
        events = self.owner.events
        events.at(events.now + int(self.latency()), lambda: self.owner.loop.call_soon(what, woken=True))


def _spend(cost: float) -> Pieces:
    yield cost
