"""The local engine: all workers in this process, on this event loop. For tests, small robots and debugging."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

from omnistream.clock import Clock
from omnistream.engine.building import threads_of
from omnistream.engine.options import RunOptions
from omnistream.engine.recorder import Recorder
from omnistream.engine.threads import keep_to, take_turns
from omnistream.engine.worker import Worker
from omnistream.errors import OmniStreamError
from omnistream.flow.edge import Account
from omnistream.graph.graph import Plan
from omnistream.link.pipe import PipeHub, PipePost
from omnistream.record.part import PartRecorder

__all__ = ["LocalCrew"]


class LocalCrew:
    """Workers as objects. `kill` drops one without a word, as a crash would; tests use it."""

    def __init__(self, plan: Plan, clock: Clock, options: RunOptions) -> None:
        self.plan, self.clock, self.options = plan, clock, options
        self.hub = PipeHub()
        self.workers: dict[str, Worker] = {}
        self.incarnations = {w.name: 0 for w in plan.workers}
        self._death: Callable[[str, str], None] = lambda *_: None

    def on_death(self, callback: Callable[[str, str], None]) -> None:
        self._death = callback

    async def begin(self) -> None:
        threads = max(threads_of(self.plan, w.name, self.options) for w in self.plan.workers)
        keep_to(threads)
        take_turns()
        for worker in self.plan.workers:
            self._make(worker.name, self.options)
        try:
            for worker in self.workers.values():
                await worker.open()
        except BaseException:  # what was opened already is not left behind
            await asyncio.gather(*(w.close() for w in self.workers.values()))
            self.workers.clear()
            raise
        keep_to(threads)

    def _make(self, name: str, options: RunOptions) -> Worker:
        post = PipePost(self.hub, name, options.incarnation)
        worker = Worker(self.plan, name, self.clock, options, post)
        worker.recorder = self.recorder_of(worker)
        worker.build()
        post.open(worker.receive)
        self.workers[name] = worker
        return worker

    def recorder_of(self, worker: Worker) -> Recorder | None:
        """What keeps a life of a worker while it goes on."""
        options = worker.options
        return PartRecorder.of(options, worker.name) if options.record else None

    async def call(self, worker: str, method: str, *args: Any) -> Any:
        if worker not in self.workers:
            raise OmniStreamError(f"worker {worker} is gone")
        asked = self.workers[worker]
        result = getattr(asked, method)(*args)
        result = await result if inspect.isawaitable(result) else result
        if self.workers.get(worker) is not asked:
            raise OmniStreamError(f"worker {worker} was killed")
        return result

    def addresses(self) -> dict[str, tuple[int, str]]:
        return {name: (self.incarnations[name], "") for name in self.workers}

    def notes(self) -> list[str]:
        return []

    def on_asked(self, answer: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None: ...

    async def kill(self, name: str) -> None:
        """Drop a worker with all it knows."""
        worker = self.workers.pop(name)
        del self.hub.homes[name]
        worker.started = False
        worker.snapshot()  # who waits for its news hears at once that it is gone
        if worker.recorder is not None:
            worker.recorder.close()
        for source in worker.sources.values():
            if source.task is not None:
                source.task.cancel()
        for task in list(worker.tasks):
            task.cancel()
        for hosted in worker.nodes.values():
            hosted.step.close()
            if hosted.timer is not None:
                hosted.timer.cancel()
        self._death(name, "killed")

    async def restart(self, worker: str, accounts: dict[str, Account]) -> None:
        self.incarnations[worker] += 1
        options = dataclasses.replace(self.options, incarnation=self.incarnations[worker], accounts=accounts)
        await self._make(worker, options).open()

    async def end(self) -> None:
        for worker in self.workers.values():
            if worker.recorder is not None:
                worker.recorder.close()
        self.workers.clear()
