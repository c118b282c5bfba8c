"""What is measured of a run is what happened in it, by the metrics, the summary and the ledger alike, whatever dies."""

from __future__ import annotations

import asyncio
import itertools
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from law_graphs import layouts, random_graph
from law_nodes import LOGS
from prometheus_client.parser import text_string_to_metric_families as parsed
from running import check_accounts, kill_at
from test_live_laws import relay_chain

from omnistream.clock import SystemClock
from omnistream.engine.conductor import Conductor
from omnistream.engine.local import LocalCrew
from omnistream.engine.options import RunOptions
from omnistream.graph.graph import Plan
from omnistream.message import MS
from omnistream.observe.exposition import exposed
from omnistream.observe.metrics import metrics_of
from omnistream.observe.outcome import Outcome
from omnistream.observe.summary import summarize

Figures = dict[tuple[str, frozenset[tuple[str, str]]], float]


def figures(run: Any) -> tuple[Figures, Figures]:
    """Every counter (buckets, too), and every gauge, of a page of metrics."""
    counters: Figures = {}
    gauges: Figures = {}
    for family in parsed(exposed(metrics_of(run))):
        for sample in family.samples:
            into = gauges if family.type == "gauge" else counters
            into[sample.name, frozenset(sample.labels.items())] = sample.value
    return counters, gauges


def by(found: Figures, name: str, label: str) -> dict[str, float]:
    """The samples of one metric by one of their labels, summed over the others."""
    total: Counter[str] = Counter()
    for (metric, labels), value in found.items():
        if metric == f"omnistream_{name}":
            total[dict(labels)[label]] += value  # type: ignore[assignment]
    return dict(total)


async def watched(plan: Plan, kills: list[tuple[float, str]]) -> tuple[Outcome, Conductor, list[Figures]]:
    """A live run, its counters looked at four times a second and more, while workers are dropped."""
    clock = SystemClock()
    crew = LocalCrew(plan, clock, RunOptions(offset_ns=clock.offset_ns))
    seen: list[Figures] = []
    conductor = Conductor(plan, crew, clock, fresh=False, watch=lambda run: seen.append(figures(run)[0]))
    task = asyncio.create_task(kill_at(conductor, crew, kills))
    try:
        return await asyncio.wait_for(conductor.run(), 60), conductor, seen
    finally:
        task.cancel()


def check_measured(plan: Plan, outcome: Outcome, run: Any) -> None:
    """The page of a finished run without deaths says what its summary says."""
    counters, gauges = figures(run)
    summary = summarize(plan, "local", outcome)
    nodes, roles = summary["nodes"], {n: i.role for n, i in plan.graph.nodes.items()}
    assert by(counters, "emitted_messages_total", "node") == {n: s["out"] for n, s in nodes.items()}
    inner = {n for n, role in roles.items() if role != "source"}
    assert by(counters, "received_messages_total", "node") == {n: nodes[n]["in"] for n in inner}
    assert sum(by(counters, "forced_bounds_total", "node").values()) == summary["forced"]
    assert {k: n for k, n in by(counters, "ledger_total", "reason").items() if n} == summary["ledger"]
    sent, ended = by(counters, "edge_sent_messages_total", "edge"), by(counters, "edge_ended_messages_total", "edge")
    assert sent == {k: e["sent"] for k, e in outcome.edges.items()}
    waiting = {k: e["pending"] + e["held"] for k, e in outcome.edges.items()}
    assert {k: n for k, n in sent.items() if n} == {k: n for k in sent if (n := ended.get(k, 0) + waiting[k])}
    assert by(gauges, "edge_pending_messages", "edge") == {k: e["pending"] for k, e in outcome.edges.items()}
    fates: Counter[str] = Counter()
    for edge in outcome.edges.values():
        fates.update(edge["fates"])
    assert by(counters, "edge_ended_messages_total", "fate") == dict(fates)
    firings = by(counters, "firings_total", "node")
    steps = by(counters, "step_seconds_count", "node")
    assert steps == by(counters, "age_at_entry_seconds_count", "node")
    skipped = Counter(dict.fromkeys(inner, 0))
    for (where, reason), n in outcome.lives.ledger().items():
        if reason in ("skipped", "late", "expired", "stopped") and "->" in where:
            skipped[where.split("->")[1].split(".")[0]] += n
    assert all(firings[n] - skipped[n] <= steps[n] <= firings[n] for n in inner), (firings, steps, skipped)
    assert by(counters, "remaining_budget_seconds_count", "node") == {n: steps[n] for n in inner if roles[n] == "sink"}


async def test_the_page_of_the_documentation_names_every_metric() -> None:
    """And has each family's labels."""
    _, conductor, _ = await watched(relay_chain("falls named", 10, 2, 1), [])
    LOGS.pop(("falls named", "collected"))
    page = (Path(__file__).parents[2] / "docs" / "observe.md").read_text()
    named = dict(re.findall(r"^\| `(omnistream_\w+)` \| ([^|]*)\|", page, re.MULTILINE))
    served: dict[str, set[str]] = {}
    for family in parsed(exposed(metrics_of(conductor))):
        name = family.name + ("_total" if family.type == "counter" else "")
        served[name] = {label for s in family.samples for label in s.labels} - {"le"}
    assert {name: set(re.findall(r"\w+", labels)) for name, labels in named.items()} == served


@pytest.mark.parametrize("seed", range(4))
async def test_a_page_says_what_the_summary_says(seed: int) -> None:
    graph = random_graph(seed, "page", policies=("block", "newest", "drop_oldest"), scale=MS, wait_ns=3 * MS, pace=True)
    plan = layouts(graph, seed)[("some", "one", "each")[seed % 3]]
    outcome, conductor, _ = await watched(plan, [])
    for key in [k for k in LOGS if k[0] == "page"]:
        del LOGS[key]
    check_accounts(outcome)
    check_measured(plan, outcome, conductor)


@pytest.mark.parametrize("seed", range(4))
async def test_counters_never_fall_when_workers_die(seed: int) -> None:
    """And what was lost is the ledger's, of all lives."""
    r = random.Random(seed)
    kills = sorted((r.uniform(0.0, 0.5), r.choice("abk")) for _ in range(3))
    outcome, conductor, seen = await watched(relay_chain(f"falls{seed}", 100, 5, 2), kills)
    LOGS.pop((f"falls{seed}", "collected"))
    seen.append(figures(conductor)[0])
    for before, after in itertools.pairwise(seen):
        assert [k for k in before if after.get(k, -1) < before[k]] == []
    assert sum(outcome.restarts.values()) >= 1
    assert by(seen[-1], "worker_restarts_total", "worker") == {w.name: outcome.restarts[w.name] for w in conductor.plan.workers}
    lost = {k: n for k, n in by(seen[-1], "ledger_total", "reason").items() if n}
    assert lost == {k: n for k, n in outcome.ledger.items() if k != "restart"}
    firings = by(seen[-1], "firings_total", "node")
    assert all(firings[n] >= outcome.nodes[n]["firings"] for n in firings)
    for node in firings:
        buckets = {
            float(dict(labels)["le"]): n
            for (name, labels), n in seen[-1].items()
            if name == "omnistream_step_seconds_bucket" and dict(labels)["node"] == node
        }
        assert [n for _, n in sorted(buckets.items())] == sorted(buckets.values())
        assert buckets[float("inf")] == by(seen[-1], "step_seconds_count", "node")[node] <= firings[node]
