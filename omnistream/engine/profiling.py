"""Measures a graph on this host: a live run of it without actuators, then each node alone with what it was given there."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from omnistream.clock import SystemClock, cpu_ns, perf_ns, unix_ns
from omnistream.engine.alone import node_alone, source_alone
from omnistream.engine.conductor import Conductor
from omnistream.engine.hops import Engine, disturbance, measure_engine
from omnistream.engine.hosted import Hosted
from omnistream.engine.local import LocalCrew
from omnistream.engine.meter import Meter, MeteredStep, NoStep, SourceMeter, metered_source
from omnistream.engine.options import RunOptions
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
from omnistream.node import Context
from omnistream.observe.usage import host_busy_s

__all__ = ["Measured", "measure"]


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
                alone[variant] = await node_alone(info, meter.given, variant, plan, others)
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


# -- sources -----------------------------------------------------------------------------------------


async def _source(info: NodeInfo, crew: ProfileCrew, plan: Plan) -> NodeProfile:
    ran = crew.source_meters[info.name]
    alone = await source_alone(info, plan) or ran
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
