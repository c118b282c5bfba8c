"""The demo, with its robot and headset, while workers are killed: a short `make soak`."""

from __future__ import annotations

from pathlib import Path

import pytest
from soak import RECORDING, Script, one_run, stage


@pytest.mark.ray
@pytest.mark.broker
@pytest.mark.slow
@pytest.mark.skipif(not RECORDING.exists(), reason="the shipped recording is not here")
@pytest.mark.parametrize("seed", [3])
async def test_a_killed_worker_stops_the_robot_and_costs_no_command(tmp_path: Path, seed: int) -> None:
    script = Script(4, seed, first_s=2.5, pause_s=(2.5, 3.5), say_s=(0.6, 1.1), quiet_s=11, for_s=17)
    with stage(tmp_path) as there:
        verdict = await one_run(there, script, "short")
    assert len(verdict.kills) >= 3
    assert len(verdict.commands) >= 10
    assert any(c.effects for c in verdict.commands)
    assert not verdict.broken
