"""The hosts of a cluster other than the head's, as the head sees them: a keeper on each, and how its clock differs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from omnistream.clock import Clock, OffsetEstimate
from omnistream.engine.keeper import HostKeeper
from omnistream.errors import OmniStreamError
from omnistream.record.spool import HOLE, all_is_here, put_at, waiting

__all__ = ["Host", "Hosts"]

_log = logging.getLogger("omnistream")
_AT_FIRST, _EACH_TIME = 8, 3
_EVERY_S = 2.0
_ANSWER_S = 10.0
#: What was recorded elsewhere is brought home so often, in pieces of so many bytes.
_BRING_S, _PIECE = 0.25, 4 << 20
#: What is known no better than this of a clock is said aloud.
_VAGUE_NS = 20_000_000


class Host:
    """One host: its keeper, the run's directory there, its offset to run time and how far that may be wrong."""

    def __init__(self, node: str, keeper: Any, run_dir: str) -> None:
        self.node, self.keeper, self.run_dir = node, keeper, run_dir
        self.offset_ns = self.error_ns = self.worst_ns = 0
        self.lives: set[tuple[str, int]] = set()
        self.over: set[tuple[str, int]] = set()
        self.home: dict[str, int] = {}  # how much of each file is
        self.bringing = asyncio.Lock()
        self.estimate = OffsetEstimate()


