"""What is recorded on another host comes home while the run goes on: whole, in order, and no more of it than may wait."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omnistream.clock import SystemClock
from omnistream.engine.hosts import Host, Hosts
from omnistream.engine.keeper import HostKeeper
from omnistream.record.spool import HOLE, Spool, leave_apart, segments
from omnistream.record.tail import Tail


class Far:
    """A keeper in this process, called as through Ray; of its answers, some come too late."""

    def __init__(self, r: random.Random) -> None:
        self.keeper, self._r, self.lost = HostKeeper(), r, 0.0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.keeper, name)

        class Remote:
            @staticmethod
            async def remote(*args: Any) -> Any:
                found = method(*args)
                found = await found if asyncio.iscoroutine(found) else found
                if name == "take" and self._r.random() < self.lost:
                    raise TimeoutError
                return found

        return Remote


async def meet(home: Path, far: Far, queue: int = 0) -> tuple[Hosts, Host]:
    hosts = Hosts(SystemClock(), lambda *_: far, lambda _: False, str(home), queue)
    return hosts, await hosts.at("far")


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not done():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def frames(tail: Tail, *, last: bool = False) -> list[bytes]:
    return [data for _, data in tail.frames(last=last)]


@pytest.mark.parametrize("seed", range(4))
async def test_all_of_it_comes_in_its_order_however_often_an_answer_is_lost(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omnistream.engine.hosts._BRING_S", 0.005)
    monkeypatch.setattr("omnistream.engine.hosts._PIECE", 300)
    r = random.Random(seed)
    far = Far(r)
    hosts, host = await meet(tmp_path, far)
    far.lost = 0.3
    there = Path(await far.keeper.run_dir())
    tail, wrote, read = Tail(tmp_path), [], []
    for life in range(3):
        leave_apart(str(tmp_path), "w", life)
        host.lives.add(("w", life))
        spool = Spool(there, f"w.{life}", segment_bytes=500)
        for n in range(60):
            wrote.append(b"J%d.%d " % (life, n) + bytes(r.randrange(120)))
            spool.append(wrote[-1])
            if r.random() < 0.2:
                await asyncio.sleep(0.005)
                read += frames(tail)
                tail.remove_read()
        spool.close()
        host.over.add(("w", life))

    def come() -> bool:
        read.extend(frames(tail))
        tail.remove_read()
        return len(read) == len(wrote)

    await until(come)
    assert read == wrote
    await until(lambda: sorted(len(paths) for paths in segments(there).values()) == [1, 1, 1])
    await until(lambda: len(host.home) == 3)  # what is gone there is forgotten here
    await until(lambda: not host.over)
    await hosts.bring_home()
    assert not frames(tail, last=True)
    await hosts.end()


async def test_a_hole_that_is_closed_there_is_closed_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omnistream.engine.hosts._BRING_S", 0.005)
    far = Far(random.Random(1))
    hosts, _ = await meet(tmp_path, far)
    hole = Path(await far.keeper.run_dir(), f"w.0{HOLE}")
    hole.touch()
    await until((tmp_path / hole.name).exists)
    hole.unlink()
    await until(lambda: not (tmp_path / hole.name).exists())
    await hosts.end()


async def test_no_more_is_brought_than_may_wait_for_the_recorder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omnistream.engine.hosts._BRING_S", 0.005)
    monkeypatch.setattr("omnistream.engine.hosts._PIECE", 1000)
    far = Far(random.Random(1))
    hosts, host = await meet(tmp_path, far, queue=5000)
    host.lives.add(("w", 0))
    spool = Spool(await far.keeper.run_dir(), "w.0", segment_bytes=2000)
    for _ in range(40):
        spool.append(b"J" + bytes(999))
    await until(lambda: sum(p.stat().st_size for p in tmp_path.iterdir()) > 5000)
    await asyncio.sleep(0.1)
    assert sum(p.stat().st_size for p in tmp_path.iterdir()) <= 6000
    assert spool.waiting() > 30_000, "and what waits there is known there"
    tail, read = Tail(tmp_path), 0

    def come() -> bool:
        nonlocal read
        read += len(frames(tail))
        tail.remove_read()
        return read == 40

    await until(come)
    await hosts.end()
