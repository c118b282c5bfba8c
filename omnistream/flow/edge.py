"""The sending end of an edge: policy, credits, bound, and the fate of every message (DESIGN section 4).

The policy acts on what is pending here, so that what is old never crosses. A message crosses against a credit.
Where the receiver is in the same worker, `link` is the receiving end itself and crossing is a call.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from omnistream.flow.config import Queue
from omnistream.flow.policy import POLICIES
from omnistream.flow.token import Ack
from omnistream.message import INFINITY, Message
from omnistream.tensor import ARRAY_FIELDS

__all__ = ["Account", "Edge", "EdgeLink", "LostCallback", "nbytes"]

#: The order in which reported fates are taken back when the messages are sent again.
_ENDINGS = ("consumed", "skipped", "read", "superseded")
#: A receiver that is forced at each firing asks at each; beside a sender that hangs, the first and the last are enough.
_MOST_ASKS = 256


@dataclass(frozen=True, slots=True)
class Account:
    """What an edge had come to when its sender, dead by now, last told of it: of what it `sent`, the fates of those that had
    ended `before` this life of the receiver or at the sender, and those `reported` by life `life` of the receiver."""

    sent: int = 0
    before: Mapping[str, int] = field(default_factory=dict)
    reported: Mapping[str, int] = field(default_factory=dict)
    life: int = 0


class EdgeLink(Protocol):
    """How an edge reaches its receiver."""

    def message(self, message: Message[Any], bound: int, ack: Ack | None) -> None: ...

    def bound(self, bound: int) -> None: ...


def nbytes(payload: Any) -> int:
    """The size of a payload's arrays, in bytes."""
    return sum(getattr(getattr(payload, name), "nbytes", 0) for name in ARRAY_FIELDS.get(type(payload), ()))


#: Called as (edge, message or None, reason, how many) for messages that end at the sender.
LostCallback = Callable[["Edge", Message[Any] | None, str, int], None]


