"""Two posts, as workers have them, without workers: what crosses from one process to another, by Unix sockets or TCP.

Part of bench_link.py, which starts it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
sys.path[:0] = [str(Path(__file__).resolve().parent)]

import numpy as np  # noqa: E402
from bench_parts import SIZES, answer, array_of, at_50_hz, now, payload_of, quantiles, receiver  # noqa: E402

from omnistream.engine import hops  # noqa: E402
from omnistream.message import Message, Text, VideoFrame  # noqa: E402

__all__ = ["posts"]


def message_of(seq: int, payload: Any) -> Message[Any]:
    return Message("a.out", 0, seq, ("a.out", 0, seq), now(), 5, 205, {"a.out": 5}, payload)


def make_post(way: hops.Way, folder: str, name: str) -> Any:
    """A post, and its address in a file for the other."""
    post = hops.make_post(way, folder, name)
    Path(folder, f"{name}.address").write_text(post.address)
    return post


def address_of(folder: str, name: str) -> str:
    return Path(folder, f"{name}.address").read_text()


def posts(way: hops.Way, folder: str, count: int) -> dict[str, Any]:
    """One way p50 and p99 of each size, and what two posts carry when they are full."""
    hops.make_keys(folder)
    return asyncio.run(send(way, folder, count))


async def send(way: hops.Way, folder: str, count: int) -> dict[str, Any]:
    credit = 0
    news = asyncio.Event()

    def receive(_: str, items: list[tuple[Any, ...]]) -> None:
        nonlocal credit
        credit += sum(i[2] for i in items if i[0] == "c")
        news.set()

    post = make_post(way, folder, "a")
    post.open(receive, print)
    process = receiver(__file__, way, folder)
    post.connect("b", 0, address_of(folder, "b"))
    await asyncio.sleep(0.3)
    found: dict[str, Any] = {}
    for name in SIZES:
        array = array_of(name)
        await at_50_hz(count, lambda i, n=name, a=array: post.send("b", [("m", 1, 2, False, message_of(i, payload_of(n, a)))]))
        post.send("b", [("n", 0, 0)])
        found[name] = await asyncio.to_thread(answer, process)

    async def full(number: int, batch: int, window: int, make: Callable[[int], Message[Any]]) -> float:
        """Messages a second, `window` under way at the most."""
        nonlocal credit
        credit, began = window, time.perf_counter()
        sent = 0
        while sent < number or credit < window:
            if sent < number and credit >= batch:
                credit -= batch
                post.send("b", [("m", 1, 2, False, make(sent + i)) for i in range(batch)])
                sent += batch
                await asyncio.sleep(0)
            else:
                news.clear()
                await news.wait()
        took = time.perf_counter() - began
        post.send("b", [("n", 0, 1)])
        heard = await asyncio.to_thread(answer, process)
        assert heard == [number, True], heard
        return number / took

    text = Text("go forward ten meters, then turn to the left, then wave your hand")
    found["64 B messages/s"] = await full(64_000, 64, 1024, lambda i: message_of(i, text))
    array = array_of("1920x1080x3")
    if way == "process":
        frames = [message_of(n, VideoFrame(array_of("1920x1080x3"))) for n in range(4)]
        found["1080p descriptors/s"] = await full(6_000, 1, 16, lambda i: _again(frames[i % 4], i))
    found["1080p written GB/s"] = await full(300, 1, 4, lambda i: message_of(i, VideoFrame(array))) * array.nbytes / 1e9
    if way == "process":
        target = np.zeros_like(array)
        began = time.perf_counter()
        for _ in range(200):
            np.copyto(target, array)
        found["memcpy GB/s"] = 200 * array.nbytes / 1e9 / (time.perf_counter() - began)
    process.kill()
    process.wait()
    await post.close()
    return found


def _again(message: Message[Any], seq: int) -> Message[Any]:
    """The same message, which lies in its slot already."""
    del seq
    return message


async def receive(way: hops.Way, folder: str) -> None:
    took: list[float] = []
    seqs: list[int] = []

    def take(_: str, items: list[tuple[Any, ...]]) -> None:
        n = 0
        for item in items:
            if item[0] == "m":
                took.append(now() - item[4].stamp_ns)
                seqs.append(item[4].seq)
                n += 1
            elif item[2] == 0:
                print(json.dumps(quantiles(took)), flush=True)
                took.clear()
                seqs.clear()
            else:
                right = seqs == list(range(len(seqs))) or set(seqs) == {0, 1, 2, 3}
                print(json.dumps([len(seqs), right]), flush=True)
                took.clear()
                seqs.clear()
        if n:
            post.send("a", [("c", 1, n, {})])

    post = make_post(way, folder, "b")
    post.open(take, print)
    post.connect("a", 0, address_of(folder, "a"))
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(receive(sys.argv[1], sys.argv[2]))  # type: ignore[arg-type]
