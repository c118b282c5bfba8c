"""Meters look and change nothing: what steps give, keep and take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnistream.engine import runqueue
from omnistream.engine.meter import Meter, MeteredStep, NoStep, SourceMeter, metered_source
from omnistream.engine.runqueue import others_of, waited_ns
from omnistream.message import Text
from omnistream.node import Context, Emit, Node, Source, ports_of
from omnistream.testing import context


class Inline(Node):
    async def step(self, item: Text) -> Text | None:
        return item if item.text else None


class Asks(Node):
    async def step(self, item: Text) -> Text:
        await asyncio.sleep(0.02)
        return item


class Pieces(Node):
    async def step(self, item: Text) -> AsyncIterator[Text]:
        for word in item.text.split():
            await asyncio.sleep(0)
            yield Text(word)


def metered(node: Node, *, blocking: bool = False) -> MeteredStep:
    ports = ports_of(type(node))
    meter = Meter(ports, context())
    return MeteredStep(node.step, generator=ports.generator, blocking=blocking, meter=meter)


async def outputs(step: MeteredStep, text: str) -> list[object]:
    found: list[object] = []

    async def put(item: object) -> None:
        found.append(item)

    await step.wait({"item": Text(text)}, put)
    return found


def test_a_step_in_place_is_counted_with_what_it_gave() -> None:
    step = metered(Inline())
    assert step.kind == "inline"
    assert step.call({"item": Text("go")}) == Text("go")
    assert step.call({"item": Text("")}) is None
    meter = step.meter
    assert len(meter.wall) == len(meter.cpu) == len(meter.given) == 2
    assert meter.emitted == {"out": 1}
    assert meter.given[0].args == {"item": Text("go")}


async def test_a_step_that_asks_somebody_rests_while_it_waits() -> None:
    step = metered(Asks())
    assert step.kind == "task"
    assert await outputs(step, "go") == [Text("go")]
    meter = step.meter
    assert meter.wall[0] >= 20_000_000
    assert meter.cpu[0] <= meter.wall[0] - 19_000_000
    assert meter.emitted == {"out": 1}


@pytest.mark.parametrize("blocking", [False, True])
async def test_pieces_are_each_counted_and_come_in_order(blocking: bool) -> None:
    step = metered(Pieces(), blocking=blocking)
    assert step.kind == ("thread" if blocking else "task")
    try:
        assert await outputs(step, "one two three") == [Text("one"), Text("two"), Text("three")]
    finally:
        step.close()
    assert step.meter.emitted == {"out": 3}
    assert len(step.meter.wall) == 1


async def test_what_a_step_raises_is_raised() -> None:
    class Fails(Node):
        async def step(self, item: Text) -> Text:
            await asyncio.sleep(0)
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await outputs(metered(Fails()), "go")


def test_no_more_is_kept_than_there_is_room_for() -> None:
    step = metered(Inline())
    for _ in range(500):
        step.call({"item": Text("go")})
    assert len(step.meter.given) == 80
    assert len(step.meter.wall) == 500


def test_no_step_takes_anything() -> None:
    step = NoStep()
    assert step.inline
    assert step.call({"item": Text("go")}) is None
    step.close()


async def test_a_source_brings_the_same_with_a_meter() -> None:
    class Two(Source):
        async def run(self, ctx: Context) -> AsyncIterator[Text | Emit[Text]]:
            yield Text("bare")
            await asyncio.sleep(0)
            yield Emit(Text("stamped"), stamp_ns=7, bound_ns=9)

    ctx = context()
    meter = SourceMeter(ctx.clock)
    found = [item async for item in metered_source(Two().run, meter)(ctx)]
    assert found[0] == Text("bare")
    assert isinstance(found[1], Emit)
    assert (meter.count, meter.stamped, meter.bounded) == (2, 1, 1)
    assert list(meter.stamps) == [0, 7]


@given(st.integers(0, 30), st.integers(1, 8), st.integers(2_000_000, 10**9))
def test_how_many_others_there_were_is_had_from_how_long_one_waited(others: int, cores: int, cpu: int) -> None:
    waited = max(0, int(cpu * ((others + 1) / cores - 1)))
    found = others_of(cpu, waited, cores)
    assert found is not None
    assert found == pytest.approx(others if others + 1 > cores else 0, abs=0.3)
    assert others_of(1000, 10**9, cores) is None


def test_what_a_thread_waited_is_the_second_figure_of_its_schedstat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Documentation/scheduler/sched-stats.rst; 0 where there is none."""
    stat = tmp_path / "schedstat"
    monkeypatch.setattr(runqueue, "_STAT", stat)
    assert waited_ns() == 0
    stat.write_text("700 30 2\n")
    assert waited_ns() == 30