class Edge:
    """One stream's way to one port. `sent` counts what was offered, in all lives of the sender; `crossed` what left, in this
    life of the receiver, which is the one numbered `life`. `earlier` is the account of the sender's earlier lives, until it
    is taken over."""

    __slots__ = (
        "_limit", "acked", "asks", "beyond", "capacity", "credits", "crossed", "droppable", "earlier", "fates", "flight",
        "in_flight", "key", "life", "link", "lost", "newest", "pending", "queue", "ready", "remote", "reported",
        "resend_newest", "sent", "stream_bound", "tracked", "transit", "unacked", "wake",
    )  # fmt: skip

    def __init__(self, key: str, queue: Queue, *, fresh: bool, lost: LostCallback) -> None:
        self.key = key
        self.queue = queue
        self.droppable = queue.droppable and not fresh
        self.capacity, self._limit = POLICIES[queue.policy].room(queue.n, fresh=fresh)
        self.credits = self.capacity
        self.pending: deque[tuple[Message[Any], Ack | None]] = deque()
        self.lost = lost
        self.link: EdgeLink | None = None
        self.remote = False
        self.ready = True
        self.wake: Callable[[], None] = lambda: None
        self.stream_bound = 0
        self.asks: list[int] = []
        self.sent = self.crossed = self.acked = self.life = 0
        self.earlier: Account | None = None
        self.fates: Counter[str] = Counter()
        self.reported: Mapping[str, int] = {}
        self.unacked: dict[int, tuple[Message[Any], Ack | None]] = {}
        self.newest: Message[Any] | None = None
        self.resend_newest = False
        self.tracked = False
        self.in_flight = 0
        self.flight: deque[int] = deque()
        self.beyond: Callable[[], int] = lambda: INFINITY
        self.transit: deque[tuple[int, int]] = deque()

    @property
    def room(self) -> bool:
        """Whether a firing may emit here (rule 15): always on a droppable edge, else nothing is pending."""
        return self.droppable or not self.pending

    @property
    def bound(self) -> int:
        """No message that is still to cross is stamped below this (rule 17)."""
        return min(self.stream_bound, self.pending[0][0].stamp_ns) if self.pending else self.stream_bound

    def admit(self, stamp_ns: int, passed: int) -> bool:
        """Whether one more message may be in flight on this edge of a source (rule 20)."""
        if not self.in_flight:
            return True
        while self.flight and self.flight[0] < passed:
            self.flight.popleft()
        if len(self.flight) >= self.in_flight:
            return False
        self.flight.append(stamp_ns)
        return True

    def refuse(self, message: Message[Any], reason: str) -> None:
        """Lose a message before it is queued."""
        self.sent += 1
        self.fates[reason] += 1
        self.lost(self, message, reason, 1)

    def offer(self, message: Message[Any], ack: Ack | None) -> None:
        """Send, or queue by the policy. `ack` is called when the message's effects have ended (block edges only)."""
        self.sent += 1
        if self.credits > 0 and not self.pending and self.ready:
            self._cross(message, ack)
            return
        pending = self.pending
        pending.append((message, ack))
        while self.droppable and (len(pending) > self._limit or self._bytes() > self.queue.max_bytes):
            self.drop_first("dropped")
        if self.asks:
            self.answer()

    def _bytes(self) -> int:
        return sum(nbytes(m.payload) for m, _ in self.pending) if len(self.pending) > 1 else 0

    def drop_first(self, reason: str) -> None:
        """Lose the oldest pending message, and tell who waits for the bound that it held back."""
        message, ack = self.pending.popleft()
        self.fates[reason] += 1
        self.lost(self, message, reason, 1)
        if ack is not None:
            ack(reason)
        self.answer()

    def _cross(self, message: Message[Any], ack: Ack | None) -> None:
        self.credits -= 1
        self.crossed += 1
        if self.remote:
            if not self.queue.droppable:
                self.unacked[message.seq] = (message, ack)
            self.newest = message
            if self.tracked:
                self.transit.append((message.seq, message.stamp_ns))
        bound = self.pending[0][0].stamp_ns if self.pending else self.stream_bound
        if bound <= message.stamp_ns:
            bound = message.stamp_ns + 1
        if self.asks:  # the bound that rides on the message answers them
            self.asks = [t for t in self.asks if t >= bound]
        self.link.message(message, bound, ack)  # type: ignore[union-attr]

    def credit(self, n: int) -> None:
        """The receiver has room for `n` more; what is pending goes."""
        self.credits += n
        self.flush()

    def flush(self) -> None:
        """Send what is pending as far as there is credit, then let the sender fire, or answer who waits for a bound."""
        if not self.ready:
            return
        had = bool(self.pending)
        while self.pending and self.credits > 0:
            self._cross(*self.pending.popleft())
        if had:
            self.answer()
            if not self.pending:
                self.wake()

    def expire(self, now: int) -> None:
        """Lose pending payloads that are past their `valid_until_ns`, even on a block edge (rule 18)."""
        if any(getattr(m.payload, "valid_until_ns", INFINITY) < now for m, _ in self.pending):
            kept: deque[tuple[Message[Any], Ack | None]] = deque()
            for item in self.pending:
                if getattr(item[0].payload, "valid_until_ns", INFINITY) < now:
                    self.fates["expired"] += 1
                    self.lost(self, item[0], "expired", 1)
                    if item[1] is not None:
                        item[1]("expired")
                else:
                    kept.append(item)
            self.pending = kept
            self.answer()

    def need(self, t: int) -> bool:
        """The receiver waits for a bound above `t`. True if it was told one at once."""
        if t not in self.asks:
            self.asks.append(t)
            del self.asks[_MOST_ASKS // 2 : -_MOST_ASKS // 2]
        return self.answer() and t not in self.asks

    def answer(self) -> bool:
        """Send a bare bound if one was asked for and is known, or if the stream has ended (rule 21).

        Every need is kept apart: in a cycle, an answer to a small one is what the answer to a larger one waits for.
        """
        bound = self.bound
        if not self.ready or not (bound >= INFINITY or (self.asks and min(self.asks) < bound)):
            return False
        self.asks = [t for t in self.asks if t >= bound]
        self.link.bound(bound)  # type: ignore[union-attr]
        return True

    def acknowledge(self, seq: int, fate: str) -> None:
        """The receiver has ended with a message of a block edge, and so has everything that it caused."""
        item = self.unacked.pop(seq, None)
        self.acked += 1
        if item is not None and item[1] is not None:
            item[1](fate)

    def receiver_lost(self) -> None:
        """The receiver's worker died; until it is back everything waits here, under the policy."""
        self.ready = False
        self.asks = []

    def receiver_back(self) -> None:
        """A new incarnation of the receiver is there, with nothing in its memory (rule 25).

        Unacknowledged messages are sent again, and a `latest` edge's newest. What had been reported keeps its fate
        unless it is sent again; everything else that had crossed is lost by the crash.
        """
        self._take_over(0, same=False)
        again = list(self.unacked.values())
        if self.resend_newest and self.newest is not None and self.newest.seq not in self.unacked and self.crossed:
            again.append((self.newest, None))
        fates = Counter(self.reported)
        keep = self.crossed - len(again)
        _cut(fates, keep)
        self.fates.update(fates)
        self._gone(keep - sum(fates.values()))
        self.reported = {}
        self.crossed = 0
        self.unacked = {}
        self.transit.clear()
        self.credits = self.capacity
        self.pending.extendleft(reversed(again))
        self.ready = True
        self.flush()
        self.answer()

    def resume(self, sent: int, received: int, queued: int, fates: Mapping[str, int], bound: int) -> None:
        """This sender was restarted: go on where the receiver, which lived, says that it stands (rule 24).

        `sent` is the stream's next seq, `received` and `fates` what the receiver has counted in this life of it.
        """
        self.sent = sent
        self.crossed = received
        self.reported = fates
        self.credits = self.capacity - queued
        self.stream_bound = max(self.stream_bound, bound)
        self.earlier = self.earlier or Account()
        self._take_over(received, same=self.earlier.life == self.life)
        self.ready = True

    def begin_again(self) -> None:
        """Both ends of this edge were restarted with their worker."""
        self._take_over(0, same=False)

    def _take_over(self, received: int, *, same: bool) -> None:
        """Go on with the account of the sender's earlier lives: what had not ended, as far as it was told, is lost with them.

        `same`: the receiver lives in the life in which it had reported, and has counted that among the `received`.
        """
        earlier, self.earlier = self.earlier, None
        if earlier is None:
            return
        fates = Counter(earlier.before)
        if not same:
            fates.update(earlier.reported)
        self.sent = max(self.sent, earlier.sent)
        _cut(fates, self.sent - received)  # what was reported, and came again to the receiver's next life
        self.fates.update(fates)
        self._gone(self.sent - received - sum(fates.values()))

    def missed(self, seq: int) -> None:
        """The stream goes on at `seq`, though this edge is not known to have been given all before it."""
        gone, self.sent = seq - self.sent, max(seq, self.sent)
        self._gone(gone)

    def _gone(self, count: int) -> None:
        if count > 0:
            self.fates["crash"] += count
            self.lost(self, self.newest, "crash", count)

    def account(self) -> Account:
        """What a next life of the sender is to know of this one."""
        return Account(self.sent, dict(self.fates), dict(self.reported), self.life)

    def counts(self) -> dict[str, Any]:
        """sent = every fate + held + pending, whenever the receiver has told all it knows (rule 19)."""
        fates = Counter(self.fates)
        fates.update(self.reported)
        held = self.crossed - sum(self.reported.values())
        return {"sent": self.sent, "pending": len(self.pending), "held": held, "fates": {k: v for k, v in fates.items() if v}}

    def load(self) -> dict[str, int]:
        """The size of what is pending, and what may still cross."""
        return {"bytes": sum(nbytes(m.payload) for m, _ in self.pending), "credits": self.credits}


def _cut(fates: Counter[str], most: int) -> None:
    """Take back as many as there are above `most`."""
    for fate in (*_ENDINGS, *list(fates)):
        fates[fate] -= min(fates[fate], max(0, sum(fates.values()) - most))
