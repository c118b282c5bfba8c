"""What a run has on each other host of a cluster beside its workers: a process that makes and removes the run's
directories there, keeps the host's clock, knows of a worker's death at once, and sends home what was recorded."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

from omnistream.clock import Slew, monotonic_ns
from omnistream.engine.host_clock import CLOCK_NAME, SlewFile
from omnistream.engine.rundir import RunDir

__all__ = ["HostKeeper"]

_RECORDED = (".part", ".hole")


class HostKeeper:
    """Called by the head only, through Ray."""

    def __init__(self) -> None:
        self._home = RunDir()
        self._fds: dict[int, int] = {}
        self._slew: Slew | None = None
        self._file: SlewFile | None = None

    async def run_dir(self) -> str:
        return self._home.path

    async def read_clock(self) -> int:
        """This host's monotonic clock."""
        return monotonic_ns()

    def aim(self, offset_ns: int, error_ns: int) -> None:
        """Run time is the monotonic clock plus this, as far as is known now. The first is taken at once."""
        now = monotonic_ns()
        if self._slew is None or self._file is None:
            self._slew = Slew(now, offset_ns, offset_ns, error_ns)
            self._file = SlewFile.make(Path(self._home.path, CLOCK_NAME), self._slew)
        else:
            self._slew = self._slew.towards(offset_ns, error_ns, now)
            self._file.set(self._slew)

    async def ended(self, pid: int) -> None:
        """Returns when that process has ended."""
        loop = asyncio.get_running_loop()
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        self._fds[pid] = fd
        gone = loop.create_future()
        loop.add_reader(fd, lambda: gone.done() or gone.set_result(None))
        try:
            await gone
        finally:
            loop.remove_reader(fd)
            if self._fds.get(pid) == fd:
                del self._fds[pid]
            os.close(fd)

    async def kill(self, pid: int) -> None:
        """End a process whose end is waited for."""
        if pid in self._fds:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._fds[pid], signal.SIGKILL)

    def recorded(self) -> list[tuple[str, int]]:
        """Names and sizes of what workers of this host have recorded."""
        return sorted((p.name, p.stat().st_size) for p in Path(self._home.path).iterdir() if p.suffix in _RECORDED)

    def piece(self, name: str, at: int, size: int) -> bytes:
        with Path(self._home.path, Path(name).name).open("rb") as file:
            file.seek(at)
            return file.read(size)

    async def close(self) -> None:
        self._home.remove()
