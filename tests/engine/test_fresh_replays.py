"""Law 4 ten times over; `make soak` has it a thousand times (launch/soak_replay.py, the same code)."""

from __future__ import annotations

import random

import pytest
from processes import load
from soak_replay import fresh

from omnistream.message import SECOND


@pytest.mark.slow
async def test_ten_fresh_replays_of_the_shipped_recording_have_one_digest() -> None:
    """Over layouts and load, and however the load changes on the way."""
    rng = random.Random(4)
    found = []
    for number in range(10):
        with load(number % 2):
            found.append(await fresh("local", rng.choice(["one", "each", "planned"]), 4 * SECOND))
    assert len(set(found)) == 1, found
    _, told, lost = found[0]
    assert told
    assert not lost
