"""Questions at a run's desk: each has its own answer, nobody waits for ever, and they do not pile up."""

from __future__ import annotations

import asyncio

import pytest

from omnistream.engine import desk
from omnistream.engine.desk import Desk


async def test_answers_go_to_whoever_asked() -> None:
    there = Desk()
    asking = [asyncio.ensure_future(there.ask({"ask": i})) for i in range(5)]
    taken = [await there.asked() for _ in range(5)]
    for number, request in reversed(taken):
        await there.answer(number, {"said": request["ask"]} if request["ask"] else None)
    assert await asyncio.gather(*asking) == [None, *({"said": i} for i in range(1, 5))]


async def test_where_the_run_is_silent_who_asks_hears_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "_ANSWER_S", 0.01)
    there = Desk()
    with pytest.raises(TimeoutError):
        await there.ask({"ask": "view"})
    number, _ = await there.asked()
    await there.answer(number, {})  # too late, for nobody


async def test_too_many_questions_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    there = Desk()
    asking = [asyncio.ensure_future(there.ask({"ask": i})) for i in range(64)]
    await asyncio.sleep(0)
    assert await there.ask({"ask": "view"}) is None
    for _ in asking:
        number, request = await there.asked()
        await there.answer(number, request)
    assert [found["ask"] for found in await asyncio.gather(*asking)] == list(range(64))
