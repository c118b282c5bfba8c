"""The two ends of an edge between workers: what its sender knows of its receiver, and what that is told."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from omnistream.flow.cell import OutPort
from omnistream.flow.edge import Edge
from omnistream.flow.port import InEdge, Port
from omnistream.flow.rank import FLOW
from omnistream.flow.token import Ack
from omnistream.link.batch import MOST_ENDED
from omnistream.message import INFINITY, Message

if TYPE_CHECKING:
    from omnistream.engine.exchange import Exchange
    from omnistream.engine.hosted import Hosted
    from omnistream.engine.neighbour import Adapt

__all__ = ["Arrived", "Inbound", "Outbound", "RemoteLink", "Said"]

#: Acknowledgements that follow each other: of which seq on, how many, and how they have ended.
Run = tuple[int, int, str]
#: What a receiver says of an edge: next seq, received, uncredited, fates, bound, whether it was told the end.
Said = tuple[int, int, int, Mapping[str, int], int, bool]


class RemoteLink:
    """The way from an edge to its receiver on another worker.

    `adapt` makes arrays of tensors; where `lends` is set and memory can be shown to the peer, they are lent instead.
    `alone`: no other edge of the stream leaves the worker.
    """

    def __init__(
        self, exchange: Exchange, peer: str, number: int, wants_ack: bool, adapt: Adapt | None, lends: bool, alone: bool,
        rank: int = FLOW,
    ) -> None:  # fmt: skip
        self.lends = lends
        self.rank = FLOW if lends else rank  # what is lent stays in order with the words about it
        self.put = exchange.send if alone else exchange.put
        if lends:
            exchange.borrowers.add(peer)
        self.exchange, self.peer, self.number, self.wants_ack, self.adapt = exchange, peer, number, wants_ack, adapt

    def message(self, message: Message[Any], bound: int, ack: Ack | None) -> None:
        del ack  # kept in Edge.unacked
        if self.adapt is not None and message.packed is None:  # it may have tensors
            loans = self.exchange.loans if self.lends else None
            message = (loans and loans.lend(self.peer, self.number, message)) or self.adapt(message)
        self.put(self.peer, ("m", self.number, bound, self.wants_ack, message), self.rank)

    def bound(self, bound: int) -> None:
        self.exchange.put(self.peer, ("b", self.number, bound), self.rank)


class Inbound:
    """The receiving end of one remote edge, and its way back. `adapt` makes tensors of arrays where the node takes them.

    Credits, and which messages have `ended`, gather until the batch goes.
    """

    __slots__ = (
        "adapt", "credits", "edge", "ended", "exchange", "hosted", "number", "peer", "port", "progress", "rank", "seen",
        "tracked",
    )  # fmt: skip

    def __init__(
        self, exchange: Exchange, peer: str, number: int, edge: InEdge, port: Port, hosted: Hosted, tracked: bool,
        adapt: Adapt | None, rank: int = FLOW,
    ) -> None:  # fmt: skip
        self.exchange, self.number, self.adapt, self.rank = exchange, number, adapt, rank
        self.peer, self.edge, self.port, self.hosted, self.tracked = peer, edge, port, hosted, tracked
        self.seen: OrderedDict[Any, Arrived | str] = OrderedDict()  # what is not over yet, or how it ended
        self.progress: tuple[int, int] = (-1, -1)
        self.credits = 0
        self.ended: list[Run] = []

    def credit(self, n: int) -> None:
        self.credits += n
        self.exchange.schedule()

    def need(self, t: int) -> bool:
        self.exchange.put(self.peer, ("n", self.number, t), self.rank)
        return False

    def acknowledge(self, seq: int, fate: str) -> None:
        """A message has ended. Those that follow each other and have ended in the same way go together."""
        if self.ended:
            first, count, last = self.ended[-1]
            if first + count == seq and last == fate and count < MOST_ENDED:
                self.ended[-1] = (first, count + 1, fate)
                return
        self.ended.append((seq, 1, fate))
        self.exchange.schedule()

    def gathered(self, *, greeted: bool) -> list[tuple[Any, ...]]:
        """What the sender is to be told now. It is given once."""
        items: list[tuple[Any, ...]] = []
        if self.tracked and greeted:
            progress = (self.hosted.passed(), self.edge.next_seq)
            if progress != self.progress:
                self.progress = progress
                items.append(("p", self.number, *progress))
        if self.ended:
            items += [("a", self.number, *run) for run in self.ended]
            self.ended = []
        if self.credits:
            items.append(("c", self.number, self.credits, dict(self.edge.fates)))
            self.credits = 0
        return items


class Arrived:
    """A message that its sender wants acknowledged: called once, with how it has ended.

    Its origin is kept, so that a second execution of its cause is known (rule 24); those who sent that are told the same.
    """

    __slots__ = ("_again", "_entry", "_origin", "_seq")

    def __init__(self, entry: Inbound, message: Message[Any]) -> None:
        self._entry, self._seq, self._origin = entry, message.seq, message.origin
        self._again: list[int] | None = None

    def __call__(self, fate: str) -> None:
        entry = self._entry
        if entry.seen.get(self._origin) is self:
            entry.seen[self._origin] = fate
        entry.acknowledge(self._seq, fate)
        for seq in self._again or ():
            entry.acknowledge(seq, fate)

    def came_again(self, seq: int) -> None:
        self._again = [*(self._again or ()), seq]


class Outbound:
    """The sending end of one remote edge, and what its receiver has said of itself."""

    __slots__ = ("beyond", "edge", "out", "owner", "peer", "said")

    def __init__(self, peer: str, edge: Edge, out: OutPort, owner: Any) -> None:
        self.peer, self.edge, self.out, self.owner = peer, edge, out, owner
        self.beyond = INFINITY
        self.said: Said | None = None
