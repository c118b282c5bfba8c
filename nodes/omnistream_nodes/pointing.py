"""Where a hand pointed while something was said."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from omnistream.message import MS, Gesture, Message

__all__ = ["SIDES", "Pointing", "shown_ns"]

#: The sides that a gesture points to.
SIDES = {"point_left": "left", "point_right": "right"}


def shown_ns(gestures: Iterable[Message[Gesture]], start_ns: int, end_ns: int, hold_ns: int) -> dict[str, int]:
    """For how long of [start_ns, end_ns) each gesture was shown: from its stamp to the next one's, `hold_ns` at most."""
    total: dict[str, int] = {}
    ordered = list(gestures)
    for n, message in enumerate(ordered):
        until = message.stamp_ns + hold_ns
        if n + 1 < len(ordered):
            until = min(until, ordered[n + 1].stamp_ns)
        length = min(until, end_ns) - max(message.stamp_ns, start_ns)
        if length > 0:
            name = message.payload.name
            total[name] = total.get(name, 0) + length
    return total


@dataclass(frozen=True, slots=True)
class Pointing:
    """Rules for reading a side from gestures. `min_share` is of the time in which the hand pointed to a side at all."""

    min_ns: int = 150 * MS
    min_share: float = 0.6
    min_confidence: float = 0.5
    hold_ns: int = 250 * MS

    def side(self, gestures: Iterable[Message[Gesture]], start_ns: int, end_ns: int) -> str:
        """left or right; "both" where the hand went from one to the other; empty where it pointed to neither."""
        sure = [m for m in gestures if m.payload.confidence >= self.min_confidence or m.payload.name not in SIDES]
        shown = shown_ns(sure, start_ns, end_ns, self.hold_ns)
        sides = {SIDES[name]: ns for name, ns in shown.items() if name in SIDES}
        total = sum(sides.values())
        if total < self.min_ns:
            return ""
        side, longest = max(sides.items(), key=lambda item: item[1])
        return side if longest >= self.min_share * total else "both"
