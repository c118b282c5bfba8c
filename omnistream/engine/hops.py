"""What a host takes for what is no step: firing a node, crossing to another worker, waking a thread. Measured in some seconds.

For the ways between processes this module is run as a process of its own, which answers until its standard input ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from omnistream.clock import SystemClock, cpu_ns, monotonic_ns, pause, perf_ns, thread_ns
from omnistream.engine.conductor import Conductor
from omnistream.engine.local import LocalCrew
from omnistream.engine.options import RunOptions
from omnistream.engine.rundir import RunDir
from omnistream.engine.runqueue import others_of, waited_ns
from omnistream.graph.budget.profile import HopProfile, Spread
from omnistream.graph.host import Host
from omnistream.graph.load import parse_graph
from omnistream.graph.plan import make_plan
from omnistream.message import Event, Features, Message, Text
from omnistream.node import Sink

__all__ = ["Engine", "Taken", "Way", "disturbance", "make_keys", "make_post", "measure_engine"]

Way = Literal["process", "host"]
_SIZES = (0, 64 << 10, 1 << 20, 6 << 20)
_RATE_HZ, _COUNT = 50, 25
_CHAIN = 8
_BURN_NS = 8_000_000


@dataclass(kw_only=True)
class Taken(Sink):
    """Takes events, and does nothing with them."""

    async def write(self, item: Event) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Engine:
    """What the engine takes on this host."""

    firing_us: float
    hops: tuple[HopProfile, ...]


async def measure_engine(*, apart: bool = True) -> Engine:
    """Measure it, in four seconds or so; without ways between processes in one, where these are not `apart`."""
    alone = await _latency_us(0, "one")
    chain, crossed = await _latency_us(_CHAIN, "one"), await _latency_us(_CHAIN, "each")
    firing = max(1.0, (float(np.median(chain)) - float(np.median(alone))) / _CHAIN)
    crossing = max(1.0, (float(np.median(crossed)) - float(np.median(chain))) / (_CHAIN + 1))
    hops = [HopProfile(kind="worker", bytes=0, latency=Spread.flat(1.0), cpu=Spread.flat(round(crossing / 2, 2)))]
    if apart:
        home = RunDir()
        try:
            for way in ("process", "host"):
                hops += await _ways(way, home.path)
        finally:
            home.remove()
    return Engine(round(firing, 2), tuple(hops))


async def _latency_us(length: int, layout: Literal["one", "each"]) -> list[float]:
    """From the first node's emission to the sink, through so many nodes that hand events on."""
    lines = ["graph: chain", "nodes:", "  n0: {use: tick, with: {rate_hz: 100, count: 50}}"]
    lines += [f"  n{i + 1}: {{use: passthrough, inputs: {{message: n{i}}}}}" for i in range(length)]
    lines.append(f'  end: {{use: "omnistream.engine.hops:Taken", inputs: {{item: n{length}}}}}')
    plan = make_plan(parse_graph("\n".join(lines)), layout)
    clock = SystemClock()
    crew = LocalCrew(plan, clock, RunOptions(offset_ns=clock.offset_ns))
    outcome = await Conductor(plan, crew, clock, fresh=False).run()
    return [(r[0] - r[1]) / 1e3 for r in outcome.records.get("end", [])[5:]] or [0.0]


# -- between processes -----------------------------------------------------------------------------


def make_post(way: Way, folder: str, name: str) -> Any:
    """A post as workers have it on one host; or, for the way to another one, TCP under CURVE, though to this host itself."""
    from omnistream.link.post import HostPost
    from omnistream.link.tcp import TcpTransport
    from omnistream.link.tcp_terms import LinkKeys
    from omnistream.link.unix import UnixPost

    if way == "process":
        return UnixPost(folder, name, 0)
    keys = LinkKeys(*(bytes.fromhex(line) for line in Path(folder, "keys").read_text().split()))
    return HostPost(str(Path(folder, "apart")), name, 0, TcpTransport(keys, "127.0.0.1"))


