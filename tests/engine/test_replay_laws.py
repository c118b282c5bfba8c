"""Law 6 ten times over; `make soak` has it a thousand times (launch/soak_replay.py, the same code)."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from bad_run import bad_plan, bad_run
from running import replayed

sys.path.append(str(Path(__file__).parents[2] / "launch"))
from processes import load


@pytest.mark.slow
async def test_ten_replays_of_a_run_that_went_badly_are_equal_to_it(tmp_path: Path) -> None:
    """It dropped, forced bounds, skipped what was late, and lost a worker twice."""
    for seed in range(5):
        folder = tmp_path / str(seed)
        folder.mkdir()
        run = await bad_run(folder, seed)
        if not run.lacks:
            break
    assert not run.lacks, run.wrongs
    with load(1):
        replays = await asyncio.gather(*(replayed(bad_plan(), run.path) for _ in range(10)))
    assert [(again.digest, cut) for again, cut in replays] == [(run.digest, {})] * 10
