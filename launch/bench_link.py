"""Speed of the way between two workers on one host, beside a bare floor and a Ray actor call taken in the same run.

python launch/bench_link.py [--rounds N] [--count N] [--no-ray]      one way, p50 / p99 in microseconds at 50 Hz, medians
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import mmap
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
sys.path[:0] = [str(Path(__file__).resolve().parent)]

import numpy as np  # noqa: E402
from bench_parts import SIZES, answer, array_of, at_50_hz, now, payload_of, quantiles, receiver  # noqa: E402
from bench_posts import posts  # noqa: E402

from omnistream.message import Features, Message, Text, VideoFrame  # noqa: E402
from omnistream.node import Context, Node, Source  # noqa: E402


def mapped(folder: str, size: int) -> mmap.mmap:
    """Memory of `size` bytes to write, or what there is of it to read."""
    with Path(folder, "memory").open("w+b" if size else "rb") as file:
        file.truncate(size) if size else None
        access = mmap.PROT_READ | (mmap.PROT_WRITE if size else 0)
        return mmap.mmap(file.fileno(), size, flags=mmap.MAP_SHARED | mmap.MAP_POPULATE, prot=access)


async def floor_send(folder: str, count: int) -> dict[str, Any]:
    """A copy into mapped memory, 16 bytes on a Unix socket, a callback of the receiver's event loop: nothing else."""
    slots = 4
    size = max(int(np.prod(s)) for s in SIZES.values())
    memory = mapped(folder, size * slots)
    process = receiver(__file__, "--part", "floor", "--receive", folder, "--count", str(count))
    out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    out.connect(f"{folder}/floor")
    found: dict[str, Any] = {}
    for name in SIZES:
        array = array_of(name).reshape(-1)

        def send(i: int, array: np.ndarray = array) -> None:
            began = now()
            np.copyto(np.frombuffer(memory, np.uint8, array.size, i % slots * size), array)
            out.send(struct.pack("<qqq", began, i % slots * size, array.size))

        await at_50_hz(count, send)
        found[name] = await asyncio.to_thread(answer, process)
    process.kill()
    process.wait()
    return found


async def floor_receive(folder: str, count: int) -> None:
    memory = mapped(folder, 0)
    inbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    inbox.bind(f"{folder}/floor")
    inbox.settimeout(0)
    took: list[float] = []

    def ready() -> None:
        began, at, size = struct.unpack("<qqq", inbox.recv(64))
        array = np.frombuffer(memory, np.uint8, size, at)
        took.append(now() - began)
        del array
        if len(took) == count:
            print(json.dumps(quantiles(took)), flush=True)
            took.clear()

    asyncio.get_running_loop().add_reader(inbox, ready)
    print("ready", flush=True)
    await asyncio.Event().wait()


# -- two workers of a graph on Ray -----------------------------------------------------------------


@dataclass(kw_only=True)
class Sized(Source):
    """`count` payloads of each size at 50 Hz, then `fast` small ones at full speed."""

    count: int
    fast: int = 0

    async def run(self, ctx: Context) -> AsyncIterator[Features | VideoFrame]:
        arrays = {name: array_of(name) for name in SIZES}
        for name, array in arrays.items():
            when = ctx.clock.now() + 300_000_000
            for _ in range(self.count):
                when += 20_000_000
                await ctx.clock.sleep_until(when)
                yield payload_of(name, array)
        await ctx.clock.sleep_until(ctx.clock.now() + 300_000_000)
        for _ in range(self.fast):
            yield payload_of("64 B", np.zeros(64, np.uint8))


@dataclass(kw_only=True)
class Probe(Node):
    """Writes down when each message came."""

    path: str

    async def open(self, ctx: Context) -> None:
        self.ctx = ctx
        self.rows: list[tuple[int, int, int, int]] = []

    async def step(self, item: Message[Features | VideoFrame]) -> Text | None:
        payload = item.payload
        size = payload.data.nbytes if isinstance(payload, Features) else payload.image.nbytes
        self.rows.append((item.seq, size, self.ctx.clock.now() - item.stamp_ns, self.ctx.clock.now()))

    async def close(self) -> None:
        Path(self.path).write_text(json.dumps(self.rows))  # noqa: ASYNC240


