"""What a worker notes down of sampled causes as they pass: emissions, firings and losses. Spans are made of them elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

if TYPE_CHECKING:
    from omnistream.flow.cell import Firing
    from omnistream.message import Message

__all__ = ["Emitted", "Fired", "Key", "Lost", "Noted", "Tracer", "sampled"]

#: Events that are kept until the next snapshot, and what a firing is noted to have read of a port that keeps much.
_MOST, _READS = 20_000, 256
_WHOLE = 1 << 32

#: A message, wherever it is: (stream, epoch, seq).
Key = tuple[str, int, int]


class Emitted(NamedTuple):
    """A source has put a message on its edges. Times are run time."""

    node: str
    key: Key
    cause_ns: int
    at_ns: int


class Fired(NamedTuple):
    """A firing from its begin to its end. `reads` are (edge, message, its cause), `outs` (message, when it was emitted)."""

    node: str
    life: int
    t: int
    cause_ns: int
    begun_ns: int
    ended_ns: int
    fate: str
    reads: tuple[tuple[str, Key, int], ...]
    outs: tuple[tuple[Key, int], ...]


class Lost(NamedTuple):
    """A message ended on an edge without being read."""

    edge: str
    key: Key
    cause_ns: int
    at_ns: int
    reason: str


Noted = Emitted | Fired | Lost


def sampled(cause_ns: int, share: float) -> bool:
    """Whether the trace of a cause is kept: by its stamp alone, which every message bears, so that all workers agree."""
    return crc32(cause_ns.to_bytes(8, "little", signed=True)) < int(share * _WHOLE)


class Tracer:
    """One worker's. `take` gives what was noted since; what did not fit is in `lost`."""

    def __init__(self, share: float, now: Callable[[], int], life: int) -> None:
        self.lost = 0
        self._limit, self._now, self._life = int(share * _WHOLE), now, life
        self._cause, self._yes = 0, sampled(0, share)
        self._noted: list[Noted] = []
        self._going: dict[str, tuple[Firing, int, list[tuple[Key, int]]]] = {}

    def take(self) -> list[Noted]:
        noted, self._noted = self._noted, []
        return noted

    def _wanted(self, cause_ns: int) -> bool:
        """As `sampled`. The nodes of a worker are often asked about one cause after each other."""
        if cause_ns != self._cause:
            self._cause = cause_ns
            self._yes = crc32(cause_ns.to_bytes(8, "little", signed=True)) < self._limit
        return self._yes

    def _note(self, what: Noted) -> None:
        if len(self._noted) < _MOST:
            self._noted.append(what)
        else:
            self.lost += 1

    def emitted(self, node: str, message: Message[Any]) -> None:
        if self._wanted(message.cause_ns):
            self._note(Emitted(node, _key(message), message.cause_ns, self._now()))

    def begun(self, node: str, firing: Firing) -> None:
        """A firing that descends from a sampled cause, or reads a message that does."""
        read = firing.items
        if self._wanted(firing.cause) or (
            (len(read) != 1 or len(read[0][1]) != 1)  # an only one has the firing's cause
            and any(self._wanted(i.message.cause_ns) for _, items in read for i in items)
        ):
            self._going[node] = (firing, self._now(), [])

    def gave(self, node: str, message: Message[Any]) -> None:
        if self._going and (going := self._going.get(node)) is not None:
            going[2].append((_key(message), self._now()))

    def ended(self, node: str, fate: str) -> None:
        if not self._going or (going := self._going.pop(node, None)) is None:
            return
        firing, begun, outs = going
        reads = tuple(
            (i.edge.key, _key(i.message), i.message.cause_ns)
            for port, items in sorted(firing.items, key=lambda read: not read[0].triggers)
            if port.triggers or fate == "consumed"  # else nothing has become of what was only looked at
            for i in items[-_READS:]
            if i.message.cause_ns == firing.cause or self._wanted(i.message.cause_ns)
        )
        self._note(Fired(node, self._life, firing.t, firing.cause, begun, self._now(), fate, reads, tuple(outs)))

    def ended_on(self, edge: str, message: Message[Any], reason: str) -> None:
        if self._wanted(message.cause_ns):
            self._note(Lost(edge, _key(message), message.cause_ns, self._now(), reason))


def _key(message: Message[Any]) -> Key:
    return (message.stream, message.epoch, message.seq)
