"""Measures a graph on this host: a live run of it without actuators, then each step alone with what it was given there."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import numpy as np

from omnistream.clock import SystemClock, cpu_ns, pause, perf_ns, unix_ns
from omnistream.engine.conductor import Conductor
from omnistream.engine.contexts import context_of
from omnistream.engine.hops import Engine, disturbance, measure_engine
from omnistream.engine.hosted import Hosted
from omnistream.engine.local import LocalCrew
from omnistream.engine.meter import Given, Meter, MeteredStep, NoStep, SourceMeter, metered_source
from omnistream.engine.options import RunOptions
from omnistream.engine.runqueue import others_of, waited_ns
from omnistream.engine.worker import TURN_NS, Worker
from omnistream.errors import OmniStreamError
from omnistream.graph.budget.profile import (
    HostProfile,
    NodeProfile,
    SourceProfile,
    Spread,
    StepProfile,
    StreamProfile,
    cpu_model,
    options_key,
    versions_here,
)
from omnistream.graph.graph import NodeInfo, Plan
from omnistream.graph.host import Host
from omnistream.node import Context, ports_of
from omnistream.observe.usage import host_busy_s

__all__ = ["Measured", "measure"]

#: Each node is stepped alone for so long, and so often; between steps others would have had the caches.
_ALONE_S, _PAUSE_S = 2.0, 0.002
_SOURCE_S = 1.5
#: A step as short as this ends before anybody could want Python's lock for long.
_SHORT_NS = 2_000_000
_GIL_STEPS = 6


@dataclass(slots=True)
class Measured:
    """The host's part of a profile, and what to tell about it."""

    host: HostProfile
    notices: list[str] = field(default_factory=list)


class ProfileCrew(LocalCrew):
    """The local engine with a meter at each node and source. Actuators stay shut; what is for them is taken and forgotten."""

    def __init__(self, plan: Plan, clock: SystemClock, options: RunOptions) -> None:
        super().__init__(plan, clock, options)
        self.meters: dict[str, Meter] = {}
        self.kinds: dict[str, str] = {}
        self.source_meters: dict[str, SourceMeter] = {}
        self.shut: list[str] = []

    def _make(self, name: str, options: RunOptions) -> Worker:
        worker = super()._make(name, options)
        for hosted in worker.nodes.values():
            hosted.step.close()
            if hosted.info.role == "sink" and hosted.node.actuator:
                self.shut.append(f"'{hosted.name}' moves a real robot, so it was not opened")
                hosted.node = worker.objects[hosted.name] = _Shut()
                hosted.step = NoStep()
                continue
            if hosted.info.role == "sink":
                worker.objects[hosted.name] = hosted.node = _Sink(hosted, self)
            meter = self.meters[hosted.name] = Meter(hosted.ports, hosted.ctx, keeps=hosted.info.role == "node")
            blocking = hosted.info.role == "node" and hosted.info.blocking
            function = getattr(hosted.node, "write" if hosted.info.role == "sink" else "step")
            step = MeteredStep(function, generator=hosted.ports.generator, blocking=blocking, meter=meter)
            hosted.step, self.kinds[hosted.name] = step, step.kind
        for source in worker.sources.values():
            meter = self.source_meters[source.name] = SourceMeter(self.clock)
            object.__setattr__(source.node, "run", metered_source(source.node.run, meter))
        return worker


class _Shut:
    """An actuator that is not opened."""

    actuator = False

    async def open(self, ctx: Context) -> None: ...

    async def close(self) -> None: ...

    async def safe(self, reason: str) -> None: ...

    async def resume(self) -> None: ...


class _Sink:
    """A sink; one that cannot be opened, such as for want of a broker, is done without."""

    actuator = False

    def __init__(self, hosted: Hosted, crew: ProfileCrew) -> None:
        self._hosted, self._crew, self._sink = hosted, crew, hosted.node
        self.write = hosted.node.write

    async def open(self, ctx: Context) -> None:
        try:
            await self._sink.open(ctx)
        except OmniStreamError as error:
            self._crew.shut.append(f"{error}: '{self._hosted.name}' was done without")
            self._crew.meters.pop(self._hosted.name)
            self._hosted.step.close()
            self._hosted.step, self._sink = NoStep(), _Shut()

    async def close(self) -> None:
        await self._sink.close()

    async def safe(self, reason: str) -> None:
        await self._sink.safe(reason)

    async def resume(self) -> None:
        await self._sink.resume()


