"""Live runs: no command is lost or has two effects under crashes, and every message has one fate."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from law_graphs import layouts, random_graph
from law_nodes import LOGS
from running import check_accounts, run_fresh, run_live

from omnistream.flow.config import PortConfig, Queue
from omnistream.graph.graph import Graph, Input, NodeInfo, Plan, WorkerPlan
from omnistream.message import MS


def relay_chain(run: str, count: int, every_ms: float, busy_ms: float, slow_ms: float = 0) -> Plan:
    """source -> a -> b -> collect on `block` edges, each in its own worker."""
    port = (PortConfig("item", "each", Queue("block", 4)),)

    def reads(stream: str, form: str = "one") -> tuple[Input, ...]:
        return (Input(port[0], (stream,), form),)  # type: ignore[arg-type]

    stamps = [int(i * every_ms * MS) for i in range(1, count + 1)]
    nodes = {
        "s": NodeInfo("s", "", "law_nodes:Script", "source", {"stamps": stamps, "pace": True}, (), ("out",)),
        "a": NodeInfo("a", "", "law_nodes:Relay", "node", {"busy_ms": busy_ms}, reads("s.out"), ("out",)),
        "b": NodeInfo("b", "", "law_nodes:Relay", "node", {"busy_ms": slow_ms or busy_ms}, reads("a.out"), ("out",)),
        "k": NodeInfo("k", "", "law_nodes:Collect", "sink", {"run": run}, reads("b.out", "message"), ()),
    }
    return Plan(Graph("relay", 200 * MS, nodes), tuple(WorkerPlan(n, (n,)) for n in nodes))


@pytest.mark.parametrize("seed", range(8))
async def test_commands_survive_crashes_once(seed: int) -> None:
    run, count = f"crash{seed}", 60
    r = random.Random(seed)
    kills = sorted((r.uniform(0.0, 0.35), r.choice("abk")) for _ in range(r.randint(1, 4)))
    outcome = await run_live(relay_chain(run, count, 5, 2), kills)
    collected = LOGS.pop((run, "collected"))
    effects = Counter({origin: value for origin, value, _ in collected}.values())  # the client knows an origin again
    assert sum(outcome.restarts.values()) >= 1
    assert effects == {f"s.{i}": 1 for i in range(count)}, (kills, outcome.ledger)
    if "k" not in {k for _, k in kills}:
        assert len(collected) == count, "only a sink's own death may hand a message over twice"
    check_accounts(outcome)


@pytest.mark.parametrize("seed", range(8))
async def test_a_live_run_without_choices_has_the_fresh_firings(seed: int) -> None:
    """Law 5. `wait: inf` and roomy `block` queues leave the runtime no choice."""
    graph = random_graph(seed, "clean", policies=("block",), scale=MS, rooms=(64,))
    plan = layouts(graph, seed)["some"]
    outcome = await run_live(plan)
    live = {n: LOGS.pop((r, n)) for r, n in list(LOGS) if r == "clean"}
    assert not outcome.ledger
    await run_fresh(plan, outcome.started_ns)
    assert live == {n: LOGS.pop((r, n)) for r, n in list(LOGS) if r == "clean"}
    check_accounts(outcome)


@pytest.mark.parametrize("seed", range(8))
async def test_accounts_balance_through_overload_and_crashes(seed: int) -> None:
    graph = random_graph(seed, "chaos", policies=("block", "newest", "drop_oldest"), scale=MS, wait_ns=3 * MS, pace=True)
    plan = layouts(graph, seed)["some"]
    r = random.Random(seed)
    sources = {n for n, info in graph.nodes.items() if info.role == "source"}
    victims = [w.name for w in plan.workers if not sources & set(w.nodes)]
    kills = sorted((r.uniform(0.02, 0.2), r.choice(victims)) for _ in range(2)) if victims else []
    outcome = await run_live(plan, kills)
    for key in [k for k in LOGS if k[0] == "chaos"]:
        del LOGS[key]
    check_accounts(outcome)
