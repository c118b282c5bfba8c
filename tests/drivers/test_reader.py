"""The thread between a device and the event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from omnistream.message import SECOND
from omnistream.node import Context
from omnistream_drivers._reader import Backoff, Reader

pytestmark = pytest.mark.usefixtures("no_leaks")


async def take(reader: Reader[Any]) -> list[Any]:
    found: list[Any] = []
    while (item := await reader.next()) is not None:
        found.append(item)
    return found


async def test_everything_put_is_taken_in_order_when_the_reader_waits(live: Context) -> None:
    def work(reader: Reader[int]) -> None:
        for i in range(1, 2000):
            reader.put(i)

    reader: Reader[int] = Reader(live, work, room=3, wait=True, counted={})
    assert await take(reader) == list(range(1, 2000))
    await reader.close()
    assert live.report.rows == []  # type: ignore[attr-defined]


async def test_what_is_taken_and_what_is_counted_is_all_there_was(live: Context) -> None:
    def work(reader: Reader[int]) -> None:
        for i in range(1, 5001):
            reader.put(i)

    reader: Reader[int] = Reader(live, work, room=1, wait=False, counted={"device_drop": "{n} dropped"})
    found: list[int] = []
    while (item := await reader.next()) is not None:
        found.append(item)
        await asyncio.sleep(0.001)
    await asyncio.sleep(0)
    dropped = sum(int(text.split()[0]) for _, text in live.report.rows)  # type: ignore[attr-defined]
    assert len(found) + dropped == 5000
    assert found[-1] == 5000
    assert found == sorted(set(found))
    await reader.close()


async def test_an_error_in_the_thread_is_raised_after_what_came_before_it(live: Context) -> None:
    def work(reader: Reader[int]) -> None:
        reader.put(1)
        raise ZeroDivisionError("the device")

    reader: Reader[int] = Reader(live, work, room=1, wait=False, counted={})
    assert await reader.next() == 1
    with pytest.raises(ZeroDivisionError, match="the device"):
        await reader.next()
    await reader.close()


@pytest.mark.parametrize("busy", ["put", "pause", "sleep_until"])
async def test_close_ends_a_thread_that_waits(live: Context, busy: str) -> None:
    def work(reader: Reader[int]) -> None:
        while not reader.stopping:
            if busy == "put":
                reader.put(1)
            elif busy == "pause":
                reader.pause(60)
            else:
                reader.sleep_until(live.clock.now() + 60 * SECOND)

    reader: Reader[int] = Reader(live, work, room=1, wait=True, counted={})
    await asyncio.sleep(0.05)
    async with asyncio.timeout(1):
        await reader.close()


async def test_a_thread_that_does_not_come_back_is_reported(live: Context) -> None:
    let_go = threading.Event()
    reader: Reader[int] = Reader(live, lambda _: let_go.wait(5) and None, room=1, wait=True, counted={})
    await reader.close(patience_s=0.05)
    assert [r for r, _ in live.report.rows] == ["stuck"]  # type: ignore[attr-defined]
    let_go.set()
    await reader.close()


def test_a_loop_that_is_gone_ends_the_thread(live: Context) -> None:
    threads: list[threading.Thread] = []

    async def begin() -> None:
        def work(reader: Reader[int]) -> None:
            threads.append(threading.current_thread())
            while not reader.stopping:
                reader.put(1)
                reader.pause(0.01)

        Reader(live, work, room=1, wait=False, counted={"device_drop": "{n}"})
        await asyncio.sleep(0.05)

    asyncio.run(begin())
    threads[0].join(2)
    assert not threads[0].is_alive()


def test_pauses_double_up_to_eight_seconds_and_begin_again() -> None:
    backoff = Backoff()
    assert [backoff.pause_s() for _ in range(7)] == [0.25, 0.5, 1, 2, 4, 8, 8]
    backoff.reset()
    assert backoff.pause_s() == 0.25


async def test_losses_are_reported_once_a_second(live: Context) -> None:
    def work(reader: Reader[int]) -> None:
        end = time.monotonic() + 1.3
        while time.monotonic() < end:
            reader.count("corrupt")
            reader.flush()
            reader.pause(0.01)

    reader: Reader[int] = Reader(live, work, room=1, wait=True, counted={"corrupt": "{n} skipped"})
    await take(reader)
    await asyncio.sleep(0)
    assert 2 <= len(live.report.rows) <= 3  # type: ignore[attr-defined]
    await reader.close()
