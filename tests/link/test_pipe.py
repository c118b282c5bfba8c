"""Channels inside one process: in order, by reference, and never to another life than the one that is meant."""

from __future__ import annotations

import asyncio
from typing import Any

from omnistream.link.pipe import PipeHub, PipePost

Got = list[tuple[str, list[tuple[Any, ...]]]]


def post(hub: PipeHub, name: str, incarnation: int = 0) -> tuple[PipePost, Got]:
    got: Got = []
    made = PipePost(hub, name, incarnation)
    made.open(lambda peer, items: got.append((peer, items)))
    return made, got


async def turn() -> None:
    """Let everything that is scheduled now happen."""
    for _ in range(3):
        await asyncio.sleep(0)


async def test_batches_arrive_in_order_and_by_reference() -> None:
    hub = PipeHub()
    a, _ = post(hub, "a")
    b, got = post(hub, "b")
    a.connect("b", 0, "")
    b.connect("a", 0, "")
    batches = [[("b", 1, n)] for n in range(20)]
    for batch in batches:
        a.send("b", batch)
    assert got == []  # never within the sender's turn
    await turn()
    assert got == [("a", batch) for batch in batches]
    assert all(items is batch for (_, items), batch in zip(got, batches, strict=True))


async def test_each_direction_is_a_channel_of_its_own() -> None:
    hub = PipeHub()
    a, at_a = post(hub, "a")
    b, at_b = post(hub, "b")
    a.connect("b", 0, "")
    b.connect("a", 0, "")
    a.send("b", [("b", 1, 1)])
    b.send("a", [("n", 1, 2)])
    await turn()
    assert (at_a, at_b) == ([("b", [("n", 1, 2)])], [("a", [("b", 1, 1)])])


async def test_a_batch_for_a_life_that_is_over_is_thrown_away() -> None:
    hub = PipeHub()
    a, _ = post(hub, "a")
    _, old = post(hub, "b", 0)
    a.connect("b", 0, "")
    a.send("b", [("b", 1, 1)])
    _, new = post(hub, "b", 1)  # born before the batch arrives
    await turn()
    assert (old, new) == ([], [])
    a.connect("b", 1, "")
    a.send("b", [("b", 1, 2)])
    await turn()
    assert (old, new) == ([], [("a", [("b", 1, 2)])])


async def test_a_batch_of_a_sender_that_has_died_is_thrown_away() -> None:
    hub = PipeHub()
    a, _ = post(hub, "a", 0)
    _, got = post(hub, "b")
    a.connect("b", 0, "")
    a.send("b", [("b", 1, 1)])
    again, _ = post(hub, "a", 1)
    await turn()
    assert got == []
    again.connect("b", 0, "")
    a.send("b", [("b", 1, 2)])  # a ghost
    again.send("b", [("b", 1, 3)])
    await turn()
    assert got == [("a", [("b", 1, 3)])]


async def test_a_batch_for_nobody_is_thrown_away() -> None:
    hub = PipeHub()
    a, _ = post(hub, "a")
    a.connect("b", 0, "")
    a.send("b", [("b", 1, 1)])
    await turn()
    _, got = post(hub, "b")
    await turn()
    assert got == []
    a.disconnect("b")
    a.disconnect("b")  # again is nothing
