"""One node as the event-time rules see it: its candidate, whether it is settled, its frontier, and what a firing reads.

A `Cell` is a pure state machine. It never runs a step; the worker does, between `begin` and `end`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omnistream.flow.edge import Edge
from omnistream.flow.history import HistoryPort
from omnistream.flow.port import InEdge, Item, Port
from omnistream.flow.token import Ack, Token
from omnistream.message import INFINITY, Message, Origin

__all__ = ["Cell", "Firing", "OutPort"]


class OutPort:
    """One output stream: its next seq, its bound, and the edges that carry it."""

    __slots__ = ("bound", "edges", "epoch", "name", "seq", "stream")

    def __init__(self, name: str, stream: str, epoch: int) -> None:
        self.name, self.stream, self.epoch = name, stream, epoch
        self.seq = 0
        self.bound = 0
        self.edges: list[Edge] = []

    def room(self) -> bool:
        """Whether a message may be sent (rule 15)."""
        for edge in self.edges:  # noqa: SIM110  a generator costs twice as much, on every message
            if not edge.droppable and edge.pending:
                return False
        return True

    def raise_bound(self, bound: int) -> None:
        """No later message will be stamped below `bound`; receivers that wait for it are told."""
        if bound > self.bound:
            self.bound = bound
            for edge in self.edges:
                edge.stream_bound = bound
                if edge.asks or bound >= INFINITY:
                    edge.answer()

    def send(self, message: Message[Any], token: Token | None, settled: Ack | None = None) -> None:
        """Put `message` on every edge together (rule 15); its stamp raises the bound."""
        self.seq += 1
        self.bound = message.stamp_ns + 1
        for edge in self.edges:
            edge.stream_bound = self.bound
            hold = None
            if token is not None and not edge.queue.droppable:
                hold = token.hold()
            edge.offer(message, hold if settled is None else settled)


class Firing:
    """What one firing read, and what its outputs inherit (rules 10 and 24).

    `answer` is what the sender of its command is told, if not "done"; `variant` how its step was to be done.
    """

    __slots__ = (
        "acks", "answer", "args", "cause", "deadline", "droppable", "each",
        "items", "lineage", "number", "origin", "t", "token", "variant",
    )  # fmt: skip

    def __init__(self, t: int) -> None:
        self.t = t
        self.args: dict[str, Any] = {}
        self.items: list[tuple[Port, list[Item]]] = []
        self.each: list[InEdge] = []
        self.acks: list[Ack] = []
        self.token: Token | None = None
        self.cause = self.deadline = 0
        self.lineage: Mapping[str, int] = {}
        self.origin: Origin | None = None
        self.number: dict[str, int] = {}
        self.droppable = False
        self.answer = self.variant = ""


class Cell:
    """`ports` in the order of the step's parameters; `outs` by output name."""

    def __init__(self, name: str, ports: list[Port], outs: dict[str, OutPort], budget_ns: int) -> None:
        self.name = name
        self.ports = ports
        self.outs = outs
        self.budget = budget_ns
        self.triggers = [p for p in ports if p.triggers]
        self.histories = [p for p in ports if isinstance(p, HistoryPort)]
        self.urgent = [p for p in ports if p.config.urgent]
        self.simple = len(ports) == 1 and ports[0].config.take == "each" and len(ports[0].edges) == 1
        self.out_edges: list[Edge] = []
        self.firing: Firing | None = None

    # -- settling ----------------------------------------------------------------------------------

    def candidate(self) -> int:
        least = INFINITY
        for port in self.triggers:
            t = port.candidate()
            if t < least:
                least = t
        return least

    def frontier(self) -> int:
        """The least stamp at which this node may still fire (rule 5)."""
        if self.firing is not None:
            return self.firing.t
        least = INFINITY
        for port in self.triggers:
            at = port.frontier()
            if at < least:
                least = at
        return least

    def lagging(self, t: int) -> list[tuple[Port, list[InEdge]]]:
        """Which edges of which ports keep the firing at t from being settled (rule 7)."""
        return [(p, late) for p in self.ports if (late := p.lagging(t))]

    def hurried(self) -> bool:
        """Whether an urgent port has something, which forces all others (rule 14)."""
        return any(p.candidate() < INFINITY for p in self.urgent)

    def force_time(self, t: int, port: Port) -> int:
        """When `port` may be forced for the firing at t: its `wait` after the trigger's arrival (rule 11)."""
        if port.config.wait_ns >= INFINITY:
            return INFINITY
        arrivals = [a for p in self.triggers if (a := p.trigger_arrival(t)) is not None]
        return (min(arrivals) if arrivals else 0) + port.config.wait_ns

    def room(self) -> bool:
        """Whether a firing may emit (rule 15)."""
        for edge in self.out_edges:  # noqa: SIM110  a generator costs twice as much, on every firing
            if not edge.droppable and edge.pending:
                return False
        return True

    # -- firing ------------------------------------------------------------------------------------

    def begin(self, t: int) -> Firing:
        """Take what the firing at t reads. The caller has made sure that t is the candidate and is settled."""
        firing = self.firing = Firing(t)
        if self.simple:
            return self._begin_simple(firing)
        return self.inherit(firing, [(p, p.take(t)) for p in self.ports])

    def inherit(self, firing: Firing, taken: list[tuple[Port, list[Item] | None]]) -> Firing:
        """Make of what each port gave the step's arguments, and what the outputs inherit: cause, lineage, origin (rule 10)."""
        t = firing.t
        cause: int | None = None
        lineage: dict[str, int] | Mapping[str, int] | None = None
        droppable = True
        for port, items in taken:
            firing.args[port.config.name] = port.value(items, t)
            if not items:
                continue
            firing.items.append((port, items))
            for item in items:
                other = item.message.lineage
                if lineage is None or lineage is other:
                    lineage = other
                else:
                    joined = dict(lineage)
                    for stream, stamp in other.items():
                        if stamp > joined.get(stream, -1):
                            joined[stream] = stamp
                    lineage = joined
            if not port.triggers:
                continue
            if port.config.take == "each":
                firing.each.append(items[0].edge)
            block = not port.config.queue.droppable
            droppable = droppable and not block
            newest = items[0].message if len(items) == 1 else max(items, key=lambda i: i.stamp).message
            if cause is None or newest.cause_ns < cause:
                cause = newest.cause_ns
            if block and firing.origin is None:
                window = (t,) if port.config.take == "window" else ()
                firing.origin = (port.config.name, newest.origin, *window)
            firing.acks += port.acks(items)
        firing.cause = t if cause is None else cause
        firing.deadline = firing.cause + self.budget
        firing.lineage = lineage or {}
        firing.droppable = droppable
        if firing.acks:
            firing.token = Token(firing.acks)
        return firing

    def _begin_simple(self, firing: Firing) -> Firing:
        """The same for a node with one stream, whose next message is all there is to read: the hot path."""
        port = self.ports[0]
        edge = port.edges[0]
        item = edge.items.popleft()
        message = item.message
        firing.args[port.config.name] = message if port.form == "message" else message.payload
        firing.items.append((port, [item]))
        firing.each.append(edge)
        firing.cause = message.cause_ns
        firing.deadline = message.cause_ns + self.budget
        firing.lineage = message.lineage
        if edge.block:
            firing.origin = (port.config.name, message.origin)
        else:
            firing.droppable = True
        if item.ack is not None:
            firing.token = Token([item.ack])
        return firing

    def message(self, out: str, payload: Any, start_ns: int | None = None) -> Message[Any]:
        """The next message of an output, of the current firing, stamped and named (rules 9 and 24)."""
        firing = self.firing
        assert firing is not None
        port = self.outs[out]
        stamp = firing.t if firing.t > port.bound else port.bound
        if firing.origin is None:
            origin: Origin = (port.stream, port.epoch, port.seq)
        else:
            k = firing.number.get(out, 0)
            firing.number[out] = k + 1
            origin = (port.stream, *firing.origin, k)
        return Message(
            port.stream, port.epoch, port.seq, origin, stamp, firing.cause, firing.deadline, firing.lineage, payload, start_ns
        )

    def send(self, out: str, message: Message[Any]) -> None:
        """Put it on all edges of the output."""
        assert self.firing is not None
        self.outs[out].send(message, self.firing.token)

    def emit(self, out: str, payload: Any, start_ns: int | None = None) -> Message[Any]:
        """Both together."""
        message = self.message(out, payload, start_ns)
        self.send(out, message)
        return message

    def end(self, fate: str = "consumed", detail: str = "") -> int:
        """The firing is over: its triggers have their fate and credits go back; how many of them are lost.

        `publish` when no other follows at once.
        """
        firing = self.firing
        assert firing is not None
        self.firing = None
        for edge in firing.each:
            edge.fates[fate] += 1
            edge.back.credit(1)  # type: ignore[union-attr]
        lost = self._lose(firing, fate, detail) if fate != "consumed" else 0
        if firing.token is not None:
            firing.token.release((firing.answer or "done") if fate == "consumed" else fate)
        return lost

    def _lose(self, firing: Firing, fate: str, detail: str) -> int:
        """Give the triggers of a firing that was not stepped, or failed, their place in the ledger."""
        lost = 0
        for port, items in firing.items:
            if not port.triggers:
                continue
            for item in items:
                if port.config.take == "window":
                    if item in port.edges[item.edge.index].items:
                        continue
                    item.edge.fates["consumed"] -= 1
                    item.edge.fates[fate] += 1
                item.edge.lost(item.edge, item.message, fate, detail)
                lost += 1
        return lost

    # -- bounds ------------------------------------------------------------------------------------

    def publish(self) -> int:
        """Let every output's bound follow the frontier (rule 5), which is returned."""
        frontier = self.frontier()
        for out in self.outs.values():
            out.raise_bound(frontier)
        return frontier

    def asked(self, edge: Edge, t: int) -> bool:
        """A receiver of `edge` waits for a bound above t: whether it was told one at once."""
        self.publish()
        if edge.need(t):
            return True
        self.need(t)
        return False

    def need(self, t: int) -> None:
        """Somebody downstream waits for a bound above t: pass it on to triggering inputs that are not there (rule 21)."""
        for port in self.triggers:
            above = port.above(t)
            for edge in port.edges:
                if edge.clear <= above and not (edge.items and port.config.take == "each"):
                    edge.need(above)

    def trim(self) -> None:
        """Keep the histories of a node that seldom fires from growing: its triggers are asked how far they are."""
        for port in self.histories:
            passed = port.trim(self.frontier())
            if passed is not None:
                self.need(passed)

    def ask(self, lagging: list[tuple[Port, list[InEdge]]], t: int) -> None:
        """Ask upstream for the bounds that the firing at t waits for."""
        for port, edges in lagging:
            above = port.above(t)
            for edge in edges:
                edge.need(above)

    @property
    def done(self) -> bool:
        """Nothing can fire any more."""
        return self.firing is None and self.frontier() >= INFINITY

    def passed(self) -> int:
        """No content that descends from a stamp below this is left here or further on (rule 20)."""
        least = self.firing.t if self.firing is not None else INFINITY
        for port in self.triggers:
            least = min(least, port.content())
        for edge in self.out_edges:
            if edge.tracked:
                least = min(least, edge_passed(edge))
        return least


def edge_passed(edge: Edge) -> int:
    """What an edge's sender knows to be finished beyond it: nothing below this is pending, crossing or being worked on."""
    least = edge.pending[0][0].stamp_ns if edge.pending else INFINITY
    if edge.transit:
        least = min(least, edge.transit[0][1])
    return min(least, edge.beyond())
