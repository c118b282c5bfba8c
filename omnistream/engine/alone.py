"""A node, or a source, with nothing else to do: what it takes then, and how much of that holds up the others of its process."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Sequence
from typing import Any
from zlib import crc32

import numpy as np

from omnistream.clock import SystemClock, pause, perf_ns
from omnistream.engine.contexts import context_of
from omnistream.engine.meter import Given, Meter, MeteredStep, SourceMeter, metered_source
from omnistream.engine.runqueue import others_of, waited_ns
from omnistream.errors import OmniStreamError
from omnistream.graph.budget.profile import Spread, StepProfile
from omnistream.graph.graph import NodeInfo, Plan
from omnistream.graph.host import Host
from omnistream.node import Context, ports_of

__all__ = ["node_alone", "source_alone"]

#: Each node is stepped alone for so long, and so often; between steps others would have had the caches.
_ALONE_S, _PAUSE_S = 2.0, 0.002
_SOURCE_S = 1.5
#: A step as short as this ends before anybody could want Python's lock for long.
_SHORT_NS = 2_000_000
_GIL_STEPS = 6


async def node_alone(info: NodeInfo, given: Sequence[Given], variant: str, plan: Plan, others: list[float]) -> StepProfile:
    """Step a new object of the node with what the run gave it, with nothing else to do.

    What the thread waited for a core is not the step's; it says how many `others` there were.
    """
    node = info.make()
    ctx = _context(info, node, plan, variant)
    ports = ports_of(type(node))
    meter = Meter(ports, ctx, keeps=False)
    blocking = bool(getattr(node, "blocking", False))
    step = MeteredStep(node.step, generator=ports.generator, blocking=blocking, meter=meter)
    await node.open(ctx)
    try:
        until = perf_ns() + int(_ALONE_S * 1e9)
        for one in given:
            if perf_ns() > until and len(meter.wall) >= 5:
                break
            await _step(step, ctx, one)
            await asyncio.sleep(_PAUSE_S)
        first = 1 if len(meter.wall) > 1 else 0  # the first one warms up
        wall, cpu, waited = (np.asarray(v, np.int64)[first:] for v in (meter.wall, meter.cpu, meter.waited))
        rest = np.maximum(0, wall - cpu - waited)
        gil, takes = 1.0, 1.0
        if np.mean(cpu) > _SHORT_NS:
            gil = await _gil(step, ctx, given, meter)
            if gil < 1.0:
                takes = await _takes(step, ctx, given, meter, float(np.median(rest)))
    finally:
        step.close()
        await node.close()
    others += [n for c, w in zip(cpu, waited, strict=True) if (n := others_of(int(c), int(w), Host.here().cpus)) is not None]
    return StepProfile(cpu=Spread.of(cpu), rest=Spread.of(rest), wall=Spread.of(cpu + rest), gil=gil, takes=takes)


async def source_alone(info: NodeInfo, plan: Plan) -> SourceMeter | None:
    """The source with nothing behind it, for a moment; None where it brings too little in it."""
    node = info.make()
    ctx = _context(info, node, plan)
    meter = SourceMeter(ctx.clock)
    try:
        await node.open(ctx)
    except OmniStreamError:
        return None
    try:
        stream = metered_source(node.run, meter)(ctx)
        try:
            async with asyncio.timeout(_SOURCE_S):
                async for _ in stream:
                    pass
        except TimeoutError:
            pass
        finally:
            await stream.aclose()  # type: ignore[attr-defined]
    except Exception:
        return None
    finally:
        await node.close()
    return meter if meter.count >= 10 else None


async def _step(step: MeteredStep, ctx: Context, one: Given) -> None:
    ctx.now, ctx.cause, ctx.deadline = one.now, one.cause, one.deadline
    if step.inline:
        step.call(one.args)
    else:
        await step.wait(one.args, _nothing)


async def _gil(step: MeteredStep, ctx: Context, given: Sequence[Given], meter: Meter) -> float:
    """In how much of a step's computing nobody else in the process can: how late another thread is that sleeps meanwhile."""
    naps: list[tuple[int, int]] = []
    ended = threading.Event()

    def sleeper() -> None:
        while not ended.is_set():
            due, waited = perf_ns() + 500_000, waited_ns()
            pause(0.0005)
            naps.append((due, perf_ns() - (waited_ns() - waited)))  # what it waited for a core is nobody's lock

    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.1)
    thread = threading.Thread(target=sleeper)
    thread.start()
    meter.spans.clear()
    try:
        for one in given[-_GIL_STEPS:]:
            await _step(step, ctx, one)
            await asyncio.sleep(0.005)
    finally:
        ended.set()
        thread.join()
        sys.setswitchinterval(interval)
    inside = sum(max(0, min(woken, over) - max(due, began)) for began, over in meter.spans for due, woken in naps)
    share = inside / max(1, sum([*meter.cpu][-len(meter.spans) :]))
    return 0.0 if share < 0.25 else 1.0 if share > 0.75 else round(share, 2)


async def _takes(step: MeteredStep, ctx: Context, given: Sequence[Given], meter: Meter, rest_ns: float) -> float:
    """How often a step that computes without Python's lock wants it back: beside one who never lets go of it by himself,
    each time costs a switching interval."""
    ended = threading.Event()

    def spinner() -> None:
        while not ended.is_set():
            pass

    thread = threading.Thread(target=spinner)
    before = len(meter.wall)
    thread.start()
    try:
        for one in given[-_GIL_STEPS:]:
            await _step(step, ctx, one)
    finally:
        ended.set()
        thread.join()
    new = [np.asarray(v, np.float64)[before:] for v in (meter.wall, meter.cpu, meter.waited)]
    delays = (new[0] - new[1] - new[2] - rest_ns) / 1e9 / sys.getswitchinterval()
    beginning = 0.0 if step.kind == "inline" else 1.0
    return round(max(1.0, float(np.median(delays)) - beginning), 1) if len(delays) else 1.0


async def _nothing(_: Any) -> None:
    return None


def _context(info: NodeInfo, node: Any, plan: Plan, variant: str = "") -> Context:
    clock = SystemClock()
    rng = np.random.default_rng([0, crc32(info.name.encode()), 0])
    threads = plan.threads().get(info.name, 1)
    return context_of(
        info, node, clock=clock, rng=rng, report=lambda *_: None, start_ns=clock.now(), threads=threads, variant=variant,
        variants=(variant,) if variant else (),
    )  # fmt: skip
