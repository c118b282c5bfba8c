"""Ports and edges outside a runtime: what they tell their sender is kept, and what they lose is listed."""

from __future__ import annotations

from collections import deque
from itertools import accumulate
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from omnistream.flow.config import PortConfig, Queue, WindowConfig
from omnistream.flow.port import InEdge, Port
from omnistream.flow.ports import make_port
from omnistream.message import INFINITY, AudioChunk, Event, Message, Window


def laws(examples: int) -> settings:
    return settings(deadline=None, max_examples=examples, suppress_health_check=[HealthCheck.too_slow])


class Back:
    """A sender as its receiver knows it: credits are counted, needs are listed."""

    def __init__(self) -> None:
        self.credits = 0
        self.needs: list[int] = []

    def credit(self, n: int) -> None:
        self.credits += n

    def need(self, t: int) -> bool:
        self.needs.append(t)
        return False


def message(stamp: int, seq: int = 0, payload: Any = None, stream: str = "s.out", **over: Any) -> Message[Any]:
    values: dict[str, Any] = {
        "epoch": 0, "origin": (stream, 0, seq), "cause_ns": stamp, "deadline_ns": stamp + 200, "lineage": {stream: stamp},
    } | over  # fmt: skip
    return Message(stream=stream, seq=seq, stamp_ns=stamp, payload=payload or Event("m", {"v": seq}), **values)


class Rig:
    """One port with `n` streams. Messages are given by hand, with literal stamps."""

    def __init__(
        self, take: Any, n: int = 1, policy: Any = "block", window: WindowConfig | None = None, form: str = "message",
        name: str = "p", **config: Any,
    ) -> None:  # fmt: skip
        self.config = PortConfig(name, take, Queue(policy, 64), window, **config)
        self.edges = [InEdge(f"s{i}.out->n.p", i, self.config) for i in range(n)]
        self.lost: list[tuple[int, str]] = []
        self.acked: list[tuple[int, int, str]] = []
        self.backs = [Back() for _ in range(n)]
        for edge, back in zip(self.edges, self.backs, strict=True):
            edge.back = back
            edge.lost = lambda edge, message, fate, detail: self.lost.append((message.seq, fate))
        self.port: Port = make_port(self.config, self.edges, form)
        self.seqs = [0] * n

    def give(
        self, edge: int, stamp: int, bound: int = 0, payload: Any = None, arrival: int = 0, acked: bool = False, **over: Any
    ) -> int:  # fmt: skip
        """The next message of a stream; its seq."""
        seq = self.seqs[edge]
        self.seqs[edge] += 1
        ack = (lambda fate: self.acked.append((edge, seq, fate))) if acked else None
        made = message(stamp, seq, payload, f"s{edge}.out", **over)
        self.port.receive(self.edges[edge], made, bound or stamp + 1, ack, arrival)
        return seq

    def tell(self, edge: int, bound: int) -> None:
        self.edges[edge].told(bound)

    def end(self) -> None:
        for edge in self.edges:
            edge.told(INFINITY)

    def due(self) -> list[tuple[int, Any]]:
        """Every firing that is settled now, as (t, what the step would be given)."""
        fired = []
        while (t := self.port.candidate()) < INFINITY and not self.port.lagging(t):
            fired.append((t, self.fire(t)))
        return fired

    def fire(self, t: int) -> Any:
        return self.port.value(self.port.take(t), t)

    def force(self, t: int) -> None:
        """What the runtime does when `wait` has run out for a firing at t."""
        self.port.force(t, self.port.lagging(t))

    def fates(self) -> int:
        return sum(sum(e.fates.values()) for e in self.edges)

    def received(self) -> int:
        return sum(e.received for e in self.edges)

    def accounted(self) -> bool:
        """Rule 19 at the receiving end."""
        return self.received() == self.fates() + self.port.held()


def samples(start: int, count: int) -> AudioChunk:
    """Audio whose every sample is its own number."""
    return AudioChunk(np.arange(start, start + count, dtype=np.int16))


def heard(windows: list[Any]) -> list[int]:
    """The samples of windows, in order."""
    chunks = [c.samples for w in windows if isinstance(w, Window) for c in w]
    return np.concatenate(chunks).tolist() if chunks else []


@st.composite
def streams(draw: st.DrawFn, most: int = 3, longest: int = 8, steps: tuple[int, ...] = (1, 1, 2, 5, 9, 30)) -> list[list[int]]:
    """Stamps that strictly increase, for one or several streams."""
    found = []
    for _ in range(draw(st.integers(1, most))):
        gaps = draw(st.lists(st.sampled_from(steps), max_size=longest))
        found.append(list(accumulate(gaps, initial=draw(st.integers(0, 20))))[1:])
    return found


@st.composite
def deliveries(draw: st.DrawFn, per_stream: list[list[int]]) -> list[tuple[int, int, int]]:
    """All messages as (stream, stamp, honest bound), in an order in which they may arrive."""
    left = [deque(s) for s in per_stream]
    found = []
    while any(left):
        i = draw(st.sampled_from([i for i, s in enumerate(left) if s]))
        stamp = left[i].popleft()
        latest = left[i][0] if left[i] else stamp + 40
        found.append((i, stamp, draw(st.sampled_from([stamp + 1, (stamp + 1 + latest) // 2, latest]))))
    return found
