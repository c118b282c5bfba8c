"""An edge through any sequence of events: one fate for every seq, order, credits, bounds (rules 15 to 19, 21, 25).

The receiver is a small model of a port: it takes messages in, asks for bounds, ends with messages in its own time, returns
credits, acknowledges effects in any order, dies and comes back. Between the two lie channels with messages under way.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

from flow_parts import message
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from omnistream.flow.cell import OutPort
from omnistream.flow.config import Queue
from omnistream.flow.edge import Edge
from omnistream.message import INFINITY, Action

LOSSES = ("dropped", "expired")


class Receiver:
    """One life of a receiving end. `entry`: its credits return when a message enters, not when its firing has ended."""

    def __init__(self, machine: EdgeMachine, entry: bool) -> None:
        self.machine = machine
        self.entry = entry
        self.held: deque[tuple[Any, Any]] = deque()
        self.effects: list[tuple[int, Any]] = []
        self.fates: Counter[str] = Counter()
        self.bound = 0
        self.asks: set[int] = set()
        self.last: tuple[int, int] = (-1, -1)

    def enter(self, message: Any, bound: int, ack: Any) -> None:
        assert message.stamp_ns >= self.bound, "a message behind its bound"
        assert (message.seq, message.stamp_ns) > self.last
        assert bound > message.stamp_ns
        self.last = (message.seq, message.stamp_ns)
        self.held.append((message, ack))
        assert len(self.held) <= self.machine.edge.capacity or self.entry
        if self.entry:
            self.machine.back([("c", 1)])
        self.told(bound)

    def told(self, bound: int) -> None:
        self.bound = max(self.bound, bound)
        self.asks = {t for t in self.asks if t >= self.bound}


class EdgeMachine(RuleBasedStateMachine):
    """The sender, with its stream's port, and the channels."""

    @initialize(
        policy=st.sampled_from(["newest", "drop_oldest", "block"]), n=st.integers(1, 4), remote=st.booleans(),
        entry=st.booleans(), fresh=st.booleans(), latest=st.booleans(),
    )  # fmt: skip
    def begin(self, policy: Any, n: int, remote: bool, entry: bool, fresh: bool, latest: bool) -> None:
        self.lost: dict[int, str] = {}
        self.crashed = 0
        self.edge = Edge("s.out->n.p", Queue(policy, n), fresh=fresh, lost=self.lose)
        self.edge.link, self.edge.remote, self.edge.resend_newest = self, remote, latest
        self.edge.wake = self.wake
        self.out = OutPort("out", "s.out", 0)
        self.out.edges = [self.edge]
        self.block, self.remote, self.entry = policy == "block", remote, entry
        self.receiver = Receiver(self, entry)
        self.alive, self.ended = True, False
        self.now = self.woken = 0
        self.forth: deque[tuple[Any, ...]] = deque()
        self.under_way: deque[list[tuple[Any, ...]]] = deque()
        self.acked: dict[int, list[str]] = {}
        self.crossed: list[int] = []  # in this life of the receiver
        self.settled: Counter[str] = Counter()  # of former lives, as the sender was told

    # -- what the edge calls -----------------------------------------------------------------------

    def lose(self, edge: Edge, message: Any, reason: str, count: int) -> None:
        if reason == "crash":
            self.crashed += count
        else:
            assert message.seq not in self.lost
            assert message.seq not in self.crossed
            self.lost[message.seq] = reason

    def wake(self) -> None:
        self.woken += 1
        assert self.edge.room

    def message(self, message: Any, bound: int, ack: Any) -> None:
        assert not self.crossed or message.seq > self.crossed[-1]
        self.crossed.append(message.seq)
        assert message.seq not in self.lost
        if self.remote:
            self.forth.append(("m", message, bound))
        else:
            self.receiver.enter(message, bound, ack)

    def bound(self, bound: int) -> None:
        if self.remote:
            self.forth.append(("b", bound))
        else:
            self.receiver.told(bound)

    # -- what the receiver says --------------------------------------------------------------------

    def back(self, items: list[tuple[Any, ...]]) -> None:
        said = [(*i, Counter(self.receiver.fates)) if i[0] == "c" else i for i in items]
        if self.remote:
            self.under_way.append(said)
        else:
            self.hear(said)

    def hear(self, items: list[tuple[Any, ...]]) -> None:
        for kind, *rest in items:
            if kind == "c":
                self.edge.reported = rest[1]
                self.edge.credit(rest[0])
            elif kind == "a":
                self.edge.acknowledge(*rest)
            else:
                self.edge.need(rest[0])

    # -- events ------------------------------------------------------------------------------------

    @precondition(lambda self: not self.ended and self.edge.room)
    @rule(gap=st.integers(1, 9), life=st.sampled_from([0, 3, 20, None, None]))
    def offer(self, gap: int, life: int | None) -> None:
        seq = self.out.seq
        stamp = self.out.bound + gap - 1
        payload = Action("go", INFINITY if life is None else self.now + life)
        ack = (lambda fate: self.acked.setdefault(seq, []).append(fate)) if self.block else None
        self.out.send(message(stamp, seq, payload), None, ack)

    @precondition(lambda self: not self.ended)
    @rule(by=st.integers(1, 12))
    def raise_bound(self, by: int) -> None:
        self.out.raise_bound(self.out.bound + by)

    @precondition(lambda self: not self.ended)
    @rule()
    def end(self) -> None:
        self.ended = True
        self.out.raise_bound(INFINITY)

    @rule(by=st.integers(1, 9))
    def expire(self, by: int) -> None:
        self.now += by
        self.edge.expire(self.now)

    @precondition(lambda self: self.alive)
    @rule(by=st.integers(0, 15))
    def need(self, by: int) -> None:
        t = self.receiver.bound + by
        if t not in self.receiver.asks and t < INFINITY:
            self.receiver.asks.add(t)
            self.back([("n", t)])

    @precondition(lambda self: self.forth)
    @rule()
    def arrive(self) -> None:
        kind, *rest = self.forth.popleft()
        if kind == "m":
            self.receiver.enter(*rest, None)
        else:
            self.receiver.told(*rest)

    @precondition(lambda self: self.under_way)
    @rule()
    def arrive_back(self) -> None:
        self.hear(self.under_way.popleft())

    @precondition(lambda self: self.receiver.held)
    @rule(fate=st.sampled_from(["consumed", "consumed", "skipped"]))
    def consume(self, fate: str) -> None:
        """A firing ends. What was consumed is acknowledged when its effects have ended, everything else at once."""
        message, ack = self.receiver.held.popleft()
        self.receiver.fates[fate] += 1
        said: list[tuple[Any, ...]] = []
        if self.block and fate == "consumed":
            self.receiver.effects.append((message.seq, ack))
        elif self.block:
            said = self.acknowledgement(message.seq, ack, fate)
        self.back(said + ([] if self.entry else [("c", 1)]))

    @precondition(lambda self: self.receiver.effects)
    @rule(data=st.data(), fate=st.sampled_from(["done", "done", "error"]))
    def effects_end(self, data: st.DataObject, fate: str) -> None:
        i = data.draw(st.integers(0, len(self.receiver.effects) - 1))
        self.back(self.acknowledgement(*self.receiver.effects.pop(i), fate))

    def acknowledgement(self, seq: int, ack: Any, fate: str) -> list[tuple[Any, ...]]:
        if self.remote:  # with the account of what has been consumed, as a batch has it
            return [("a", seq, fate), ("c", 0)]
        ack(fate)
        return []

    @precondition(lambda self: self.remote and self.alive)
    @rule()
    def receiver_lost(self) -> None:
        self.alive = False
        self.forth.clear()
        self.under_way.clear()
        self.receiver = Receiver(self, self.entry)
        self.edge.receiver_lost()

    @precondition(lambda self: not self.alive)
    @rule()
    def receiver_back(self) -> None:
        self.alive = True
        again = set(self.edge.unacked)
        self.crossed = []
        crashed = self.crashed
        self.edge.receiver_back()
        assert not (self.block and self.crashed > crashed), "a block edge lost a message with its receiver"
        assert again <= set(self.crossed) | {m.seq for m, _ in self.edge.pending}

    # -- what always holds -------------------------------------------------------------------------

    @invariant()
    def credits_are_those_that_are_not_out(self) -> None:
        edge = self.edge
        assert 0 <= edge.credits <= edge.capacity
        if self.alive and self.remote:
            returning = sum(i[1] for batch in self.under_way for i in batch if i[0] == "c")
            unread = sum(i[0] == "m" for i in self.forth)
            here = 0 if self.entry else len(self.receiver.held)
            assert edge.credits + returning + unread + here == edge.capacity
        assert not (edge.pending and edge.credits and edge.ready)

    @invariant()
    def pending_is_in_order_and_within_its_limit(self) -> None:
        seqs = [m.seq for m, _ in self.edge.pending]
        assert seqs == sorted(set(seqs))
        if self.edge.droppable and self.alive:
            assert len(seqs) + self.edge.capacity <= max(2, self.edge.queue.n)

    @invariant()
    def the_bound_is_below_all_that_is_to_cross(self) -> None:
        """Rule 17."""
        assert all(self.edge.bound <= m.stamp_ns for m, _ in self.edge.pending)
        assert self.edge.bound <= self.out.bound

    @invariant()
    def needs_are_answered_when_due(self) -> None:
        """Rule 21; and the end is told without being asked for."""
        if not self.alive:
            return
        assert all(t >= self.edge.bound for t in self.edge.asks)
        if not self.forth and not self.under_way:
            assert self.receiver.asks == set(self.edge.asks)
            assert self.receiver.bound >= INFINITY or self.edge.bound < INFINITY

    @invariant()
    def every_message_has_one_place(self) -> None:
        """Rule 19, at every snapshot; a loss is what the ledger was told."""
        counts = self.edge.counts()
        assert counts["sent"] == self.out.seq == counts["pending"] + counts["held"] + sum(counts["fates"].values())
        assert counts["held"] >= 0
        for reason in LOSSES:
            assert counts["fates"].get(reason, 0) == sum(r == reason for r in self.lost.values())
        assert counts["fates"].get("crash", 0) == self.crashed
        assert not {m.seq for m, _ in self.edge.pending} & set(self.lost)

    @invariant()
    def acknowledged_once(self) -> None:
        assert all(len(fates) == 1 for fates in self.acked.values())

    def teardown(self) -> None:
        """When everything has drained, each seq has one fate, and a block edge has lost nothing but what expired."""
        if not hasattr(self, "edge"):
            return
        if not self.alive:
            self.receiver_back()
        if not self.ended:
            self.end()
        while self.forth or self.under_way or self.receiver.held or self.receiver.effects:
            while self.forth:
                self.arrive()
            while self.under_way:
                self.arrive_back()
            if self.receiver.held:
                self.consume("consumed")
            while self.receiver.effects:
                seq, ack = self.receiver.effects.pop()
                self.back(self.acknowledgement(seq, ack, "done"))
        self.back([("c", 0)])
        while self.under_way:
            self.arrive_back()
        counts = self.edge.counts()
        assert (counts["pending"], counts["held"]) == (0, 0)
        assert counts["sent"] == self.out.seq == sum(counts["fates"].values())
        assert self.receiver.bound == INFINITY
        assert self.receiver.asks == set()
        assert not self.edge.unacked
        if self.block:
            assert set(counts["fates"]) <= {"consumed", "skipped", "expired"}
            assert set(self.acked) == set(range(self.out.seq))
            assert {s for s, fates in self.acked.items() if fates == ["expired"]} == set(self.lost)
        self.every_message_has_one_place()


EdgeMachine.TestCase.settings = settings(
    deadline=None, max_examples=150, stateful_step_count=40, suppress_health_check=[HealthCheck.too_slow]
)
TestEdge = EdgeMachine.TestCase
