"""A plan in virtual time: the flow's rules with the profile's costs, on the host's cores. No clock is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from omnistream.flow.cell import Cell, OutPort
from omnistream.flow.edge import Edge
from omnistream.flow.port import InEdge
from omnistream.flow.ports import make_port
from omnistream.graph.budget.cores import Cores, Events
from omnistream.graph.budget.draws import Draws
from omnistream.graph.budget.links import DirectBack, DirectLink, FarBack, FarLink
from omnistream.graph.budget.loop import Loop, Turns
from omnistream.graph.budget.parts import Bag, Costs, Seen, SimNode
from omnistream.graph.budget.profile import (
    HopProfile,
    HostProfile,
    NodeProfile,
    SourceProfile,
    Spread,
    StepProfile,
    StreamProfile,
)
from omnistream.graph.budget.sources import Rhythm, SimSource
from omnistream.graph.budget.trace import Trace
from omnistream.graph.graph import NodeInfo, Plan
from omnistream.graph.wiring import Wire, wires
from omnistream.message import INFINITY, MS, SECOND, AudioChunk

__all__ = ["FIRINGS", "Declared", "Simulated", "simulate", "step_of"]

#: So many firings are simulated in all, and so many seconds at most: enough for a p99, and less than a second of work.
FIRINGS = 20_000
LONGEST_NS = 120 * SECOND
#: Sources that are not in step with each other meet in so many different ways.
PARTS = 4
#: Between the messages of a source that brought none.
_NEVER_US = 1e12
#: Others on the host are so many for so long.
_OTHERS_NS = 50 * MS
_START = 1_700_000_000 * SECOND


@dataclass(frozen=True, slots=True)
class Declared:
    """What a source's class says of itself (`omnistream.node.Source`)."""

    period_ns: int = 0
    delay_ns: int = 0


@dataclass(slots=True)
class Simulated:
    """What came of it: ages and ways, how busy nodes, loops and cores were (1: always)."""

    seen: Seen
    busy: dict[str, float]
    loops: dict[str, float]
    cores: float
    seconds: float