def workers(folder: str, count: int) -> dict[str, Any]:
    from omnistream.clock import SystemClock
    from omnistream.engine.conductor import Conductor
    from omnistream.engine.options import RunOptions
    from omnistream.engine.ray import RayCrew
    from omnistream.engine.rundir import RunDir
    from omnistream.graph.load import parse_graph
    from omnistream.graph.plan import make_plan

    fast = 60_000
    text = (
        f'graph: link\nnodes:\n  s: {{use: "bench_link:Sized", with: {{count: {count}, fast: {fast}}}, on: a}}\n'
        f'  p: {{use: "bench_link:Probe", with: {{path: {folder}/rows}}, on: b,\n'
        "      inputs: {item: {from: s, queue: {block: 256}}}}\n"
        '  k: {use: "bench_nodes:Discard", inputs: {item: p}, on: b}\n'
    )

    async def run() -> None:
        plan, clock, home = make_plan(parse_graph(text, __file__)), SystemClock(), RunDir()
        try:
            options = RunOptions(offset_ns=clock.offset_ns, run_dir=home.path)
            await Conductor(plan, RayCrew(plan, options), clock, fresh=False).run()
        finally:
            home.remove()

    asyncio.run(run())
    rows = json.loads(Path(folder, "rows").read_text())
    assert [r[0] for r in rows] == list(range(3 * count + fast)), "a message was lost or out of order"
    found: dict[str, Any] = {}
    for i, name in enumerate(SIZES):
        found[name] = quantiles([r[2] for r in rows[i * count : (i + 1) * count]])
    last = rows[-fast:]
    found["64 B messages/s"] = (fast - 1) / ((last[-1][3] - last[0][3]) / 1e9)
    return found


# -- two actors of Ray's own -----------------------------------------------------------------------


def ray_actors(folder: str, count: int) -> dict[str, Any]:
    del folder
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(address="local", include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)

    class Taker:
        def __init__(self) -> None:
            self.took: list[float] = []

        async def take(self, began: int, array: np.ndarray) -> None:
            self.took.append(now() - began)
            del array

        async def result(self) -> tuple[float, float]:
            found, self.took = quantiles(self.took), []
            return found

    class Giver:
        def __init__(self, taker: Any) -> None:
            self.taker = taker

        async def give(self, name: str, count: int) -> tuple[float, float]:
            array = array_of(name)
            await at_50_hz(count, lambda _: self.taker.take.remote(now(), array))
            return await self.taker.result.remote()

    try:
        taker = ray.remote(Taker).options(num_cpus=0).remote()
        giver: Any = ray.remote(Giver).options(num_cpus=0).remote(taker)
        return {name: ray.get(giver.give.remote(name, count)) for name in SIZES}
    finally:
        ray.shutdown()


PARTS: dict[str, str] = {
    "floor": "bare memory and wake", "posts": "two posts", "workers": "two workers on Ray", "ray": "a Ray actor call",
    "tcp": "two posts by TCP, CURVE",
}  # fmt: skip


def part(name: str, count: int) -> dict[str, Any]:
    """One part, in this process."""
    from omnistream.engine.rundir import RunDir

    if name in ("floor", "posts", "tcp"):
        home = RunDir()
        try:
            if name == "floor":
                return asyncio.run(floor_send(home.memory or home.path, count))
            return posts("process" if name == "posts" else "host", home.path, count)
        finally:
            home.remove()
    with tempfile.TemporaryDirectory() as folder:
        return workers(folder, count) if name == "workers" else ray_actors(folder, count)


def measure(name: str, count: int) -> dict[str, Any]:
    """One part, in a process of its own."""
    command = [sys.executable, __file__, "--part", name, "--count", str(count)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parent)}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--no-ray", action="store_true", help="only what needs no Ray")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--receive", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.receive:
        asyncio.run(floor_receive(options.receive, options.count))
    elif options.part:
        print(json.dumps(part(options.part, options.count)))
    else:
        report([p for p in PARTS if not options.no_ray or p in ("floor", "posts", "tcp")], options.rounds, options.count)


def report(parts: list[str], rounds: int, count: int) -> None:
    from bench import machine

    print(f"machine: {machine()}\nload at start: {os.getloadavg()[0]:.2f}; medians of {rounds} interleaved rounds\n")
    found: dict[str, list[dict[str, Any]]] = {p: [] for p in parts}
    for _ in range(rounds):
        for p in parts:
            found[p].append(measure(p, count))
    print(f"{'one way, p50 / p99 us':24s}" + "".join(f"{name:>18s}" for name in SIZES))
    median: dict[str, dict[str, tuple[float, float]]] = {}
    for p in parts:
        median[p] = {n: tuple(statistics.median(r[n][i] for r in found[p]) for i in (0, 1)) for n in SIZES}  # type: ignore[misc]
        print(f"{PARTS[p]:24s}" + "".join(f"{f'{a:.0f} / {b:.0f}':>18s}" for a, b in median[p].values()))
    print()
    for p in ("posts", "workers"):
        for base in ("floor", "ray"):
            if base in parts and p in parts:
                ratios = [(median[p][n][0] / median[base][n][0], median[p][n][1] / median[base][n][1]) for n in SIZES]
                print(f"{p + ' / ' + base:24s}" + "".join(f"{f'{a:.2f} / {b:.2f}':>18s}" for a, b in ratios))
    print()
    for p in parts:
        for key in found[p][0]:
            if key not in SIZES:
                print(f"{PARTS[p] + ': ' + key:44s} {statistics.median(r[key] for r in found[p]):12.1f}")
    print(f"\nload at end: {os.getloadavg()[0]:.2f}")


if __name__ == "__main__":
    main()
