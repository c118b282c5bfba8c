"""Publishes on their way to a broker: in order, bounded, kept until acknowledged. Pure: times come in as arguments."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from omnistream.message import INFINITY, SECOND

__all__ = ["Outbox", "Publish", "expiry_s"]


@dataclass(slots=True, eq=False)
class Publish:
    """One publish. `expires_ns` is run time; INFINITY is kept whatever happens (a stop). `what` names it in a report."""

    topic: str
    payload: bytes
    what: str = ""
    expires_ns: int = INFINITY
    deadline_ns: int = INFINITY
    retain: bool = False
    qos: int = 1
    urgent: bool = False
    under_way: bool = False


def expiry_s(publish: Publish, now_ns: int) -> int | None:
    """MQTT's message expiry: whole seconds, at least one (brokers take 0 for never). None: it never expires."""
    if publish.expires_ns >= INFINITY:
        return None
    return max(1, math.ceil((publish.expires_ns - now_ns) / SECOND))


class Outbox:
    """Holds at most `limit` publishes. A connection takes them in order with `next`; `done` frees one; `again` starts anew."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._all: dict[int, Publish] = {}
        self._count = 0

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Publish]:
        return iter(self._all.values())

    def put(self, publish: Publish) -> Publish | None:
        """Add one; where there is no room, the oldest that may expire and is not under way gives way, and is returned."""
        dropped = None
        if len(self._all) >= self.limit:
            key = next((k for k, p in self._all.items() if p.expires_ns < INFINITY and not p.under_way), None)
            if key is None and publish.expires_ns < INFINITY:
                return publish
            dropped = None if key is None else self._all.pop(key)
        self._count += 1
        self._all[self._count] = publish
        return dropped

    def next(self, *, urgent: bool = False) -> tuple[int, Publish] | None:
        """The first that is not under way, an urgent one before others (and none but such with `urgent`); it is from now on."""
        waiting = [(k, p) for k, p in self._all.items() if not p.under_way]
        found = next((w for w in waiting if w[1].urgent), None if urgent else next(iter(waiting), None))
        if found is not None:
            found[1].under_way = True
        return found

    def withdraw(self, topic: str, *, urgent: bool = False) -> list[Publish]:
        """Remove and return what may expire, is for `topic` and is not under way; with `urgent`, what is urgent instead."""
        found = [(k, p) for k, p in self._all.items() if p.topic == topic and not p.under_way]
        return [self._all.pop(k) for k, p in found if (p.urgent if urgent else p.expires_ns < INFINITY)]

    def done(self, key: int) -> None:
        """The broker has acknowledged it."""
        self._all.pop(key, None)

    def again(self) -> list[Publish]:
        """The connection is gone: all that was under way is to be sent again, in the same order.

        But for what may expire and is older than something urgent on its topic, which would now overtake it: that is removed
        and returned.
        """
        urgent: dict[str, int] = {p.topic: k for k, p in self._all.items() if p.urgent}
        for publish in self._all.values():
            publish.under_way = False
        keys = [k for k, p in self._all.items() if p.expires_ns < INFINITY and k < urgent.get(p.topic, 0)]
        return [self._all.pop(k) for k in keys]

    def expired(self, now_ns: int) -> list[Publish]:
        """Remove and return what has expired and is not under way."""
        keys = [k for k, p in self._all.items() if p.expires_ns < now_ns and not p.under_way]
        return [self._all.pop(k) for k in keys]
