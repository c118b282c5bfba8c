"""Workers that spool, and what a recording of them holds."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from film import Film

from omnistream.coded import Coded
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
    """Always of the same run."""
    return replace(About.of(GRAPH, str(path), 7, {}, Keep(path=str(path), **keep)), run="0123")


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
        self.film()
        self.send("ears", "mic.out", AudioChunk(self.pixels.integers(-99, 99, 800).astype(np.int16)))
        self.send("ears", "typed.out", Event("word", {"n": self.count}))
        self.recorders["ears"].opened(f"node{self.count}")

    def film(self) -> None:
        image = self.image.copy()
        image[self.count % 48] = 7
        self.send("eyes", "cam.out", VideoFrame(image))

    def send(self, worker: str, stream: str, payload: Any, coded: Coded | None = None) -> None:
        stamp = T0 + self.count * 50 * MS
        origin = (stream, self.lives[worker], self.count)
        message = Message(stream, self.lives[worker], self.count, origin, stamp, stamp, stamp, {stream: stamp}, payload, None)
        self.recorders[worker].message(message, stamp + 1, "host", coded=coded)

    def kill(self, worker: str) -> None:
        self.lives[worker] += 1
        self.recorders[worker] = self.make(worker)


class FilmedWorld(World):
    """A camera that sends packets. For some of its frames the graph has no room, and some come as pixels."""

    def __init__(self, run_dir: Path, seed: int = 0, codec: str = "h264", **options: Any) -> None:
        super().__init__(run_dir, seed, packets=True, **options)
        self.codec, self.camera = codec, Film(codec, seed)
        #: What the nodes saw: (stamp, pixels), and how many packets the camera has sent for it.
        self.seen: list[tuple[int, bytes]] = []

    def film(self) -> None:
        for _ in range(self.random.choice([1, 1, 1, 2, 4])):
            frame, coded = self.camera.shot()
        if self.random.random() < 0.05:
            coded = Coded(coded.look, why="for once")
        self.seen.append((T0 + self.count * 50 * MS, frame.image.tobytes()))
        self.send("eyes", "cam.out", frame, coded)

    def kill(self, worker: str) -> None:
        super().kill(worker)
        if worker == "eyes":  # connected anew
            self.camera = Film(self.codec, self.random.randrange(1 << 30))


def pixels(*paths: str | Path) -> list[tuple[int, bytes]]:
    """What the nodes saw, as it is read."""
    found: list[tuple[int, bytes]] = []
    for path in paths:
        with Recording(path) as file:
            if "cam.out" in file.streams():
                found += [(m.stamp_ns, m.payload.image.tobytes()) for m in file.messages("cam.out")]
    return found


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


def fill(folder: Path) -> Path:
    """A file that takes all the room there is."""
    stone = folder / "stone"
    with stone.open("ab", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return stone
    raise AssertionError("it has no end")


def size_of(folder: Path) -> int:
    """Bytes of the files in a folder, of which any may be removed now."""
    total = 0
    for path in folder.iterdir():
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def happens_in(seconds: float, condition: Callable[[], bool]) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)
