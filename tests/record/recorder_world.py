"""Workers that spool, and what a recording of them holds."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from omnistream.graph.graph import Graph, NodeInfo
from omnistream.graph.keep import Keep
from omnistream.link.wire import encode_payload
from omnistream.message import MS, SECOND, AudioChunk, Event, Message, VideoFrame
from omnistream.record.about import About
from omnistream.record.part import PartRecorder
from omnistream.record.reader import Recording

T0 = 1_800_000_000 * SECOND
GRAPH = Graph(
    "g", 200 * MS, {n: NodeInfo(n, "", "", "source", {}, (), ("out",)) for n in ("cam", "mic", "typed")}, text="graph: g"
)


def about(path: Path, **keep: Any) -> About:
    return About.of(GRAPH, str(path), 7, {}, Keep(path=str(path), **keep))


class World:
    """Workers with sources that bring a frame, sound and a word every 50 ms; now and then one is killed."""

    def __init__(self, run_dir: Path, seed: int = 0, **options: Any) -> None:
        self.dir, self.options = run_dir, {"segment_bytes": 20_000} | options
        self.random, self.pixels = random.Random(seed), np.random.default_rng(seed)
        self.lives = {"eyes": 0, "ears": 0}
        self.recorders = {w: self.make(w) for w in self.lives}
        self.count = 0
        self.image = self.pixels.integers(0, 255, (48, 64, 3), dtype=np.uint8)

    def make(self, worker: str) -> PartRecorder:
        recorder = PartRecorder(str(self.dir), worker, self.lives[worker], **self.options)
        recorder.began(T0)
        return recorder

    def step(self) -> None:
        self.count += 1
        image = self.image.copy()
        image[self.count % 48] = 7
        self.send("eyes", "cam.out", VideoFrame(image))
        self.send("ears", "mic.out", AudioChunk(self.pixels.integers(-99, 99, 800).astype(np.int16)))
        self.send("ears", "typed.out", Event("word", {"n": self.count}))
        self.recorders["ears"].opened(f"node{self.count}")

    def send(self, worker: str, stream: str, payload: Any) -> None:
        stamp = T0 + self.count * 50 * MS
        origin = (stream, self.lives[worker], self.count)
        message = Message(stream, self.lives[worker], self.count, origin, stamp, stamp, stamp, {stream: stamp}, payload, None)
        self.recorders[worker].message(message, stamp + 1, "host")

    def kill(self, worker: str) -> None:
        self.lives[worker] += 1
        self.recorders[worker] = self.make(worker)


def contents(*paths: str | Path) -> dict[str, list[tuple[Any, ...]]]:
    found: dict[str, list[tuple[Any, ...]]] = {}
    for path in paths:
        with Recording(path) as file:
            for stream in file.streams():
                found.setdefault(stream, []).extend(
                    (m.stamp_ns, m.epoch, m.seq, m.bound_ns, m.origin, encode_payload(m.payload)) for m in file.messages(stream)
                )
            for life, rows in file.journals().items():
                found.setdefault(life, []).extend((r,) for r in rows)
    return found


def happens_in(seconds: float, condition: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)
