"""Turns within a run: a few seconds observed, a few not; and a source that follows them."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Self

from omnistream.message import SECOND, Text
from omnistream.node import Context, Emit, Source
from omnistream.observe.tracer import sampled

__all__ = ["MARGIN_S", "SHARE", "TURN_S", "InTurns", "Turns"]

#: Of causes that are traced, in turns that are observed.
SHARE = 0.01
#: Before the first turn, in which all that looks has started.
_WARM_S = 8.0
#: A turn, and its beginning that is left out. What is counted is a whole second, with one scrape. The shorter the better: what
#: else runs on a host comes and goes, and medians of neighbouring turns of 4 s differ as much as those of 1 s.
TURN_S, MARGIN_S = 1.25, 0.25


@dataclass(frozen=True, slots=True)
class Turns:
    """`marks` has a 1 for each turn that is observed; so is all that comes before the first one."""

    marks: str

    @classmethod
    def drawn(cls, pairs: int, seed: int) -> Self:
        """Pairs of one turn observed and one not, as many either way round, in an order that is drawn."""
        orders = ["10", "01"] * ((pairs + 1) // 2)
        random.Random(seed).shuffle(orders)
        return cls("".join(orders[:pairs]))

    def __len__(self) -> int:
        return len(self.marks)

    def begin_ns(self, turn: int) -> int:
        """When it begins, after the run's start."""
        return int((_WARM_S + turn * TURN_S) * SECOND)

    def at(self, since_start_ns: int) -> int:
        """Which turn it is then: negative before the first."""
        return int((since_start_ns / SECOND - _WARM_S) // TURN_S)

    def counted(self, since_start_ns: int) -> int | None:
        """The turn in which a message of then counts; None in a margin, and outside of all turns."""
        turn = self.at(since_start_ns)
        late = since_start_ns - self.begin_ns(turn) >= MARGIN_S * SECOND
        return turn if late and 0 <= turn < len(self.marks) else None

    def observed(self, turn: int) -> bool:
        return turn < 0 or self.marks[min(turn, len(self.marks) - 1)] == "1"


@dataclass(kw_only=True)
class InTurns(Source):
    """Texts, `rate_hz` a second. In turns without observation none is stamped so that it would be traced."""

    rate_hz: float
    marks: str

    async def run(self, ctx: Context) -> AsyncIterator[Emit[Text]]:
        text, turns, i = Text("go forward ten meters"), Turns(self.marks), 0
        while True:
            i += 1
            await ctx.clock.sleep_until(ctx.start_ns + int(i / self.rate_hz * SECOND))
            stamp = ctx.clock.now()
            observed = turns.observed(turns.at(stamp - ctx.start_ns))
            while sampled(stamp, SHARE) and not observed:
                stamp += 1
            yield Emit(text, stamp_ns=stamp)