async def measure(plan: Plan, for_s: float | None, until: Sequence[str] = (), known: HostProfile | None = None) -> Measured:
    """Measure the graph of `plan`, which is in one worker, for `for_s` seconds or until its sources have ended.

    `known` is what an earlier measurement says of this host: what the engine takes is not measured again. Raises
    OmniStreamError where the graph cannot run.
    """
    engine = Engine(known.firing_us, tuple(known.hops)) if known is not None and known.hops else await measure_engine()
    clock = SystemClock()
    crew = ProfileCrew(plan, clock, RunOptions(start_ns=clock.now(), offset_ns=clock.offset_ns))
    conductor = Conductor(plan, crew, clock, fresh=False)
    before = await disturbance(0.3)
    others: list[float] = []
    busy, own = host_busy_s(), cpu_ns()
    began = perf_ns()
    await conductor.run(until, for_s)
    seconds = max(0.001, (perf_ns() - began) / 1e9)
    load = max(0.0, (host_busy_s() - busy - (cpu_ns() - own) / 1e9) / seconds)
    after = await disturbance(0.3)
    notices = [f"{why}, and counts as nothing" for why in crew.shut]
    nodes: dict[str, NodeProfile] = {}
    for info in plan.graph.nodes.values():
        if info.role == "source":
            nodes[info.name] = await _source(info, crew, plan)
        elif info.name in crew.meters:
            nodes[info.name] = await _node(info, crew, plan, notices, others)
        else:
            nodes[info.name] = NodeProfile(role=info.role, use=info.use, options=options_key(info), kind="inline")
    host = HostProfile(
        cpu=cpu_model(), cores=Host.here().cpus, versions=versions_here(), measured_unix_s=unix_ns() // 10**9,
        seconds=round(seconds, 2), load=round(load, 2), wake=Spread.of([*before[0], *after[0]]),
        others=Spread.of(1e3 * np.asarray([*before[1], *after[1], *others])), switch_us=sys.getswitchinterval() * 1e6,
        turn_us=TURN_NS / 1e3, firing_us=engine.firing_us, hops=list(engine.hops), nodes=nodes,
    )  # fmt: skip
    return Measured(host, notices)


# -- nodes -------------------------------------------------------------------------------------------


async def _node(
    info: NodeInfo, crew: ProfileCrew, plan: Plan, notices: list[str], others: list[float]
) -> NodeProfile:  # fmt: skip
    meter = crew.meters[info.name]
    firings = len(meter.wall)
    alone: dict[str, StepProfile] = {}
    if info.role == "node" and meter.given and not info.external:
        for variant in info.variants or ("",):
            try:
                alone[variant] = await _alone(info, meter.given, variant, plan, others)
            except Exception as error:  # it has run before; what it says now is said, and the run's figures stay
                notices.append(f"'{info.name}' cannot be stepped alone: {type(error).__name__}: {error}")
                break
    if not alone and firings:
        wall, cpu, waited = (np.asarray(v, np.int64) for v in (meter.wall, meter.cpu, meter.waited))
        rest = np.maximum(0, wall - cpu - waited)
        step = StepProfile(cpu=Spread.of(cpu), rest=Spread.of(rest), wall=Spread.of(cpu + rest))
        alone[info.variants[0] if info.variants else ""] = step
    outputs: dict[str, StreamProfile] = {}
    for out in info.outputs:
        count = meter.emitted[out]
        rate, size = round(count / max(1, firings), 5), round(meter.bytes[out] / max(1, count), 1)
        outputs[out] = StreamProfile(per_firing=rate, bytes=size, **_chunk(meter.chunks.get(out)))
    return NodeProfile(
        role=info.role, use=info.use, options=options_key(info), kind=crew.kinds[info.name], firings=firings,  # type: ignore[arg-type]
        together=Spread.of(meter.wall), cpu=Spread.of(meter.cpu), alone=alone, outputs=outputs,
    )  # fmt: skip


def _chunk(counts: Counter[tuple[int, int]] | None) -> dict[str, int]:
    if not counts:
        return {}
    samples, rate_hz = counts.most_common(1)[0][0]
    return {"samples": samples, "rate_hz": rate_hz}


async def _alone(info: NodeInfo, given: Sequence[Given], variant: str, plan: Plan, others: list[float]) -> StepProfile:
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


# -- sources -----------------------------------------------------------------------------------------


async def _source(info: NodeInfo, crew: ProfileCrew, plan: Plan) -> NodeProfile:
    ran = crew.source_meters[info.name]
    alone = await _source_alone(info, plan) or ran
    firings = max(1, ran.count)
    chunk = _chunk(ran.chunks)
    source = SourceProfile(
        interval=Spread.of(np.maximum(1, np.diff(np.asarray(ran.stamps)))) if len(ran.stamps) > 1 else Spread(),
        late=Spread.of(alone.late), cpu=Spread.of(alone.cpu), stamped=ran.stamped * 2 > ran.count,
        exact=ran.bounded * 2 > ran.count,
    )  # fmt: skip
    outputs = {"out": StreamProfile(per_firing=1.0, bytes=round(ran.bytes / firings, 1), **chunk)}
    return NodeProfile(
        role="source", use=info.use, options=options_key(info), firings=ran.count, outputs=outputs, source=source
    )  # fmt: skip


async def _source_alone(info: NodeInfo, plan: Plan) -> SourceMeter | None:
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