def make_keys(folder: str) -> None:
    """What two posts between hosts need."""
    from omnistream.link.tcp_terms import LinkKeys

    keys = LinkKeys.make()
    pairs = (keys.server_public, keys.server_secret, keys.client_public, keys.client_secret)
    Path(folder, "keys").write_text("\n".join(k.hex() for k in pairs))


async def _ways(way: Way, folder: str) -> list[HopProfile]:
    if way == "host":
        make_keys(folder)  # in memory
    post = make_post(way, folder, f"{way}-a")
    post.open(lambda *_: None, lambda _: None)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "omnistream.engine.hops", way, folder, post.address,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None
    found: list[HopProfile] = []
    try:
        async with asyncio.timeout(60):
            address = (await process.stdout.readline()).decode().strip()
            post.connect(f"{way}-b", 0, address)
            await asyncio.sleep(0.2)
            for size in _SIZES:
                payload = Features(np.zeros((1, size // 4), np.float32)) if size else Text("go forward")
                began, busy = perf_ns(), cpu_ns()
                for i in range(_COUNT):
                    await asyncio.sleep(max(0.0, (i + 1) / _RATE_HZ - (perf_ns() - began) / 1e9))
                    message = Message("a.out", 0, i, ("a.out", 0, i), monotonic_ns(), 5, 205, {"a.out": 5}, payload)
                    post.send(f"{way}-b", [("m", 1, 2, False, message)])
                sent_us = (cpu_ns() - busy) / _COUNT / 1e3
                post.send(f"{way}-b", [("n", 0, size)])
                heard: Any = json.loads(await process.stdout.readline())
                took = np.asarray(heard["ns"][3:])
                # Two processes have more to do than this; what they compute of it is no more than half of the way.
                cpu = min((sent_us + heard["cpu_us"]) / 2, float(np.median(took)) / 2e3)
                latency = Spread.of(np.maximum(1e3, took - cpu * 1e3))
                found.append(HopProfile(kind=way, bytes=size, latency=latency, cpu=Spread.flat(round(cpu, 2))))
    finally:
        process.stdin.close()
        await process.wait()
        await post.close()
    return found


async def _answer(way: Way, folder: str, address: str) -> None:
    """The other process: says what took how long, until nobody asks any more."""
    took: list[int] = []
    busy = cpu_ns()

    def take(_: str, items: list[tuple[Any, ...]]) -> None:
        nonlocal busy
        for item in items:
            if item[0] == "m":
                took.append(monotonic_ns() - item[4].stamp_ns)
            else:
                cpu_us = (cpu_ns() - busy) / max(1, len(took)) / 1e3
                _say(json.dumps({"ns": took, "cpu_us": cpu_us}))
                took.clear()
                busy = cpu_ns()
        n = sum(i[0] == "m" for i in items)
        if n:
            post.send(f"{way}-a", [("c", 1, n, {})])

    post = make_post(way, folder, f"{way}-b")
    post.open(take, lambda _: None)
    post.connect(f"{way}-a", 0, address)
    _say(post.address)
    await asyncio.to_thread(sys.stdin.read)
    await post.close()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


# -- what others do to us --------------------------------------------------------------------------


async def disturbance(seconds: float) -> tuple[list[int], list[float]]:
    """How late a sleeping loop is woken (ns), and how many others share the cores with one who computes."""
    wakes: list[int] = []
    others: list[float] = []
    loop = asyncio.get_running_loop()
    until = perf_ns() + int(seconds * 1e9)
    cores = Host.here().cpus

    def later(future: asyncio.Future[int]) -> None:
        pause(0.003)
        loop.call_soon_threadsafe(future.set_result, perf_ns())

    while perf_ns() < until:
        future: asyncio.Future[int] = loop.create_future()
        thread = threading.Thread(target=later, args=(future,))
        thread.start()
        called = await future
        wakes.append(perf_ns() - called)
        thread.join()
        cpu, waited = thread_ns(), waited_ns()
        while thread_ns() - cpu < _BURN_NS:
            pass
        others.append(others_of(thread_ns() - cpu, waited_ns() - waited, cores) or 0.0)
    return wakes, others


if __name__ == "__main__":
    asyncio.run(_answer(sys.argv[1], sys.argv[2], sys.argv[3]))  # type: ignore[arg-type]
