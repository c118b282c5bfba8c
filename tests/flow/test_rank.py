"""Stops, then commands, then what flows."""

from __future__ import annotations

import pytest

from omnistream.flow.config import PortConfig, Queue
from omnistream.flow.rank import COMMAND, FLOW, URGENT, rank_of


@pytest.mark.parametrize(
    ("queue", "urgent", "payloads", "rank"),
    [
        (Queue("block", 4), True, ["Event"], URGENT),
        (Queue("newest"), True, ["Gesture"], URGENT),
        (Queue("block", 64), False, ["Command"], COMMAND),
        (Queue("block", 64), False, ["Text", "Transcript"], COMMAND),
        (Queue("block", 64), False, ["Action"], COMMAND),
        (Queue("block", 256), False, ["AudioChunk"], FLOW),
        (Queue("block", 64), False, ["AudioChunk", "Text"], COMMAND),
        (Queue("newest"), False, ["VideoFrame"], FLOW),
        (Queue("drop_oldest", 4), False, ["Event"], FLOW),
    ],
)
def test_rank(queue: Queue, urgent: bool, payloads: list[str], rank: int) -> None:
    assert rank_of(PortConfig("p", "each", queue, urgent=urgent), payloads) == rank
