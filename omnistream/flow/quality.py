"""Which nodes do their steps more cheaply for a while, so that what must be in time is: one ladder for the whole graph.

Sinks say what share of the budget was gone when they handed something over (DESIGN section 5). Nothing here reads a clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from math import inf

from omnistream.message import INFINITY, MS, SECOND

__all__ = ["LOST", "STRAINED", "Cost", "Ladder", "Seen", "Switch", "seen_of"]

#: Shares of the budget at p95: above the first a path is in trouble, below the second there is room.
STRAINED, ROOM = 0.85, 0.6
#: The share that stands for something skipped or refused because it was too late.
LOST = 1.5
#: Shares of the newest second count; where there are fewer, the newest few, unless they are too old to say anything.
_RECENT_NS, _FEW, _OLD_NS = SECOND, 3, 5 * SECOND
#: So many are enough if some were lost: a node that skips says nothing of what it does in time.
_LOSSES = 2
#: After a step down its effect is awaited; a step up needs so long without trouble, and all of them together so long.
_SETTLE_NS, _CALM_NS, _CLIMB_NS = 300 * MS, SECOND, 3 * SECOND
#: A step up that leads into trouble within the first was wrong, and is not tried again for a while: the second, then twice
#: that, up to the third.
_PROBATION_NS, _FIRST_REST_NS, _LONGEST_REST_NS = 3 * SECOND, 2 * SECOND, 60 * SECOND
#: A step up that seems to have no room is tried all the same after so long: what is measured may have been wrong.
_DOUBT_NS = 20 * SECOND
#: A node is expected to have room if it would be busy for less than this share of the time, and for clearly less than where
#: that was too much already.
_BUSY, _CLEARLY = 0.8, 0.8


@dataclass(frozen=True, slots=True)
class Seen:
    """What a sink, or a node that skips, has seen lately: shares of the budget, `n` of them."""

    n: int
    p50: float
    p95: float

    @property
    def strained(self) -> bool:
        return self.p95 > STRAINED and self.n >= (_FEW if self.p95 < LOST else _LOSSES)


def seen_of(samples: Iterable[tuple[int, float]], now_ns: int, since_ns: int = 0) -> Seen:
    """Of (when, share) in the order of time; what was before `since_ns` is of another time."""
    known = [(at, share) for at, share in samples if at >= since_ns and now_ns - at < _OLD_NS]
    recent = [share for at, share in known if now_ns - at < _RECENT_NS]
    shares = sorted(recent if len(recent) >= _FEW else [share for _, share in known[-_FEW:]])
    if not shares:
        return Seen(0, 0.0, 0.0)
    n = len(shares)
    return Seen(n, shares[n // 2], shares[min(n - 1, int(n * 0.95))])


@dataclass(frozen=True, slots=True)
class Cost:
    """What a node's steps take just now, in its present variant: mean and p95 of `n` steps, and how many there are a second.

    `usual_ns` is the median of many more of them, and `idle` how many cores of its host have nothing to do just now.
    """

    variant: str
    n: int
    rate_hz: float
    mean_ns: float
    p95_ns: float
    usual_ns: float = 0.0
    idle: float = inf

    @property
    def busy(self) -> float:
        """The share of the time in which it is at work."""
        return self.rate_hz * self.mean_ns / SECOND


@dataclass(frozen=True, slots=True)
class Switch:
    """A node is to be another variant from its next firing on."""

    node: str
    before: str
    after: str
    why: str


@dataclass(slots=True)
class _Move:
    """A step down: what the node's steps took before it, and the first that was measured after it."""

    node: str
    before: Cost
    after: Cost | None = None