class Hosts:
    """Hosts by Ray's name of them. `make_keeper` starts a HostKeeper on one; `is_gone` tells an error that means it is dead.

    What is recorded there is brought into `home`, the run's directory here, while the run goes on; no more than `queue` bytes
    (0: all) lie there for the recorder to take. Without `home` nothing is.
    """

    def __init__(
        self, clock: Clock, make_keeper: Callable[[type[HostKeeper], str], Any], is_gone: Callable[[BaseException], bool],
        home: str = "", queue: int = 0,
    ) -> None:  # fmt: skip
        self._clock, self._make_keeper, self._is_gone = clock, make_keeper, is_gone
        self._home, self._queue = Path(home) if home else None, queue
        self._hosts: dict[str, asyncio.Task[Host]] = {}
        self._gone: list[Host] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def at(self, node: str) -> Host:
        """The host of that name, with a keeper that has answered."""
        if node not in self._hosts:
            self._hosts[node] = asyncio.ensure_future(self._meet(node))
        try:
            return await asyncio.shield(self._hosts[node])
        except Exception as error:
            self._hosts.pop(node, None)
            raise OmniStreamError(f"the host {node[:8]} of the cluster does not answer: {type(error).__name__}") from error

    async def _meet(self, node: str) -> Host:
        keeper = self._make_keeper(HostKeeper, node)
        host = Host(node, keeper, await _answer(keeper.run_dir.remote(), 60))
        await self._ask_clock(host, _AT_FIRST)
        level = logging.WARNING if host.error_ns > _VAGUE_NS else logging.INFO
        _log.log(level, "the clock of the host %s is known to %.1f ms", node[:8], host.error_ns / 1e6)
        self._spawn(self._keep_clock(host))
        if self._home is not None:
            self._spawn(self._keep_bringing(host, self._home))
        return host

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- clocks ------------------------------------------------------------------------------------

    async def _ask_clock(self, host: Host, times: int) -> None:
        for _ in range(times):
            sent = self._clock.now()
            there = await _answer(host.keeper.read_clock.remote(), _ANSWER_S)
            host.estimate.answered(sent, there, self._clock.now())
        host.offset_ns, host.error_ns = host.estimate.best(self._clock.now())
        host.worst_ns = max(host.worst_ns, host.error_ns)
        await _answer(host.keeper.aim.remote(host.offset_ns, host.error_ns), _ANSWER_S)

    async def _keep_clock(self, host: Host) -> None:
        while True:
            await asyncio.sleep(_EVERY_S)
            try:
                await self._ask_clock(host, _EACH_TIME)
            except Exception as error:
                if self._is_gone(error):
                    return
                _log.info("host %s was not asked for its clock: %s", host.node[:8], type(error).__name__)

    def notes(self) -> list[str]:
        """How far the stamps of each host may be wrong."""
        met = [t.result() for t in self._hosts.values() if t.done() and not t.cancelled() and t.exception() is None]
        return [
            f"stamps of the host {h.node[:8]} are right within {h.worst_ns / 1e6:.1f} ms (its clock, seen from here)"
            for h in (*self._gone, *met)
        ]

    # -- lives and deaths --------------------------------------------------------------------------

    async def ended(self, host: Host, pid: int) -> None:
        """Returns when a process there has ended, or the host with it."""
        while True:
            try:
                await host.keeper.ended.remote(pid)
            except Exception as error:
                if self._is_gone(error):
                    if host not in self._gone:
                        self._gone.append(host)
                        self._hosts.pop(host.node, None)
                    return
                await asyncio.sleep(0.5)  # the network is away
            else:
                return

    def kill(self, host: Host, pid: int) -> None:
        """Asks for it, and does not wait."""
        with contextlib.suppress(Exception):
            host.keeper.kill.remote(pid)

    # -- what is recorded there --------------------------------------------------------------------

    async def _keep_bringing(self, host: Host, home: Path) -> None:
        while True:
            await asyncio.sleep(_BRING_S)
            try:
                over = set(host.over)
                while not self._is_behind(host, home) and await self._bring(host, home):
                    pass
                if not self._is_behind(host, home):
                    for worker, incarnation in over:
                        all_is_here(home, worker, incarnation)
                        host.over.discard((worker, incarnation))
            except Exception as error:
                if self._is_gone(error):
                    return
                _log.info("nothing was brought from host %s: %s", host.node[:8], type(error).__name__)

    def _is_behind(self, host: Host, home: Path) -> bool:
        """Whether the recorder has as much to take of this host as may wait."""
        return bool(self._queue) and waiting(home, host.lives) > self._queue

    async def _bring(self, host: Host, home: Path) -> bool:
        """A piece of what was recorded there; whether there was any."""
        async with host.bringing:
            pieces = await _answer(host.keeper.take.remote(host.home, _PIECE), _ANSWER_S)
            for name, at, data in pieces:
                if at < 0:  # it is gone there
                    host.home.pop(name, None)
                    if name.endswith(HOLE):  # there is room again
                        (home / Path(name).name).unlink(missing_ok=True)
                else:
                    put_at(home / Path(name).name, at, data)
                    host.home[name] = at + len(data)
        return any(at >= 0 for _, at, _ in pieces)

    async def bring_home(self) -> None:
        """What was recorded on every host, to its end; a hole for each life whose host is gone or silent."""
        if self._home is None:
            return
        for host in self._gone:
            _leave_holes(self._home, host)
        for task in self._hosts.values():
            if not task.done() or task.exception() is not None:
                continue
            host = task.result()
            try:
                while await self._bring(host, self._home):
                    pass
            except Exception as error:
                _log.error("not all that was recorded on the host %s came home: %s", host.node[:8], type(error).__name__)
                _leave_holes(self._home, host)

    async def end(self) -> None:
        """Keepers take the run's directories away."""
        for task in self._tasks:
            task.cancel()
        met = [t.result() for t in self._hosts.values() if t.done() and not t.cancelled() and t.exception() is None]
        await asyncio.gather(*(_answer(h.keeper.close.remote(), 5) for h in met), return_exceptions=True)


def _leave_holes(home: Path, host: Host) -> None:
    for name, incarnation in host.lives:
        (home / f"{name}.{incarnation}{HOLE}").touch()


async def _answer(reference: Awaitable[Any], timeout_s: float) -> Any:
    return await asyncio.wait_for(_awaited(reference), timeout_s)


async def _awaited(reference: Awaitable[Any]) -> Any:
    return await reference
