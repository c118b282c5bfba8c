"""What a run has on each other host of a cluster beside its workers: a process that makes and removes the run's
directories there, keeps the host's clock, knows of a worker's death at once, and sends home what was recorded."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from pathlib import Path

from omnistream.clock import Slew, monotonic_ns
from omnistream.engine.host_clock import CLOCK_NAME, SlewFile
from omnistream.engine.rundir import RunDir
from omnistream.record.spool import HOLE, SUFFIX

__all__ = ["HostKeeper"]

_RECORDED = (SUFFIX, HOLE)


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

    def take(self, have: Mapping[str, int], most: int) -> list[tuple[str, int, bytes]]:
        """What workers of this host have recorded beyond what is at home: (file, from where, bytes), `most` of them in all.

        `have` is how much of each file is at home. A segment that others follow is removed once all of it is, and
        then said to be gone: (file, -1, b"").
        """
        folder = Path(self._home.path)
        names = sorted(p.name for p in folder.iterdir() if p.suffix in _RECORDED)
        found = [(name, -1, b"") for name in have if name not in names]
        last = {name.rpartition(".")[0].rpartition(".")[0]: name for name in names if name.endswith(SUFFIX)}
        for name in names:
            if most <= 0:  # in order: that there is a next segment says that this one has ended
                break
            at, size = have.get(name, 0), (folder / name).stat().st_size
            if at < size or name not in have:
                with (folder / name).open("rb") as file:
                    file.seek(at)
                    data = file.read(min(size - at, most))
                most -= len(data)
                found.append((name, at, data))
            elif name.endswith(SUFFIX) and name not in last.values():
                (folder / name).unlink()
        return found

    async def close(self) -> None:
        self._home.remove()
