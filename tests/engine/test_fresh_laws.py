"""A fresh run is a function of its inputs: the same firings on every layout, equal to the rules worked out in batch."""

from __future__ import annotations

import pytest
from law_graphs import batch, layouts, random_graph
from law_nodes import LOGS
from running import check_accounts, run_fresh


def logs_of(run: str) -> dict[str, list[object]]:
    return {node: LOGS.pop((r, node)) for r, node in list(LOGS) if r == run}


@pytest.mark.parametrize("block", range(10))
async def test_fresh_runs_equal_the_batch_answer_on_every_layout(block: int) -> None:
    for seed in range(block * 12, block * 12 + 12):
        graph = random_graph(seed, "fresh", policies=("block", "newest", "drop_oldest"))
        expected = {n: log for n, log in batch(graph).items() if log}
        for name, plan in layouts(graph, seed).items():
            outcome = await run_fresh(plan)
            assert logs_of("fresh") == expected, (seed, name)
            check_accounts(outcome)
            assert not outcome.ledger, (seed, name)


@pytest.mark.parametrize("block", range(4))
async def test_feedback_gives_one_answer_on_every_layout(block: int) -> None:
    for seed in range(1000 + block * 12, 1012 + block * 12):
        graph = random_graph(seed, "loop", feedback=True)
        found = []
        for plan in layouts(graph, seed).values():
            await run_fresh(plan)
            found.append(logs_of("loop"))
        assert found[0] == found[1] == found[2], seed
