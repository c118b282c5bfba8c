"""What to change where a plan cannot hold its budget, each proposal tried in the simulation."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice

from omnistream.flow.config import Queue
from omnistream.graph.budget.predict import MAY_BE_LATE, PathTime, Prediction, Setup, predict
from omnistream.graph.budget.profile import HostProfile
from omnistream.graph.budget.simulate import Declared, step_of
from omnistream.graph.graph import Graph, NodeInfo, Plan
from omnistream.message import MS

__all__ = ["advise"]

#: A proposal is tried with so few firings, so many proposals at most.
_FIRINGS, _MOST = 3_000, 8
_SENTENCES = 3
_RATES = ("fps", "rate_hz")
_SLOWER = (0.75, 2 / 3, 0.5, 1 / 3, 0.25)


@dataclass(frozen=True, slots=True)
class _Change:
    words: str
    setup: Setup


def advise(setup: Setup, found: Prediction) -> Prediction:
    """The prediction with a sentence for each path that is over its budget."""
    late = [p for p in found.paths if not p.fits][:_SENTENCES]
    return dataclasses.replace(found, advice=tuple(_sentence(setup, p, found.budget_ms) for p in late))


def _sentence(setup: Setup, path: PathTime, budget_ms: float) -> str:
    worst = max(path.parts[1:], key=lambda p: p.tail)  # what a source is late nobody can change here
    name = path.bottleneck if path.bottleneck in path.nodes and path.used > 0.95 else worst.node
    if not worst.tail:  # nothing has come through, so nothing was timed
        name = path.nodes[-1]
    part = next(p for p in path.parts if p.node == name)
    if part.tail:
        says = f"{name} takes {part.tail:.0f} ms p99 of {budget_ms:.0f}"
        says += f", of which {setup.spare:.0%} are to be left to spare" if setup.spare else ""
    else:
        says = f"{name} takes {_typical(setup, name):.0f} ms, too long for what is left of {budget_ms:.0f}"
    if path.used > 0.95:
        says += f", and {path.bottleneck if path.bottleneck != name else 'it'} has no time left"
    best = ""
    for change in _changes(setup, path, name):
        after = _after(change.setup, path)
        if after is not None and after <= budget_ms:
            return f"{says}; {change.words} makes it {after:.0f} ms"
        if after is not None and not best and after < path.needs * 0.8:
            best = f"; {change.words} makes it {after:.0f} ms, which is not enough"
    if path.needs != float("inf"):
        best += f"; `budget: {_round_up(path.needs)}ms` would hold"
    return says + (best or "; give it a cheaper step, or fewer messages")


def _after(setup: Setup, path: PathTime) -> float | None:
    """What the same way needs after a change; None where too little comes by it in time."""
    after = predict(setup, _FIRINGS)
    ways = [p for p in after.paths if p.nodes[: len(path.nodes)] == path.nodes]
    return max(p.needs for p in ways) if ways and all(p.late <= MAY_BE_LATE for p in ways) else None


def _typical(setup: Setup, name: str) -> float:
    """What a step takes, in milliseconds."""
    profile = setup.host.nodes.get(name)
    return step_of(profile, setup.variants.get(name)).wall.at(0.5) / 1e3 if profile is not None else 0.0


def _changes(setup: Setup, path: PathTime, name: str) -> Iterator[_Change]:
    """What could be changed, the least first."""
    yield from islice(chain(_variants(setup, path, name), _queues(setup, path), _lags(setup, path), _rates(setup, path)), _MOST)


def _variants(setup: Setup, path: PathTime, name: str) -> Iterator[_Change]:
    nodes = [name, *(n for n in path.nodes if n != name)]
    for node in nodes:
        profile = setup.host.nodes.get(node)
        if profile is None or len(profile.alone) < 2:
            continue
        now = setup.variants.get(node, next(iter(profile.alone)))
        cost = profile.alone[now].wall.mean
        for variant, step in profile.alone.items():
            if step.wall.mean < cost:
                words = f"variant '{variant}'" if node == name else f"variant '{variant}' of {node}"
                yield _Change(words, dataclasses.replace(setup, variants={**setup.variants, node: variant}))


def _queues(setup: Setup, path: PathTime) -> Iterator[_Change]:
    """A longer queue than `newest` on the way, where messages may be lost."""
    for before, node in zip(path.nodes, path.nodes[1:], strict=False):
        info = setup.plan.graph.nodes[node]
        for i, port in enumerate(info.inputs):
            reads = any(s.rpartition(".")[0] == before for s in port.streams)
            if reads and port.config.queue.droppable and port.config.queue.policy != "newest" and port.config.take == "each":
                config = dataclasses.replace(port.config, queue=Queue("newest"))
                inputs = (*info.inputs[:i], dataclasses.replace(port, config=config), *info.inputs[i + 1 :])
                words = f"`queue: newest` at {node}.{port.config.name}"
                yield _Change(words, _with(setup, dataclasses.replace(info, inputs=inputs)))


def _lags(setup: Setup, path: PathTime) -> Iterator[_Change]:
    """A join that waits: it could look a little further back instead."""
    for part in path.parts:
        info = setup.plan.graph.nodes[part.node]
        if part.wait < 1.0:
            continue
        for i, port in enumerate(info.inputs):
            if not port.config.triggers and port.config.wait_ns >= MS:
                lag = port.config.lag_ns + port.config.wait_ns * 2
                config = dataclasses.replace(port.config, lag_ns=lag)
                inputs = (*info.inputs[:i], dataclasses.replace(port, config=config), *info.inputs[i + 1 :])
                words = f"`lag: {lag // MS}ms` at {part.node}.{port.config.name}"
                yield _Change(words, _with(setup, dataclasses.replace(info, inputs=inputs)))


def _rates(setup: Setup, path: PathTime) -> Iterator[_Change]:
    """Fewer messages of the way's source."""
    name = path.nodes[0]
    profile = setup.host.nodes.get(name)
    if profile is None or profile.source is None:
        return
    now = 1e6 / max(1.0, profile.source.interval.mean)
    said = setup.declared.get(name, Declared())
    if said.period_ns:
        now = 1e9 / said.period_ns
    word = next((w for w in _RATES if w in setup.plan.graph.nodes[name].options), "")
    for share in _SLOWER:
        slower = profile.source.model_copy(update={"interval": profile.source.interval.scaled(1 / share)})
        nodes = {**setup.host.nodes, name: profile.model_copy(update={"source": slower})}
        host: HostProfile = setup.host.model_copy(update={"nodes": nodes})
        period = int(said.period_ns / share)
        declared = {**setup.declared, name: dataclasses.replace(said, period_ns=period)}
        unit = f"{name} {word}" if word else f"{name}, messages a second"
        words = f"{unit} {now:.3g} -> {now * share:.3g}"
        yield _Change(words, dataclasses.replace(setup, host=host, declared=declared))


def _with(setup: Setup, info: NodeInfo) -> Setup:
    graph: Graph = dataclasses.replace(setup.plan.graph, nodes={**setup.plan.graph.nodes, info.name: info})
    plan: Plan = dataclasses.replace(setup.plan, graph=graph)
    return dataclasses.replace(setup, plan=plan)


def _round_up(ms: float) -> int:
    step = 5 if ms < 100 else 10 if ms < 500 else 100
    return int(-(-ms * 1.05 // step) * step)
