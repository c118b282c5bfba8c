"""The real engine in virtual time beside what is predicted: generated graphs, nothing of which depends on the host."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[2] / "launch"))

from budget_graphs import SHAPES, graph_of
from budget_virtual import VirtualClock, ages_of, in_virtual_time, setup_of, virtual

from omnistream.graph.budget.predict import predict
from omnistream.graph.graph import Plan
from omnistream.graph.load import parse_graph
from omnistream.graph.plan import make_plan

LAUNCH = Path(__file__).parents[2] / "launch"


def plan_of(seed: int, budget: str = "10s") -> Plan:
    text = virtual(graph_of(seed)[1]).replace("budget: 10s", f"budget: {budget}")
    return make_plan(parse_graph(text, str(LAUNCH / "budget.yaml")), "planned")


def test_virtual_time_takes_none_of_ours() -> None:
    async def hour(clock: VirtualClock) -> int:
        began = clock.now()
        await clock.sleep_until(began + 3600 * 10**9)
        return clock.now() - began

    assert in_virtual_time(hour) == pytest.approx(3600e9, rel=1e-6)


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4, 6, 22])
def test_a_generated_graph_takes_what_is_predicted(seed: int) -> None:
    plan = plan_of(seed)
    found = setup_of(plan).simulate(8000)
    measured: dict[str, list[float]] = {}
    for run in range(3):
        for sink, ages in ages_of(plan, 12.0, 700_000_000, seed * 100 + run).items():
            measured.setdefault(sink, []).extend(ages)
    assert measured
    for sink, ages in measured.items():
        mine = [a / 1e6 for way, ways in found.seen.ages.items() if way[-1] == sink for a in ways]
        for q in (0.5, 0.99):
            assert np.quantile(mine, q) == pytest.approx(np.quantile(ages, q), rel=0.2)


def test_a_generated_graph_is_refused_where_its_budget_is_too_small() -> None:
    takes = max(p.p99 for p in predict(setup_of(plan_of(0)), 4000).paths)
    assert predict(setup_of(plan_of(0, f"{takes * 1.3:.0f}ms")), 4000).fits
    assert not predict(setup_of(plan_of(0, f"{takes * 0.7:.0f}ms")), 4000).fits


@pytest.mark.parametrize(("seed", "shape"), [*enumerate(SHAPES)])
def test_a_graph_of_each_shape_is_sound_and_the_same_again(seed: int, shape: str) -> None:
    assert plan_of(seed).graph.name == f"{shape}{seed}"
    assert graph_of(seed) == graph_of(seed)
