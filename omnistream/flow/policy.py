"""Every policy that an edge can have, in one table: what becomes of messages that the receiver has no time for.

To add one, add it to `POLICIES`. The graph file's word, its error messages, the JSON schema, docs/graph.md (made anew by
``python -m omnistream.graph.reference``), `omnistream check` and the edges themselves read the table. A droppable policy
loses the oldest of what is pending at the sender; one that would lose another is a change of `Edge.offer` as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from omnistream.message import AudioChunk, Detections, Features, Gesture, VideoFrame

__all__ = ["MAX_N", "OTHERWISE", "POLICIES", "Policy", "default_policy"]

#: The largest N that a graph file may write.
MAX_N = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One policy; `meaning` is its sentence in the reference.

    `split`: N -> how many messages the receiver holds (its credits, rule 16), and how many may be pending at the sender
    before the oldest is lost. An edge that is not `droppable` loses none: there the sender waits, and the second number is
    not looked at. `takes_n`: written `{word: N}`, not the bare word; `example` is an N for error messages. `default_for`:
    payload types whose edges have this policy if the file says nothing, each with its N.
    """

    meaning: str
    droppable: bool
    split: Callable[[int], tuple[int, int]]
    takes_n: bool = True
    example: int = 8
    default_for: Mapping[type, int] = field(default_factory=dict)

    def room(self, n: int, *, fresh: bool) -> tuple[int, int]:
        """As `split`; a fresh replay loses nothing (rule 29), so there the receiver holds all N."""
        return (n if self.takes_n else 1, 1) if fresh else self.split(n)


def _halves(n: int) -> tuple[int, int]:
    """Half of N at the receiver, the rest at the sender, where the oldest can still be lost."""
    held = max(1, n // 2)
    return held, max(1, n - held)


#: By the word of the graph file, from the policy that loses most freely to the strictest: payloads that share an edge
#: get the strictest of their policies.
POLICIES: dict[str, Policy] = {
    "newest": Policy(
        meaning="Keep the newest message only.",
        droppable=True,
        split=lambda _: (1, 1),
        takes_n=False,
        default_for={VideoFrame: 1},
    ),
    "drop_oldest": Policy(
        meaning="Keep N messages; a new one pushes the oldest out.",
        droppable=True,
        split=_halves,
        default_for={AudioChunk: 64, Features: 8, Detections: 8, Gesture: 8},
    ),
    "block": Policy(
        meaning="Hold N messages; then the sender waits. Nothing is lost.",
        droppable=False,
        split=lambda n: (n, 1),
        example=64,
    ),
}


#: The word and N for payload types that no policy names.
OTHERWISE = ("block", 64)


def default_policy(types: Iterable[type]) -> tuple[str, int]:
    """The word and N for an edge that carries these payload types: the strictest of their defaults, and its largest N."""
    words = list(POLICIES)
    defaults = {t: (words.index(w), n) for w, p in POLICIES.items() for t, n in p.default_for.items()}
    otherwise = (words.index(OTHERWISE[0]), OTHERWISE[1])
    rank, n = max((defaults.get(t, otherwise) for t in types), default=otherwise)
    return words[rank], n
