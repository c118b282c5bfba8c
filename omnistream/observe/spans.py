"""Traces: one for each sampled cause, from its source to the last of its effects, of what the workers noted down.

A cause's first span is its source's, from the stamp to the emission. Then follow each other a wait on an edge, from sent to
begun, and the step of the firing that it began, as far as the sinks. Ids are hashes of what a span is about.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Literal

from omnistream.graph.graph import Plan
from omnistream.observe.tracer import Emitted, Fired, Key, Noted, sampled

__all__ = ["HOLD_NS", "Link", "Span", "Spans"]

#: How long what is noted waits for what other workers have noted before it.
HOLD_NS = 3_000_000_000
#: Messages of which it is kept who sent them when; and how they ended.
_KNOWN = 100_000

#: Another trace's cause, and a span in it.
Link = tuple[int, bytes]


@dataclass(slots=True)
class Span:
    """`name` is a node's or an edge's, `node` whose it is. `trace` is the cause's stamp, `id` and `parent` eight bytes each."""

    kind: Literal["source", "wait", "step", "sink"]
    name: str
    node: str
    trace: int
    id: bytes
    parent: bytes | None
    begin_ns: int
    end_ns: int
    fate: str = ""
    t: int = 0
    key: Key | None = None
    links: list[Link] = field(default_factory=list)


class Spans:
    """`note` what workers have sent, in any order; `ready` gives the spans of what is long enough ago."""

    def __init__(self, plan: Plan, share: float) -> None:
        self._share = share
        self._roles = {name: info.role for name, info in plan.graph.nodes.items()}
        self._sent: OrderedDict[Key, tuple[bytes, int]] = OrderedDict()
        self._ended: OrderedDict[tuple[str, Key], None] = OrderedDict()
        self._waiting: list[tuple[int, int, Noted]] = []
        self._count = 0

    def note(self, noted: Iterable[Noted]) -> None:
        for what in noted:
            if isinstance(what, Emitted):
                self._keep(what.key, _id("source", *what.key), what.at_ns)
            elif isinstance(what, Fired):
                for key, at in what.outs:
                    self._keep(key, _step_id(what), at)
            self._count += 1
            at = what.ended_ns if isinstance(what, Fired) else what.at_ns
            heapq.heappush(self._waiting, (at, self._count, what))

    def _keep(self, key: Key, span: bytes, at: int) -> None:
        self._sent[key] = (span, at)
        if len(self._sent) > _KNOWN:
            self._sent.popitem(last=False)

    def ready(self, until_ns: int) -> Iterator[Span]:
        """Spans of what ended before `until_ns`, in the order of their ends."""
        while self._waiting and self._waiting[0][0] < until_ns:
            what = heapq.heappop(self._waiting)[2]
            if isinstance(what, Emitted):
                begin = min(what.cause_ns, what.at_ns)
                span = _id("source", *what.key)
                yield Span("source", what.node, what.node, what.cause_ns, span, None, begin, what.at_ns, "", begin, what.key)
            elif isinstance(what, Fired):
                yield from self._fired(what)
            else:
                yield from self._wait(what.edge, what.key, what.cause_ns, what.at_ns, what.reason)

    def _wait(self, edge: str, key: Key, cause: int, until: int, fate: str) -> Iterator[Span]:
        """The time on an edge; not again for a message that is read again."""
        if (edge, key) in self._ended or not sampled(cause, self._share):
            return
        self._ended[edge, key] = None
        if len(self._ended) > _KNOWN:
            self._ended.popitem(last=False)
        parent, sent = self._sent.get(key, (None, until))
        node = edge.split("->")[1].split(".")[0]
        span = _id("wait", edge, *key)
        yield Span("wait", edge, node, cause, span, parent, min(sent, until), until, fate, key=key)

    def _fired(self, fired: Fired) -> Iterator[Span]:
        mine = _step_id(fired)
        parent: bytes | None = None
        links: list[Link] = []
        for edge, key, cause in fired.reads:
            waits = list(self._wait(edge, key, cause, fired.begun_ns, fired.fate))
            if cause == fired.cause_ns:
                parent = parent or _id("wait", edge, *key)
            elif sampled(cause, self._share):
                links.append((cause, _id("wait", edge, *key)))
                for wait in waits:
                    wait.links.append((fired.cause_ns, mine))
            yield from waits
        if sampled(fired.cause_ns, self._share):
            kind: Literal["sink", "step"] = "sink" if self._roles.get(fired.node) == "sink" else "step"
            yield Span(
                kind, fired.node, fired.node, fired.cause_ns, mine, parent, fired.begun_ns, fired.ended_ns,
                fired.fate, fired.t, links=links,
            )  # fmt: skip


def _step_id(fired: Fired) -> bytes:
    return _id("step", fired.node, fired.life, fired.t, fired.begun_ns)


def _id(*words: str | int) -> bytes:
    return blake2b("\0".join(map(str, words)).encode(), digest_size=8).digest()
