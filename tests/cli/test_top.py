"""`omnistream top` on a terminal: its keys, and a terminal that is as it was."""

from __future__ import annotations

import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path

import pytest
from test_attach import Going


class Watcher:
    """`top` on a terminal of its own."""

    def __init__(self, folder: Path) -> None:
        self.master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 140, 0, 0))
        self.slave, self.before = slave, termios.tcgetattr(slave)
        words = [sys.executable, "-m", "omnistream.cli.main", "top"]
        env = os.environ | {"TERM": "xterm", "TMPDIR": str(folder)}
        self.process = subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True)
        self.seen = b""

    def press(self, key: str) -> None:
        os.write(self.master, key.encode())

    def until(self, *texts: str) -> str:
        """What was shown since the last time, once it has all of these."""
        end = time.monotonic() + 20
        while not all(text.encode() in self.seen for text in texts):
            ready, _, _ = select.select([self.master], [], [], max(0.0, end - time.monotonic()))
            assert ready, self.seen[-2000:]
            self.seen += os.read(self.master, 1 << 16)
        shown, self.seen = self.seen.decode(errors="replace"), b""
        return shown


@pytest.fixture
def watcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watcher]:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="", dir="/tmp") as short:
        monkeypatch.setenv("TMPDIR", short)
        monkeypatch.setattr(tempfile, "tempdir", None)
        run = Going(Path(short), "pump")
        watcher = Watcher(Path(short))
        try:
            yield watcher
        finally:
            run.process.send_signal(signal.SIGTERM)
            run.process.communicate(timeout=20)
            watcher.process.kill()
            watcher.process.wait()
            os.close(watcher.master)
            os.close(watcher.slave)
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_keys_turn_pages_sort_pause_and_quit(watcher: Watcher) -> None:
    watcher.until("run on local of pump", "age p50", "each with one fate", "q quit")
    watcher.press("e")
    watcher.until("ticks.out->show.message", "credits")
    watcher.press("s")
    watcher.until("by rate")
    watcher.press("p")
    watcher.until("paused")
    watcher.press("pn")
    watcher.until("age p50")
    watcher.press("q")
    while watcher.process.poll() is None:  # it writes until it ends
        if select.select([watcher.master], [], [], 0.1)[0]:
            os.read(watcher.master, 1 << 16)
    assert watcher.process.returncode == 0
    assert termios.tcgetattr(watcher.slave) == watcher.before


def test_it_ends_where_its_terminal_is_gone(watcher: Watcher) -> None:
    """As when a connection breaks off: nobody looks, and it must not ask the run as fast as it can for ever."""
    watcher.until("run on local of pump", "age p50")
    os.close(watcher.master)
    watcher.master = os.open(os.devnull, os.O_RDWR)
    assert watcher.process.wait(10) == 0
