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

__all__ = ["Host", "Hosts"]

_log = logging.getLogger("omnistream")
_AT_FIRST, _EACH_TIME = 8, 3
_EVERY_S = 2.0
_ANSWER_S = 10.0
_PIECE = 4 << 20
#: What is known no better than this of a clock is said aloud.
_VAGUE_NS = 20_000_000


class Host:
    """One host: its keeper, the run's directory there, its offset to run time and how far that may be wrong."""

    def __init__(self, node: str, keeper: Any, run_dir: str) -> None:
        self.node, self.keeper, self.run_dir = node, keeper, run_dir
        self.offset_ns = self.error_ns = self.worst_ns = 0
        self.lives: set[tuple[str, int]] = set()
        self.estimate = OffsetEstimate()


class Hosts:
    """Hosts by Ray's name of them. `make_keeper` starts a HostKeeper on one; `is_gone` tells an error that means it is dead."""

    def __init__(
        self, clock: Clock, make_keeper: Callable[[type[HostKeeper], str], Any], is_gone: Callable[[BaseException], bool]
    ) -> None:
        self._clock, self._make_keeper, self._is_gone = clock, make_keeper, is_gone
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

    # -- the end -----------------------------------------------------------------------------------

    async def bring_home(self, run_dir: str) -> None:
        """What was recorded on every host, into the run's directory here; a hole for each life whose host is gone or silent."""
        for host in self._gone:
            _leave_holes(run_dir, host)
        for task in self._hosts.values():
            if not task.done() or task.exception() is not None:
                continue
            host = task.result()
            try:
                for name, size in await _answer(host.keeper.recorded.remote(), _ANSWER_S):
                    await self._fetch(host, name, size, Path(run_dir, Path(name).name))
            except Exception as error:
                _log.error("not all that was recorded on the host %s came home: %s", host.node[:8], type(error).__name__)
                _leave_holes(run_dir, host)

    async def _fetch(self, host: Host, name: str, size: int, path: Path) -> None:
        with path.open("wb") as file:
            for at in range(0, size, _PIECE):
                file.write(await _answer(host.keeper.piece.remote(name, at, min(_PIECE, size - at)), _ANSWER_S))

    async def end(self) -> None:
        """Keepers take the run's directories away."""
        for task in self._tasks:
            task.cancel()
        met = [t.result() for t in self._hosts.values() if t.done() and not t.cancelled() and t.exception() is None]
        await asyncio.gather(*(_answer(h.keeper.close.remote(), 5) for h in met), return_exceptions=True)


def _leave_holes(run_dir: str, host: Host) -> None:
    for name, incarnation in host.lives:
        Path(run_dir, f"{name}.{incarnation}.hole").touch()


async def _answer(reference: Awaitable[Any], timeout_s: float) -> Any:
    return await asyncio.wait_for(_awaited(reference), timeout_s)


async def _awaited(reference: Awaitable[Any]) -> Any:
    return await reference
