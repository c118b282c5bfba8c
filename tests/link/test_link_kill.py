"""Workers that share memory are killed outright, again and again: nothing torn or foreign is ever read, nothing is left.

OMNISTREAM_KILLS sets how many (100 unless told).
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import time
from collections import deque
from collections.abc import Iterator
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnistream.engine.rundir import RunDir
from omnistream.link.unix import UnixPost
from omnistream.message import Message, VideoFrame

KILLS = int(os.environ.get("OMNISTREAM_KILLS", "100"))
NAMES = ("a", "b", "c")
WINDOW = 6


def pattern(sender: str, incarnation: int, seq: int) -> int:
    return (ord(sender) * 37 + incarnation * 101 + seq * 7) % 251


class Talker:
    """One worker: sends frames to everybody as fast as credit allows, keeps some of what it gets, and looks at all of it."""

    def __init__(self, control: Connection, run_dir: str, name: str, incarnation: int) -> None:
        self.control, self.name, self.incarnation = control, name, incarnation
        self.random = random.Random(hash((name, incarnation)))
        self.post = UnixPost(run_dir, name, incarnation)
        self.credit: dict[str, int] = {}
        self.held: deque[Message[Any]] = deque()
        self.seq = self.count = 0
        self.talking = True
        self.loop = asyncio.get_running_loop()
        self.post.open(self.receive, self.bad)
        self.loop.add_reader(control.fileno(), self.told)
        control.send(("up", name))

    def bad(self, text: str) -> None:
        self.control.send(("bad", f"{self.name}.{self.incarnation}: {text}"))

    def check(self, message: Message[Any]) -> None:
        image = message.payload.image
        right = pattern(message.stream, message.epoch, message.seq)
        if image.flags.writeable or not (image == right).all():
            self.bad(f"torn or foreign: {message.stream}.{message.epoch} {message.seq}: {np.unique(image)[:5]}, not {right}")

    def receive(self, peer: str, items: list[tuple[Any, ...]]) -> None:
        for item in items:
            if item[0] == "c":
                self.credit[peer] = self.credit.get(peer, 0) + item[2]
            else:
                self.count += 1
                self.check(item[4])
                if item[4].stream != peer:
                    self.bad(f"a message of {item[4].stream} came from {peer}")
                self.held.append(item[4])
                self.post.send(peer, [("c", 0, 1, {})])
        while len(self.held) > self.random.randrange(12):
            self.check(self.held.popleft())

    def told(self) -> None:
        word, *rest = self.control.recv()
        if word == "connect":
            peer, incarnation, address = rest
            self.post.connect(peer, incarnation, address)
            self.credit[peer] = WINDOW
        elif word == "lost":
            self.post.disconnect(rest[0])
            self.credit.pop(rest[0], None)
        elif word == "count":
            self.control.send(("count", self.count))
        elif word == "quiet":
            self.talking = False
        elif word == "clear":
            while self.held:
                self.check(self.held.popleft())
            self.loop.call_later(0.05, lambda: self.control.send(("busy", self.post.pool.busy())))

    async def talk(self) -> None:
        while True:
            ready = [p for p, n in self.credit.items() if n > 0]
            if ready and self.talking:
                self.seq += 1
                shape = (self.random.choice([100, 150, 400]), 400)
                if self.random.random() < 0.3:
                    image = self.post.alloc(shape, np.uint8)
                    image[:] = pattern(self.name, self.incarnation, self.seq)
                else:
                    image = np.full(shape, pattern(self.name, self.incarnation, self.seq), np.uint8)
                message = Message(self.name, self.incarnation, self.seq, (), 0, 0, 0, {}, VideoFrame(image))
                for peer in ready:
                    self.credit[peer] -= 1
                    self.post.send(peer, [("m", 0, 0, False, message)])
                del image, message
            await asyncio.sleep(0.0005)


def live(control: Connection, run_dir: str, name: str, incarnation: int) -> None:
    os.environ["OMNISTREAM_CHECKSUMS"] = "1"

    async def main() -> None:
        await Talker(control, run_dir, name, incarnation).talk()

    asyncio.run(main())


class Crowd:
    """The workers, and what they have complained of."""

    def __init__(self, run_dir: str) -> None:
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["omnistream.link.unix", "numpy"])
        self.run_dir = run_dir
        self.lives = dict.fromkeys(NAMES, -1)
        self.processes: dict[str, Any] = {}
        self.controls: dict[str, Connection] = {}
        self.bad: list[str] = []

    def start(self, *names: str) -> None:
        for name in names:
            self.lives[name] += 1
            self.controls[name], theirs = self.context.Pipe()
            arguments = (theirs, self.run_dir, name, self.lives[name])
            process = self.processes[name] = self.context.Process(target=live, args=arguments, daemon=True)
            process.start()
            theirs.close()
        for name in names:
            self.hear(name, "up")
        for name in NAMES:
            for peer in NAMES:
                if name != peer and (name in names or peer in names):
                    self.controls[name].send(("connect", peer, self.lives[peer], self.address(peer)))

    def address(self, name: str) -> str:
        return f"unix://{self.run_dir}/{name}.{self.lives[name]}.sock"

    def hear(self, name: str, word: str) -> Any:
        """What a worker answers; complaints on the way are kept."""
        control = self.controls[name]
        while control.poll(20):
            found = control.recv()
            if found[0] == word:
                return found[1]
            assert found[0] == "bad", found
            self.bad.append(found[1])
        raise AssertionError(f"{name} does not answer")

    def kill(self, *names: str) -> None:
        for name in names:
            self.processes[name].kill()
        for name in names:
            self.processes[name].join()
            self.drain(name)
            self.controls[name].close()
        for name in NAMES:
            for dead in names:
                if name not in names:
                    self.controls[name].send(("lost", dead))

    def drain(self, name: str) -> None:
        try:
            while self.controls[name].poll():
                found = self.controls[name].recv()
                if found[0] == "bad":
                    self.bad.append(found[1])
        except (EOFError, OSError):
            pass

    def ask(self, word: str, answer: str) -> dict[str, Any]:
        for name in NAMES:
            self.controls[name].send((word,))
        return {name: self.hear(name, answer) for name in NAMES}


@pytest.fixture(autouse=True)
def forks() -> Iterator[None]:
    """What makes the workers is ended with the test: other tests look at which processes this one has."""
    yield
    forkserver._forkserver._stop()  # type: ignore[attr-defined]
    resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]


@pytest.mark.timeout(120 + KILLS)
def test_kills_leave_no_torn_payload_no_segment_and_no_stall() -> None:
    r = random.Random(KILLS)
    home = RunDir()
    crowd = Crowd(home.path)
    killed = 0
    try:
        crowd.start(*NAMES)
        while killed < KILLS:
            time.sleep(r.uniform(0.005, 0.03))
            names = r.sample(NAMES, r.choice([1, 1, 2]))
            survivor = next(n for n in NAMES if n not in names)
            crowd.kill(*names)
            killed += len(names)
            crowd.start(*names)
            if killed % 10 == 0:
                crowd.controls[survivor].send(("count",))
                before = crowd.hear(survivor, "count")
                for _ in range(500):
                    time.sleep(0.01)
                    crowd.controls[survivor].send(("count",))
                    if crowd.hear(survivor, "count") > before:
                        break
                else:
                    raise AssertionError(f"{survivor} has stalled")
            assert not crowd.bad, crowd.bad[:5]
        for control in crowd.controls.values():
            control.send(("quiet",))
        time.sleep(0.3)
        crowd.ask("clear", "busy")
        time.sleep(0.1)
        assert set(crowd.ask("clear", "busy").values()) == {0}
        assert not crowd.bad, crowd.bad[:5]
        lives = {f"{n}.{crowd.lives[n]}" for n in NAMES}
        left = {p.name.rpartition(".")[0] for p in Path(home.memory or "").iterdir()} - {""}
        assert left == lives  # of the lives that are over nothing is left
    finally:
        for process in crowd.processes.values():
            process.kill()
            process.join()
        home.remove()
    assert not Path(home.memory or "").exists()
    assert not Path(home.path).exists()


def test_a_run_that_is_killed_is_swept_by_the_next() -> None:
    context = multiprocessing.get_context("forkserver")
    mine, theirs = context.Pipe()
    process = context.Process(target=_abandon, args=(theirs,), daemon=True)
    process.start()
    paths = mine.recv()
    RunDir().remove()
    assert all(Path(p).exists() for p in paths)  # it lives
    process.kill()
    process.join()
    RunDir().remove()
    assert not any(Path(p).exists() for p in paths)


def _abandon(control: Connection) -> None:
    home = RunDir()
    Path(home.memory or "", "w.0.1").write_bytes(bytes(100))
    control.send((home.path, home.memory))
    time.sleep(60)