class Ladder:
    """`variants` by node, best first; `upstream` by place (a sink, or a node that skips) all nodes that lead to it.

    `look` is to be called with what was seen since the last switch. It gives at most one switch.
    """

    def __init__(self, variants: Mapping[str, Sequence[str]], upstream: Mapping[str, Set[str]], budget_ns: int) -> None:
        self.variants, self.upstream, self.budget_ns = variants, upstream, budget_ns
        self.level = dict.fromkeys(variants, 0)
        self.moved_ns = 0
        self._moves: list[_Move] = []
        self._calm_ns: int | None = None
        self._went_up: tuple[tuple[str, int], float] | None = None  # node and level, and how busy it was expected to be
        self._rest_ns: dict[tuple[str, int], int] = {}
        self._not_before: dict[tuple[str, int], int] = {}
        self._too_busy: dict[tuple[str, int], float] = {}
        self._usual_ns: dict[tuple[str, int], float] = {}  # of a node's steps at a level, where nothing disturbs
        self._height = 1

    @property
    def lowered(self) -> bool:
        return bool(self._moves)

    def variant(self, node: str) -> str:
        return self.variants[node][self.level[node]]

    def look(self, now_ns: int, places: Mapping[str, Seen], costs: Mapping[str, Cost]) -> Switch | None:
        for move in self._moves:
            cost = costs.get(move.node)
            if move.after is None and cost is not None and cost.n >= _FEW and cost.variant == self.variant(move.node):
                move.after = cost
        troubled = [place for place, seen in places.items() if seen.strained]
        if troubled:
            self._calm_ns = None
            return self._down(now_ns, troubled, places, costs) if now_ns - self.moved_ns >= _SETTLE_NS else None
        if any(seen.p95 > ROOM for seen in places.values()):
            self._calm_ns = None
            return None
        if self._calm_ns is None:
            self._calm_ns = now_ns
            self._height = max(1, len(self._moves))
        if self._went_up is not None and now_ns - self.moved_ns >= _PROBATION_NS:  # it has held
            step, busy = self._went_up
            self._rest_ns.pop(step, None)
            if busy >= self._too_busy.get(step, INFINITY) * _CLEARLY:
                del self._too_busy[step]
            self._went_up = None
        wait = min(_CALM_NS, _CLIMB_NS // self._height)
        if self._moves and now_ns - max(self._calm_ns, self.moved_ns) >= wait:
            return self._up(now_ns, places, costs)
        return None

    def _down(
        self, now_ns: int, troubled: Sequence[str], places: Mapping[str, Seen], costs: Mapping[str, Cost]
    ) -> Switch | None:
        """The node whose steps cost most on the paths in trouble, one step."""
        self._judge(now_ns)
        able = {
            node: costs[node].busy
            for place in troubled
            for node in self.upstream.get(place, ())
            if node in costs and self.level[node] + 1 < len(self.variants[node])
        }
        if not able:
            return None
        node = max(sorted(able), key=lambda n: able[n])
        before, step = costs[node], (node, self.level[node])
        self._moves.append(_Move(node, before))
        self._usual_ns[step] = min(self._usual_ns.get(step, inf), before.usual_ns or before.mean_ns)
        worst = max(troubled, key=lambda place: places[place].p95)
        return self._move(now_ns, node, 1, f"{worst} has used {places[worst].p95:.0%} of the budget (p95)")

    def _judge(self, now_ns: int) -> None:
        """If a step up has led here, it rests, each time for longer, and is known to be too much."""
        if self._went_up is not None and now_ns - self.moved_ns < _PROBATION_NS:
            step, busy = self._went_up
            rest = min(_LONGEST_REST_NS, self._rest_ns.get(step, _FIRST_REST_NS // 2) * 2)
            self._rest_ns[step] = rest
            self._not_before[step] = now_ns + rest
            self._too_busy[step] = busy
        self._went_up = None

    def _up(self, now_ns: int, places: Mapping[str, Seen], costs: Mapping[str, Cost]) -> Switch | None:
        """Take the newest step down back, if there seems to be room.

        What the steps took before it, and by how much the cheaper ones take less now, tells how busy the node would be. So a
        burner that has ended, or a camera that has slowed down, is seen without trying.
        """
        move = self._moves[-1]
        step = (move.node, self.level[move.node] - 1)
        busy, share, freed = self._expected(move, places, costs)
        easier = busy < self._too_busy.get(step, inf) * _CLEARLY
        rests = now_ns < self._not_before.get(step, 0)
        if rests and (freed or not easier or step not in self._too_busy):
            return None
        room = (freed or easier) and busy < _BUSY and share < STRAINED - 0.1
        if not room and now_ns - self.moved_ns < max(_DOUBT_NS, 2 * self._rest_ns.get(step, 0)):
            return None
        self._moves.pop()
        self._went_up = (step, busy)
        return self._move(now_ns, move.node, -1, "there is room")

    def _expected(self, move: _Move, places: Mapping[str, Seen], costs: Mapping[str, Cost]) -> tuple[float, float, bool]:
        """The share of time for which the node would be busy with steps as before, and of the budget that would be used; and
        whether that is because others have left the cores.

        Steps that are short hardly feel who else computes. So where others have the cores that it would take there is no room,
        and where they have left them its steps take what they usually do.
        """
        ages = max((seen.p95 for place, seen in places.items() if move.node in self.upstream.get(place, ())), default=0.0)
        cost, after = costs.get(move.node), move.after
        if cost is None or not cost.n:  # it has nothing to do
            return 0.0, ages, False
        usual = self._usual_ns[move.node, self.level[move.node] - 1]
        more = cost.rate_hz * usual / SECOND - cost.busy
        if cost.idle < more:
            return inf, inf, False
        if move.before.idle < more:
            return cost.rate_hz * usual / SECOND, ages + max(0.0, usual - cost.mean_ns) / self.budget_ns, True
        if after is None:
            return inf, inf, False
        mean = cost.mean_ns * move.before.mean_ns / max(after.mean_ns, 1.0)
        p95 = cost.p95_ns * move.before.p95_ns / max(after.p95_ns, 1.0)
        return cost.rate_hz * mean / SECOND, ages + max(0.0, p95 - cost.p95_ns) / self.budget_ns, False

    def _move(self, now_ns: int, node: str, by: int, why: str) -> Switch:
        before = self.variant(node)
        self.level[node] += by
        self.moved_ns = now_ns
        return Switch(node, before, self.variant(node), why)
