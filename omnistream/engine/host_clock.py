"""One slewed offset for all processes of a host, in a small file that the host's keeper writes and its workers map."""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

from omnistream.clock import Slew, SlewedClock

__all__ = ["CLOCK_NAME", "SlewFile", "host_clock"]

#: In the host's directory of the run.
CLOCK_NAME = "clock"
_SLEW = struct.Struct("<qqqq")
#: How many were written; then two places, for those of even and of odd numbers: one is read while the other is written.
_COUNT = struct.Struct("@Q")
_PLACES = (8, 8 + _SLEW.size)
_SIZE = 8 + 2 * _SLEW.size


class SlewFile:
    """The host's slew. `make` writes the first; `set` one more, of which there are seconds between."""

    def __init__(self, path: Path, *, writes: bool = False) -> None:
        fd = os.open(path, os.O_RDWR if writes else os.O_RDONLY)
        try:
            self._map = mmap.mmap(fd, _SIZE, prot=mmap.PROT_READ | (mmap.PROT_WRITE if writes else 0))
        finally:
            os.close(fd)

    @classmethod
    def make(cls, path: Path, slew: Slew) -> SlewFile:
        path.write_bytes(bytes(_SIZE))
        file = cls(path, writes=True)
        file.set(slew)
        return file

    def set(self, slew: Slew) -> None:
        count = _COUNT.unpack_from(self._map)[0] + 1
        _SLEW.pack_into(self._map, _PLACES[count % 2], slew.since_ns, slew.offset_ns, slew.target_ns, slew.error_ns)
        _COUNT.pack_into(self._map, 0, count)

    def get(self) -> Slew:
        while True:
            count = _COUNT.unpack_from(self._map)[0]
            slew = Slew(*_SLEW.unpack_from(self._map, _PLACES[count % 2]))
            if _COUNT.unpack_from(self._map)[0] == count:
                return slew


def host_clock(run_dir: str) -> SlewedClock:
    """Run time, for a worker on a host that has a keeper."""
    return SlewedClock(SlewFile(Path(run_dir, CLOCK_NAME)).get)