def simulate(
    plan: Plan, host: HostProfile, *, engine: Literal["ray", "local"] = "ray", variants: Mapping[str, str] | None = None,
    declared: Mapping[str, Declared] | None = None, cores: float | None = None, firings: int = FIRINGS, seed: int = 0,
) -> Simulated:  # fmt: skip
    """Run the plan on what was measured. The same arguments give the same result."""
    whole = Simulated(Seen(), {}, {}, 0.0, 0.0)
    for part in range(PARTS):
        run = _Run(plan, host, engine, variants or {}, declared or {}, cores or host.cores, seed * PARTS + part)
        run.go(firings // PARTS)
        _add(whole, run)
    seconds = whole.seconds or 1.0
    for values in (whole.busy, whole.loops):
        for name in values:
            values[name] /= seconds
    whole.cores /= seconds
    return whole


class _Run:
    """One of the parts."""

    def __init__(
        self, plan: Plan, host: HostProfile, engine: str, variants: Mapping[str, str], declared: Mapping[str, Declared],
        cores: float, seed: int,
    ) -> None:  # fmt: skip
        self.plan, self.host, self.engine, self.variants, self.declared = plan, host, engine, variants, declared
        self.draws = Draws(seed)
        self.chance = np.random.default_rng([seed, 1])
        self.events = Events()
        self.events.now = _START
        self.seen = Seen()
        self.traces: dict[str, list[Trace]] = {}
        self.nodes: dict[str, SimNode] = {}
        self.sources: dict[str, SimSource] = {}
        self.loops: dict[str, Loop] = {}
        self.turns: dict[str, Turns] = {}
        self.hosts: dict[Any, Cores] = {}
        self._cores = cores
        self._make_loops()
        graph = plan.graph
        self.outs = {n: {o: OutPort(o, f"{n}.{o}", 0) for o in i.outputs} for n, i in graph.nodes.items()}
        for outs in self.outs.values():
            for out in outs.values():
                out.bound = 0
                self.traces[out.stream] = []
        self.worker_of = {n: w.name for w in plan.workers for n in w.nodes}
        self._places = {w.name: _place(w.labels, engine) for w in plan.workers}
        every = wires(graph)
        into: dict[tuple[str, int], list[InEdge]] = {}
        ends: dict[int, InEdge] = {}
        for wire in every:
            edge = ends[wire.number] = InEdge(wire.key, wire.place, wire.config)
            edge.lost = _lost
            into.setdefault((wire.target, wire.port), []).append(edge)
        for info in graph.nodes.values():
            self._add_node(info, into)
        for wire in every:
            self._wire(wire, ends[wire.number])

    def _make_loops(self) -> None:
        wake = self.draws.of(self.host.wake)
        for worker in self.plan.workers:
            place = _place(worker.labels, self.engine)
            cores = self.hosts.setdefault(place, Cores(self.events, self._cores))
            name = worker.name if self.engine == "ray" else ""
            if name not in self.loops:
                self.loops[name] = Loop(self.events, cores, wake, int(self.host.switch_us * 1e3))
            self.loops[worker.name] = self.loops[name]
            self.turns[worker.name] = Turns(self.loops[name], int(self.host.turn_us * 1e3))

    # -- what there is --------------------------------------------------------------------------------

    def _add_node(self, info: NodeInfo, into: Mapping[tuple[str, int], list[InEdge]]) -> None:
        found = self.host.nodes.get(info.name)
        profile = found or NodeProfile(role=info.role, use=info.use)
        loop = self.loops[self.worker_of[info.name]]
        outs = self.outs[info.name]
        budget = self.plan.graph.budget_ns
        if info.role == "source":
            rhythm = self._rhythm(info, profile)
            payload = _payload(profile.outputs.get("out"))
            self.sources[info.name] = SimSource(
                info.name, loop, outs["out"], rhythm, payload, budget, self.host.firing_us * 1e3, self.traces
            )
            return
        ports = [make_port(p.config, into[info.name, i], p.form) for i, p in enumerate(info.inputs)]
        cell = Cell(info.name, ports, outs, budget)
        emits: dict[str, tuple[Callable[[], int], Any]] = {}
        for out in outs:
            stream = profile.outputs.get(out) or StreamProfile(per_firing=0.0 if found else 1.0)
            emits[out] = (self.draws.count(stream.per_firing), _payload(stream))
        costs = self._costs(info, profile)
        self.nodes[info.name] = SimNode(
            info.name, self.turns[self.worker_of[info.name]], cell, costs, emits, self.seen, self.traces
        )

    def _costs(self, info: NodeInfo, profile: NodeProfile) -> Costs:
        step = step_of(profile, self.variants.get(info.name))
        kind = profile.kind if profile.kind != "none" else "thread" if info.blocking else "inline"
        return Costs(
            kind, self.draws.of(step.cpu), self.draws.of(step.rest), step.gil, step.takes, self.host.firing_us * 1e3,
            step.wall.at(0.5) * 1e3 if info.role == "node" else 0.0,
        )  # fmt: skip

    def _rhythm(self, info: NodeInfo, profile: NodeProfile) -> Rhythm:
        said = self.declared.get(info.name, Declared())
        source = profile.source or SourceProfile(interval=Spread(), late=Spread(), cpu=Spread())
        interval = source.interval
        if not interval.n:  # it brought nothing, or was not there
            interval = Spread.flat(max(1.0, said.period_ns / 1e3) if profile.source is None and said.period_ns else _NEVER_US)
        mean = max(1.0, interval.mean)
        by = said.period_ns / 1e3 / mean if said.period_ns and mean < _NEVER_US else 1.0
        exact = source.exact and profile.use == info.use
        interval = interval.scaled(by) if abs(by - 1.0) > 0.02 else interval
        phase = self.chance.random() * interval.mean * 1e3
        return Rhythm(
            self.draws.of(interval, least=1.0), self.draws.of(source.late), self.draws.of(source.cpu),
            _START + int(phase), source.stamped, exact, said.period_ns, said.delay_ns,
        )  # fmt: skip

    def _wire(self, wire: Wire, end: InEdge) -> None:
        owner: SimNode | SimSource = self.sources.get(wire.source) or self.nodes[wire.source]
        receiver = self.nodes[wire.target]
        port = receiver.cell.ports[wire.port]
        edge = Edge(wire.key, wire.config.queue, fresh=False, lost=_lost)
        edge.tracked, edge.in_flight, edge.wake = wire.tracked, wire.config.in_flight, owner.room_again
        self.outs[wire.source][wire.output].edges.append(edge)
        if isinstance(owner, SimNode):
            owner.cell.out_edges.append(edge)
        a, b = self.worker_of[wire.source], self.worker_of[wire.target]
        if a == b:
            edge.link, end.back = DirectLink(receiver, port, end), DirectBack(edge, owner)
            edge.beyond = receiver.passed
            return
        kind = "worker" if self.engine == "local" else "process" if self._places[a] == self._places[b] else "host"
        source = self.host.nodes.get(wire.source)
        stream = source.outputs.get(wire.output) if source else None
        hop, small = (hop_of(self.host, kind, size) for size in (stream.bytes if stream else 0.0, 0.0))
        link = FarLink(receiver, port, end, self.loops[a], self.draws.of(hop.latency, least=0.0), self.draws.of(hop.cpu))
        edge.link, edge.beyond = link, link.beyond
        end.back = FarBack(edge, owner, self.draws.of(small.latency, least=0.0))

    # -- running ---------------------------------------------------------------------------------------

    def go(self, firings: int) -> None:
        for source in self.sources.values():
            source.start()
        if self.host.others.q[-1] > 0:
            draw = self.draws.of(self.host.others, by=1e-3)
            for cores in self.hosts.values():
                self._beside(cores, draw)
        rhythms = [max(MS, n.source.interval.mean * 1e3) for n in self.host.nodes.values() if n.source and n.source.interval.n]
        warm = min(2 * SECOND, int(20 * max(rhythms, default=100 * MS)))
        self.seen.from_ns = INFINITY
        self.events.run(_START + warm, lambda: self.seen.firings >= firings // 8)
        self.seen.from_ns = self.events.now
        self._warm = (self.events.now, self._busy(), {n: v.busy_ns for n, v in self._own_loops().items()})
        self._warm_cores = sum(c.busy_ns for c in self.hosts.values())
        self.events.run(_START + LONGEST_NS // PARTS, lambda: self.seen.firings >= firings)

    def _beside(self, cores: Cores, draw: Callable[[], float]) -> None:
        """Others come and go."""
        cores.beside(draw())
        self.events.at(self.events.now + _OTHERS_NS, lambda: self._beside(cores, draw))

    def _own_loops(self) -> dict[str, Loop]:
        return {w.name: self.loops[w.name] for w in self.plan.workers}

    def _busy(self) -> dict[str, float]:
        now = self.events.now
        return {n: v.busy_ns + (now - v.began if v.cell.firing is not None else 0.0) for n, v in self.nodes.items()}

    def since_warm(self) -> tuple[float, dict[str, float], dict[str, float], float]:
        """Seconds, and in them: nodes' and loops' busy seconds, and seconds of all cores."""
        at, busy, loops = self._warm
        seconds = max(1, self.events.now - at) / SECOND
        return (
            seconds,
            {n: (v - busy[n]) / SECOND for n, v in self._busy().items()},
            {n: (v.busy_ns - loops[n]) / SECOND for n, v in self._own_loops().items()},
            (sum(c.busy_ns for c in self.hosts.values()) - self._warm_cores) / SECOND / self._cores / max(1, len(self.hosts)),
        )  # fmt: skip


def _add(whole: Simulated, run: _Run) -> None:
    seconds, busy, loops, cores = run.since_warm()
    whole.seconds += seconds
    whole.cores += cores
    for into, values in ((whole.busy, busy), (whole.loops, loops)):
        for name, value in values.items():
            into[name] = into.get(name, 0.0) + value
    seen, new = whole.seen, run.seen
    for way, ages in new.ages.items():
        seen.ages.setdefault(way, []).extend(ages)
        seen.legs.setdefault(way, []).extend(new.legs[way])
    for counts, more in ((seen.late, new.late), (seen.fired, new.fired)):
        for way, count in more.items():
            counts[way] = counts.get(way, 0) + count
    for port, lags in new.lags.items():
        seen.lags.setdefault(port, []).extend(lags)
    for port, count in new.joined.items():
        seen.joined.setdefault(port, [0])[0] += count[0]
    seen.firings += new.firings


def step_of(profile: NodeProfile, variant: str | None = None) -> StepProfile:
    """What a firing of a node takes; of its first variant, unless one is named that was measured. Nothing if none was."""
    if variant is not None and variant in profile.alone and variant != next(iter(profile.alone)):
        return profile.alone[variant]
    if profile.alone:
        first = next(iter(profile.alone.values()))
        # What a step computes is the same among others; of the run there are more, and rarer ones.
        return first.model_copy(update={"cpu": profile.cpu}) if profile.cpu.n > first.cpu.n else first
    return StepProfile(cpu=Spread(), rest=Spread(), wall=Spread())


def hop_of(host: HostProfile, kind: str, size: float) -> HopProfile:
    """A hop of that many bytes: between the sizes that were measured, in proportion."""
    hops = sorted((h for h in host.hops if h.kind == kind), key=lambda h: h.bytes)
    if not hops:
        us = {"worker": (5.0, 20.0), "process": (400.0, 60.0), "host": (700.0, 150.0)}[kind]
        return HopProfile(kind=kind, bytes=0, latency=Spread.flat(us[0]), cpu=Spread.flat(us[1]))  # type: ignore[arg-type]
    above = next((h for h in hops if h.bytes >= size), hops[-1])
    below = next((h for h in reversed(hops) if h.bytes <= size), hops[0])
    if above.bytes == below.bytes:
        by = size / above.bytes if above.bytes and size > above.bytes else 1.0
        return (
            above if by == 1.0 else above.model_copy(update={"latency": above.latency.scaled(by), "cpu": above.cpu.scaled(by)})
        )
    part = (size - below.bytes) / (above.bytes - below.bytes)
    return HopProfile(
        kind=above.kind, bytes=int(size), latency=_between(below.latency, above.latency, part),
        cpu=_between(below.cpu, above.cpu, part),
    )  # fmt: skip


def _between(a: Spread, b: Spread, part: float) -> Spread:
    return Spread(n=min(a.n, b.n), q=[x + (y - x) * part for x, y in zip(a.q, b.q, strict=True)])


def _place(labels: Mapping[str, str], engine: str) -> Any:
    """Workers that ask for different hosts of a cluster are on different ones."""
    return tuple(sorted(labels.items())) if engine == "ray" else ()


def _payload(stream: StreamProfile | None) -> Any:
    if stream is not None and stream.samples and stream.rate_hz:
        return AudioChunk(np.zeros(stream.samples, np.int16), stream.rate_hz)
    return Bag()


def _lost(*_: Any) -> None:
    """What is lost in a simulation is counted by its edges."""
