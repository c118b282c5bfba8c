"""What runs in a worker's process under Ray: the worker, its post, and the way to call it. Ray itself is not known here."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import io
import logging
import os
import sys
import threading
from pathlib import Path
from typing import Any

from omnistream.clock import SystemClock
from omnistream.engine.host_clock import host_clock
from omnistream.engine.options import RunOptions
from omnistream.errors import OmniStreamError
from omnistream.graph.graph import Plan

__all__ = ["ANSWER_S", "POLLED", "WorkerActor"]

_log = logging.getLogger("omnistream")
#: Who does not answer for so long is taken for dead: a worker by its head, and a head by its workers on other hosts.
ANSWER_S = 10.0
#: What a head asks for all the time.
POLLED = ("news", "snapshot", "probe", "strained")


class Said(io.TextIOBase):
    """What a worker prints (a console sink, a node being debugged): kept, and shown by whoever leads the run.

    From any thread: a step that blocks prints in its own.
    """

    def __init__(self) -> None:
        self._text = ""
        self._lock = threading.RLock()

    def write(self, text: str) -> int:
        with self._lock:
            self._text = (self._text + text)[-100_000:]
        return len(text)

    def take(self) -> list[str]:
        with self._lock:
            text, self._text = self._text, ""
        return text.splitlines()


class WorkerActor:
    """`begin`, then `call` for all else."""

    def __init__(self, cwd: str, path: list[str]) -> None:
        try:
            os.chdir(cwd)
        except OSError as error:  # on another host
            _log.warning("relative paths are looked for in %s, since there is no %s: %s", Path.cwd(), cwd, error.strerror)
        sys.path[:0] = [p for p in path if p not in sys.path]
        self._worker: Any = None
        self._post: Any = None
        self._said = Said()
        sys.stdout = self._said
        self._calls = 0
        self._heard = 0.0
        self._alone: asyncio.Task[None] | None = None

    def _make_post(self, plan: Plan, name: str, options: RunOptions) -> Any:
        if options.keys is None:
            from omnistream.link.unix import UnixPost

            return UnixPost(options.run_dir, name, options.incarnation)
        from omnistream.link.ways import ClusterPost

        mine = next(w for w in plan.workers if w.name == name)
        return ClusterPost(
            options.run_dir, name, options.incarnation, host=options.host, keys=options.keys,
            address=mine.advertise or options.address, ports=mine.ports, broken=self._broken,
        )  # fmt: skip

    async def begin(self, plan: Plan, name: str, options: RunOptions) -> str:
        """Build and open the worker; the address for its peers."""
        from omnistream.engine.building import threads_of
        from omnistream.engine.priority import hastens, take_place
        from omnistream.engine.threads import keep_to, take_turns
        from omnistream.engine.worker import Worker
        from omnistream.link.cuda import cuda_sharing
        from omnistream.link.loans import Loans

        threads = threads_of(plan, name, options)
        keep_to(threads)
        take_turns()
        behind = take_place(first=hastens(plan, name) and not options.fresh)
        if behind is not None:
            _log.warning("worker %s: %s", name, behind)
        self._post = self._make_post(plan, name, options)
        clock = host_clock(options.run_dir) if options.apart else SystemClock(options.offset_ns)
        worker = Worker(plan, name, clock, options, self._post)
        if options.record:
            from omnistream.record.part import PartRecorder

            worker.recorder = PartRecorder.of(options, name)
        worker.build()
        self._worker = worker
        for wire in worker.exchange.outbound.values():  # what they emit is to leave the worker
            wire.owner.ctx.alloc = self._post.alloc
        self._post.open(
            worker.receive,
            lambda text: worker.report(name, "garbage", text),
            lambda text: worker.report(name, "no_shared_memory", text),
        )
        try:
            await worker.open()
        except OmniStreamError as error:
            await worker.close()
            raise type(error)(str(error)) from None
        sharing = cuda_sharing() if next(w.gpu for w in plan.workers if w.name == name) else None
        if sharing is not None:
            worker.exchange.loans = Loans(sharing, worker.exchange.say)
        keep_to(threads)  # what has been loaded meanwhile, too: torch takes the cores for its limit
        gc.collect()
        gc.freeze()  # what is here by now stays: the collector would look through all of it again and again
        return self._post.address

    def _broken(self, text: str) -> None:
        asyncio.get_running_loop().create_task(self._give_up(text))

    async def _give_up(self, why: str) -> None:
        """Robots to rest, then the end of this life, which whoever leads the run will see."""
        _log.error("worker %s ends itself: %s", self._worker.name, why)
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._worker.close(), 5)
        os._exit(1)

    async def _watch_head(self) -> None:
        """A worker that its head does not reach is taken for dead there, and made again elsewhere: it must not go on."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(ANSWER_S / 10)
            if not self._calls and loop.time() - self._heard > ANSWER_S:
                await self._give_up(f"its head has been silent for {ANSWER_S:g} s")

    async def call(self, method: str, *args: Any) -> Any:
        polled = method in POLLED
        self._heard = asyncio.get_running_loop().time()
        self._calls += not polled
        try:
            result = getattr(self._worker, method)(*args)
            result = await result if inspect.isawaitable(result) else result
        finally:
            self._calls -= not polled
            if not polled:  # how long it waited for news says nothing of its head
                self._heard = asyncio.get_running_loop().time()
        if polled and self._alone is None and self._worker.options.apart:
            self._alone = asyncio.get_running_loop().create_task(self._watch_head())
        if method in ("snapshot", "news") and result is not None:
            result["said"] = self._said.take()
        if method == "close":
            if self._alone is not None:
                self._alone.cancel()
            if self._worker.recorder is not None:
                self._worker.recorder.close()
            await self._post.close()
        return result
