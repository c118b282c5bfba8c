"""A fresh replay, led: sources run ahead of the slowest frontier by so much, and a full edge is widened when nothing moves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from omnistream.engine.crew import Crew
from omnistream.errors import OmniStreamError
from omnistream.graph.graph import Plan
from omnistream.message import INFINITY, SECOND

__all__ = ["Led", "lead"]

_STUCK_POLLS = 400
#: How often a replay at a pace is let go on.
_PACING_S = 0.005


class Led(Protocol):
    """A run that is led (conductor.py)."""

    plan: Plan
    crew: Crew
    workers: list[str]
    down: dict[str, str]

    @property
    def stopping(self) -> bool: ...

    async def all(self, method: str, *args: Any) -> list[Any]: ...


async def lead(run: Led, paced: Callable[[], int], look: Callable[[], Awaitable[None]]) -> None:
    """Until all is done or the run is stopped (rule 29). `paced` is how far sources may be by now; `look` is called each round.

    Raises OmniStreamError if a worker dies.
    """
    ahead_ns = SECOND + _longest_window(run.plan)
    limit, last, still = 0, None, 0
    while not run.stopping:
        probes: list[dict[str, Any]] = await run.all("probe")
        if run.down:
            worker, why = next(iter(run.down.items()))
            raise OmniStreamError(f"the worker {worker} died during the replay: {why}")
        under_way = sum(p["sent"] - p["received"] for p in probes)
        if all(p["done"] for p in probes) and not under_way:
            return
        oldest, waiting = min(p["oldest"] for p in probes), min(p["waiting"] for p in probes)
        ahead = (oldest if oldest < INFINITY else waiting) + ahead_ns
        most = paced()
        held, ahead = most < ahead, min(most, ahead)
        seen = [(p["sent"], p["received"], p["turns"], p["waiting"]) for p in probes]
        quiet = seen == last and not any(p["busy"] for p in probes) and not under_way
        last = seen
        if ahead > limit and ahead < INFINITY:
            limit = ahead
            await run.all("set_lead", limit)
        elif quiet and not held:
            full = [(size, key, w) for p, w in zip(probes, run.workers, strict=True) for size, key in p["full"]]
            still += 1
            if full:
                _, key, worker = min(full)
                await run.crew.call(worker, "grow", key)
                still = 0
            elif still > _STUCK_POLLS:
                raise OmniStreamError(f"the replay stopped moving at {oldest} ns; this is a fault of the runtime: {probes}")
        if not quiet or held:
            still = 0
        await look()
        await asyncio.sleep(_PACING_S if held else 0.001 if still < 4 else 0.01)


def _longest_window(plan: Plan) -> int:
    windows = [port.config.window for info in plan.graph.nodes.values() for port in info.inputs]
    return max((w.size_ns + w.hop_ns + w.gap_ns for w in windows if w is not None), default=0)
