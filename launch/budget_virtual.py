"""The real engine in virtual time: what nothing but the predictor's rules can be wrong about, without a host's noise.

Steps say what they take instead of taking it, so the profile is known exactly. There are no threads and no cores here.
"""

from __future__ import annotations

import asyncio
import re
import selectors
from collections.abc import Callable
from typing import Any

import numpy as np

from omnistream.engine.conductor import Conductor
from omnistream.engine.local import LocalCrew
from omnistream.engine.options import RunOptions
from omnistream.graph.budget.predict import Setup, declared_of
from omnistream.graph.budget.profile import HostProfile, NodeProfile, SourceProfile, Spread, StepProfile, StreamProfile
from omnistream.graph.graph import NodeInfo, Plan

__all__ = ["VirtualClock", "ages_of", "in_virtual_time", "setup_of", "virtual"]

_START_NS = 1_700_000_000 * 10**9
_DRAWS = 20_000


class VirtualLoop(asyncio.SelectorEventLoop):
    """Nobody waits: when nothing is ready, it is as late as the next thing that is due."""

    def __init__(self) -> None:
        super().__init__(_Jumping(self))
        self.seconds = 0.0

    def time(self) -> float:
        return self.seconds


class _Jumping(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self.loop = loop

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0 if timeout is not None else 0.01)
        if not ready and timeout:
            self.loop.seconds += timeout
        return ready


class VirtualClock:
    """Run time of such a loop; `spend` is what computing does to it."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop

    def now(self) -> int:
        return _START_NS + int(self.loop.seconds * 1e9)

    async def sleep_until(self, when_ns: int) -> None:
        await asyncio.sleep(max(0.0, (when_ns - self.now()) / 1e9))

    def spend(self, ns: float) -> None:
        self.loop.seconds += ns / 1e9


def virtual(text: str) -> str:
    """A graph of budget_graphs with steps that take virtual time; one in a thread is one that asks somebody else."""
    return re.sub(r"budget_nodes:Thread", "budget_nodes:Apart", text)


def in_virtual_time(make: Callable[[VirtualClock], Any]) -> Any:
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(make(VirtualClock(loop)))
    finally:
        loop.close()


def ages_of(plan: Plan, seconds: float, warm_ns: int, seed: int) -> dict[str, list[float]]:
    """Ages of effects in milliseconds at each sink, of a run of so many virtual seconds."""

    async def run(clock: VirtualClock) -> Any:
        crew = LocalCrew(plan, clock, RunOptions(start_ns=clock.now(), offset_ns=0, seed=seed))
        return await Conductor(plan, crew, clock, fresh=False).run(for_s=seconds, drain_s=0.0)

    outcome = in_virtual_time(run)
    start, end = outcome.started_ns + warm_ns, outcome.started_ns + int(seconds * 1e9)
    return {k: [(r[0] - r[2]) / 1e6 for r in rs if r[2] > start and r[0] < end] for k, rs in outcome.records.items()}


def setup_of(plan: Plan) -> Setup:
    """What a profile of these steps would say if it were exact."""
    rng = np.random.default_rng(1)
    nodes = {info.name: _profile(info, rng) for info in plan.graph.nodes.values()}
    host = HostProfile(cpu="virtual", cores=64, versions={}, wake=Spread(), firing_us=0.0, nodes=nodes)
    return Setup(plan, host, engine="local", declared=declared_of(plan.graph))


def _profile(info: NodeInfo, rng: np.random.Generator) -> NodeProfile:
    options = info.options
    if info.role == "source":
        period = 1e9 / float(options["rate_hz"])
        jitter = np.clip(rng.normal(size=_DRAWS), -2, 2) * float(options.get("jitter", 0)) * period
        interval = Spread.of(period + np.diff(jitter)) if jitter.any() else Spread.flat(period / 1e3)
        rhythm = SourceProfile(interval=interval, late=Spread(), cpu=Spread(), stamped=bool(options.get("stamped", True)))
        return NodeProfile(role="source", use=info.use, source=rhythm, outputs={"out": StreamProfile(per_firing=1)})
    if info.role == "sink":
        return NodeProfile(role="sink", use=info.use, kind="inline", firings=99)
    sigma = float(options["sigma"])
    costs = Spread.of(float(options["mean_ms"]) * 1e6 * np.exp(rng.normal(-(sigma**2) / 2, sigma, _DRAWS)))
    sleep = Spread.flat(float(options["sleep_ms"]) * 1e3)
    kind = "inline" if info.use.endswith((":Inline", ":Gather", ":Meet", ":Pair")) else "task"
    if info.use.endswith(":Apart"):
        costs, sleep = Spread(), Spread(n=costs.n, q=[v + sleep.q[0] for v in costs.q])
    step = StepProfile(cpu=costs, rest=sleep if kind == "task" else Spread(), wall=costs if kind == "inline" else sleep)
    return NodeProfile(
        role="node", use=info.use, kind=kind, firings=99, alone={"": step}, outputs={"out": StreamProfile(per_firing=1)}  # type: ignore[arg-type]
    )  # fmt: skip
