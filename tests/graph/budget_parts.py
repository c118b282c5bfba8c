"""Plans and profiles of known costs, for the tests of prediction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from omnistream.graph.budget.predict import Prediction, Setup, predict
from omnistream.graph.budget.profile import HostProfile, NodeProfile, SourceProfile, Spread, StepProfile, StreamProfile
from omnistream.graph.budget.simulate import Declared
from omnistream.graph.graph import Plan
from omnistream.graph.host import Host
from omnistream.graph.load import parse_graph
from omnistream.graph.plan import make_plan
from omnistream.message import MS, Text, Window
from omnistream.node import Context, Node, Sink, Source

FIRING_US = 20.0


@dataclass(kw_only=True)
class Come(Source):
    """Never brings anything: its rhythm is in the profile."""

    fps: float = 0.0

    async def run(self, ctx: Context) -> AsyncIterator[Text]:
        return
        yield


class Work(Node):
    """One after the other."""

    async def step(self, item: Text) -> Text | None:
        return item


class Heavy(Work):
    """In a thread."""

    blocking: ClassVar[bool] = True
    variants: ClassVar[tuple[str, ...]] = ("full", "small")


class Gather(Node):
    """A window of them."""

    async def step(self, items: Window[Text]) -> Text | None:
        return None


class Meet(Node):
    """One, and the latest of another."""

    async def step(self, item: Text, other: Text | None) -> Text | None:
        return item


class End(Sink):
    """Where they go."""

    async def write(self, item: Text) -> None:
        pass


def source(every_ms: float, *, late_ms: float = 0.0, exact: bool = True, stamped: bool = True) -> NodeProfile:
    rhythm = SourceProfile(
        interval=Spread.flat(every_ms * 1e3), late=Spread.flat(late_ms * 1e3), cpu=Spread.flat(0), exact=exact, stamped=stamped
    )
    return NodeProfile(role="source", use="budget_parts:Come", source=rhythm, outputs={"out": StreamProfile(per_firing=1)})


def step(ms: float, *, rest_ms: float = 0.0, gil: float = 0.0, spread: float = 0.0) -> StepProfile:
    cpu = Spread.of([ms * MS * (1 + spread * i / 10) for i in range(-10, 11)]) if spread else Spread.flat(ms * 1e3)
    return StepProfile(cpu=cpu, rest=Spread.flat(rest_ms * 1e3), wall=Spread.flat((ms + rest_ms) * 1e3), gil=gil)


def node(one: StepProfile, *, thread: bool = False, variants: Mapping[str, StepProfile] | None = None) -> NodeProfile:
    return NodeProfile(
        role="node", use="", kind="thread" if thread else "inline", firings=100, alone=variants or {"": one},
        outputs={"out": StreamProfile(per_firing=1)},
    )  # fmt: skip


def end(ms: float = 0.0) -> NodeProfile:
    return NodeProfile(role="sink", use="", kind="inline", firings=100, alone={"": step(ms)})


@dataclass(slots=True)
class Case:
    """A graph's nodes as YAML lines, and the profile of each."""

    lines: list[str]
    nodes: dict[str, NodeProfile]
    budget: str = "10s"
    cores: float = 2
    layout: str = "one"
    declared: dict[str, Declared] = field(default_factory=dict)

    def plan(self) -> Plan:
        text = f"graph: case\nbudget: {self.budget}\nnodes:\n" + "\n".join(f"  {line}" for line in self.lines)
        return make_plan(parse_graph(text), self.layout, Host(self.cores))  # type: ignore[arg-type]

    def host(self) -> HostProfile:
        return HostProfile(
            cpu="test", cores=self.cores, versions={}, wake=Spread.flat(0), firing_us=FIRING_US, nodes=self.nodes
        )  # fmt: skip

    def setup(self) -> Setup:
        return Setup(self.plan(), self.host(), engine="local", declared=self.declared)

    def predict(self, firings: int = 4000) -> Prediction:
        return predict(self.setup(), firings)


def chain(
    costs_ms: list[float], *, every_ms: float = 50.0, queue: str = "{block: 64}", stamped: bool = True, **more: object
) -> Case:
    """A source, steps in place with these costs, and a sink."""
    lines = ['s: {use: "budget_parts:Come"}']
    nodes = {"s": source(every_ms, stamped=stamped), "k": end()}
    before = "s"
    for i, ms in enumerate(costs_ms):
        lines.append(f'n{i}: {{use: "budget_parts:Work", inputs: {{item: {{from: {before}, queue: {queue}}}}}}}')
        nodes[f"n{i}"] = node(step(ms))
        before = f"n{i}"
    lines.append(f'k: {{use: "budget_parts:End", inputs: {{item: {before}}}}}')
    return Case(lines, nodes, **more)  # type: ignore[arg-type]


def one_thread(step_ms: float, every_ms: float, queue: str, *, stamped: bool = True) -> Case:
    """A source, one step in a thread, and a sink."""
    lines = [
        's: {use: "budget_parts:Come"}',
        f'n: {{use: "budget_parts:Heavy", inputs: {{item: {{from: s, queue: {queue}}}}}}}',
        'k: {use: "budget_parts:End", inputs: {item: n}}',
    ]
    nodes = {"s": source(every_ms, stamped=stamped), "n": node(step(step_ms), thread=True), "k": end()}
    return Case(lines, nodes)
