"""One offset for all processes of a host: what is written is read whole, and only forward."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from omnistream.clock import Slew, monotonic_ns
from omnistream.engine.host_clock import CLOCK_NAME, SlewFile, host_clock

READER = """
import sys
from omnistream.engine.host_clock import SlewFile
from pathlib import Path
file, last = SlewFile(Path(sys.argv[1])), -1
print("ready", flush=True)
while last < 20000:
    slew = file.get()
    assert slew.since_ns == slew.offset_ns == slew.target_ns == slew.error_ns >= last, (slew, last)
    last = slew.since_ns
"""


def test_what_another_process_reads_is_whole_and_never_older(tmp_path: Path) -> None:
    path = tmp_path / CLOCK_NAME
    file = SlewFile.make(path, Slew(0, 0, 0, 0))
    with subprocess.Popen([sys.executable, "-c", READER, str(path)], stdout=subprocess.PIPE) as reader:
        assert reader.stdout.readline() == b"ready\n"
        for n in range(1, 20_001):
            file.set(Slew(n, n, n, n))
        assert reader.wait(20) == 0


def test_a_worker_reads_the_time_that_the_keeper_has_set(tmp_path: Path) -> None:
    offset = 10**15
    first = Slew(monotonic_ns(), offset, offset, 5)
    file = SlewFile.make(tmp_path / CLOCK_NAME, first)
    clock = host_clock(str(tmp_path))
    before = monotonic_ns()
    now = clock.now()
    assert before <= now - offset <= monotonic_ns()
    file.set(first.towards(offset - 10**6, 5, monotonic_ns()))
    reads = [clock.now() for _ in range(10_000)]
    assert reads == sorted(reads)
    assert file.get().at(monotonic_ns()) < offset


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    SlewFile.make(tmp_path / CLOCK_NAME, Slew(0, 0, 0, 0))
    with pytest.raises(TypeError):
        SlewFile(tmp_path / CLOCK_NAME).set(Slew(1, 1, 1, 1))
