"""What a plan will take on a host that was measured: each way from a source to a sink, its bottleneck, and its joins."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from omnistream.graph.budget.profile import HostProfile, options_key
from omnistream.graph.budget.simulate import FIRINGS, Declared, Simulated, simulate
from omnistream.graph.budget.trace import Leg, Trace
from omnistream.graph.graph import Graph, Plan
from omnistream.message import MS

__all__ = ["MAY_BE_LATE", "Join", "Part", "PathTime", "Prediction", "Setup", "declared_of", "predict"]

#: One effect in a hundred may be over the budget: the p99 is what has to hold.
MAY_BE_LATE = 0.01
_FIGURES = ("hop", "queue", "wait", "fill", "step", "tail")


@dataclass(frozen=True, slots=True)
class Part:
    """What one node of a way adds, in milliseconds: the mean, and what it is in the slowest hundredth."""

    node: str
    hop: float
    queue: float
    wait: float
    fill: float
    step: float
    tail: float

    @property
    def mean(self) -> float:
        return self.hop + self.queue + self.step


@dataclass(frozen=True, slots=True)
class PathTime:
    """One way from a source to a sink, in milliseconds from cause to effect.

    `late` is the share that is skipped or refused for being late. `limit` is how many effects a second the way can give
    at most, `bottleneck` what bounds it, and `used` how much of that is used (1: all). `needs` is the least budget that
    the way fits: the p99, and more where something is to be left to spare.
    """

    nodes: tuple[str, ...]
    p50: float
    p99: float
    needs: float
    n: int
    late: float
    rate: float
    limit: float
    bottleneck: str
    used: float
    parts: tuple[Part, ...]
    fits: bool

    def __str__(self) -> str:
        return " > ".join(self.nodes)


@dataclass(frozen=True, slots=True)
class Join:
    """A port that firings wait for: the share of them that go on without it, and the `lag` with which none would."""

    node: str
    port: str
    forced: float
    lag_ms: float
    take: str


@dataclass(frozen=True, slots=True)
class Prediction:
    """All of it. `cores` is how much of the host's cores is used (1: all)."""

    budget_ms: float
    paths: tuple[PathTime, ...]
    joins: tuple[Join, ...]
    cores: float
    seconds: float
    notices: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        return all(p.fits for p in self.paths)

    def as_dict(self) -> dict[str, Any]:
        """As plain values, for tools; what has no end is None."""
        return {
            "budget_ms": self.budget_ms,
            "fits": self.fits,
            "cores_used": round(self.cores, 3),
            "paths": [
                {
                    "nodes": list(p.nodes), "p50_ms": _finite(p.p50), "p99_ms": _finite(p.p99),
                    "needs_ms": _finite(p.needs), "n": p.n, "late_share": round(p.late, 4), "rate_hz": round(p.rate, 3),
                    "limit_hz": _finite(p.limit), "bottleneck": p.bottleneck, "bottleneck_used": round(p.used, 3),
                    "fits": p.fits,
                    "parts": [{"node": x.node} | {k: round(getattr(x, k), 3) for k in _FIGURES} for x in p.parts],
                }
                for p in self.paths
            ],
            "joins": [
                {"node": j.node, "port": j.port, "take": j.take, "forced_share": round(j.forced, 4), "lag_ms": j.lag_ms}
                for j in self.joins
            ],
            "silent_sinks": list(self.silent),
            "notices": list(self.notices),
            "advice": list(self.advice),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Setup:
    """What is simulated, and the share of the budget (0 to below 1) that is to be left to spare."""

    plan: Plan
    host: HostProfile
    engine: Literal["ray", "local"] = "ray"
    variants: Mapping[str, str] = field(default_factory=dict)
    declared: Mapping[str, Declared] = field(default_factory=dict)
    cores: float | None = None
    seed: int = 0
    spare: float = 0.0

    def simulate(self, firings: int = FIRINGS) -> Simulated:
        return simulate(
            self.plan, self.host, engine=self.engine, variants=self.variants, declared=self.declared, cores=self.cores,
            firings=firings, seed=self.seed,
        )  # fmt: skip


def predict(setup: Setup, firings: int = FIRINGS) -> Prediction:
    """What the plan takes, by simulation; the same each time.

    With something to spare a way fits only if its p99 leaves that much of the budget over, and if it would still hold were
    each step so much slower as to use it up: close to what a loop or a core can take, a little more to do makes queues
    longer by far more.
    """
    run = setup.simulate(firings)
    graph = setup.plan.graph
    budget_ms = graph.budget_ns / MS
    paths = _paths(setup.plan, run, budget_ms)
    if setup.spare:
        slower = dataclasses.replace(setup, host=setup.host.slower(1 / (1 - setup.spare)))
        then = {p.nodes: p for p in _paths(setup.plan, slower.simulate(firings), budget_ms)}
        paths = tuple(_with_spare(p, then.get(p.nodes), budget_ms, setup.spare) for p in paths)
    reached = {p.nodes[-1] for p in paths}
    silent = tuple(n for n, i in graph.nodes.items() if i.role == "sink" and n not in reached)
    return Prediction(budget_ms, paths, _joins(graph, run), run.cores, run.seconds, _notices(setup), silent)


def _with_spare(path: PathTime, slower: PathTime | None, budget_ms: float, spare: float) -> PathTime:
    needs = max(path.p99 / (1 - spare), slower.p99 if slower is not None else math.inf)
    return dataclasses.replace(path, needs=needs, fits=path.fits and needs <= budget_ms)


def declared_of(graph: Graph) -> dict[str, Declared]:
    """What the graph's sources declare. Makes their objects, and opens none."""
    found: dict[str, Declared] = {}
    for info in graph.nodes.values():
        if info.role == "source":
            source = info.make()
            found[info.name] = Declared(int(source.period_ns), int(source.delay_ns))
    return found


def _finite(value: float) -> float | None:
    return round(value, 3) if math.isfinite(value) else None


def _paths(plan: Plan, run: Simulated, budget_ms: float) -> tuple[PathTime, ...]:
    worker = {n: w.name for w in plan.workers for n in w.nodes}
    found: list[PathTime] = []
    for way, ages in run.seen.ages.items():
        late = _late(way, run)
        sorted_ms = np.sort(np.asarray(ages)) / MS
        p50, p99 = (_quantile(sorted_ms, late, q) for q in (0.5, 0.99))
        name, used = _bottleneck(way, worker, run)
        rate = len(ages) / run.seconds
        limit = rate / used if used else float("inf")
        fits = late <= MAY_BE_LATE and p99 <= budget_ms
        parts = _parts(run.seen.legs[way], ages)
        found.append(PathTime(way, p50, p99, p99, len(ages), late, rate, limit, name, used, parts, fits))
    for way, count in run.seen.late.items():
        share = count / run.seen.fired[way]
        if share > MAY_BE_LATE and not any(p[: len(way)] == way for p in run.seen.ages):  # nothing ever came through
            name, used = _bottleneck(way, worker, run)
            nothing = tuple(Part(n, 0, 0, 0, 0, 0, 0) for n in way)
            never = float("inf")
            found.append(PathTime(way, never, never, never, count, share, 0.0, 0.0, name, used, nothing, fits=False))
    return tuple(sorted(found, key=lambda p: -p.p99))


def _late(way: tuple[str, ...], run: Simulated) -> float:
    """The share that is skipped or refused somewhere on a way."""
    passes = 1.0
    for i in range(1, len(way) + 1):
        fired = run.seen.fired.get(way[:i], 0)
        passes *= 1 - run.seen.late.get(way[:i], 0) / fired if fired else 1.0
    return 1 - passes


def _quantile(sorted_ms: Any, late: float, q: float) -> float:
    """Of all, of which the share `late` is later than any that came."""
    at = q / max(1e-9, 1 - late)
    return float("inf") if at > 1 else float(np.interp(at * (len(sorted_ms) - 1), np.arange(len(sorted_ms)), sorted_ms))


def _bottleneck(way: Sequence[str], worker: Mapping[str, str], run: Simulated) -> tuple[str, float]:
    """What is used most of all that the way needs: a node, the event loop of a worker, or the cores."""
    nodes = [(run.busy.get(n, 0.0), 2, n) for n in way]
    loops = [(run.loops.get(w, 0.0), 1, f"the event loop of {w}") for w in dict.fromkeys(worker[n] for n in way)]
    used, _, name = max([*nodes, *loops, (run.cores, 0, "the cores")])
    return name, min(1.0, used)


def _parts(traces: Sequence[Trace], ages: Sequence[float]) -> tuple[Part, ...]:
    """Means over messages; and over the slowest hundredth, at least five, what each node added."""
    slowest = set(np.argsort(np.asarray(ages))[-max(5, len(ages) // 100) :].tolist())
    every = [t.legs() for t in traces]
    parts: list[Part] = []
    for i, leg in enumerate(every[0]):
        column = [legs[i] for legs in every]
        mean = {k: sum(getattr(x, k) for x in column) / len(column) / MS for k in ("hop", "queue", "wait", "fill", "step")}
        tail = sum(_whole(column[j]) for j in slowest) / len(slowest) / MS
        parts.append(Part(leg.node, **mean, tail=tail))
    return tuple(parts)


def _whole(leg: Leg) -> float:
    return leg.hop + leg.queue + leg.step


def _joins(graph: Graph, run: Simulated) -> tuple[Join, ...]:
    found: list[Join] = []
    for (node, port), (count,) in run.seen.joined.items():
        info = graph.nodes[node]
        if len(info.inputs) == 1 and len(info.inputs[0].streams) == 1:
            continue
        lags = run.seen.lags.get((node, port), [])
        config = next(i.config for i in info.inputs if i.config.name == port)
        lag_ms = float(np.ceil((max(lags, default=0.0)) / MS))
        found.append(Join(node, port, min(1.0, len(lags) / max(1, count)), lag_ms if lags else config.lag_ns / MS, config.take))
    return tuple(found)


def _notices(setup: Setup) -> tuple[str, ...]:
    graph, host = setup.plan.graph, setup.host
    notices: list[str] = []
    missing = [n for n in graph.nodes if n not in host.nodes]
    if missing:
        notices.append(f"not in the profile, so counted as nothing: {', '.join(missing)}; run `omnistream profile` again")
    other = [
        n for n, i in graph.nodes.items()
        if i.role != "source" and n in host.nodes and host.nodes[n].options not in ("", options_key(i))
    ]  # fmt: skip
    if other:
        notices.append(f"measured with other options than now: {', '.join(other)}; run `omnistream profile` again")
    few = [n for n, i in graph.nodes.items() if i.role == "node" and n in host.nodes and host.nodes[n].firings < 20]
    if few:
        notices.append(f"fewer than 20 firings were measured of {', '.join(few)}; a longer recording tells more")
    return tuple(notices)
