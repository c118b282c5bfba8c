"""Who looks at a run: one who scrapes its metrics each second, and `top` on a terminal. They can be halted, and go on.

A process apart, which ends with its standard input: with whoever started it, whatever that one dies of.
"""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import threading
import urllib.request

__all__ = ["Lookers", "NotObservedError"]

_SCRAPE_S = 1.0
_ANSWER_S = 10.0
#: For them to end: they may wait for an answer.
_CLOSE_S = _ANSWER_S + 5


class NotObservedError(Exception):
    """The run goes on, and is not observed."""


class Lookers:
    """Of the run in this process, whose metrics are served at `port`; they look from now on."""

    def __init__(self, port: int) -> None:
        words = [sys.executable, __file__, str(port)]
        self._begun = False
        self._process: subprocess.Popen[bytes] = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )

    def look(self, *, on: bool) -> None:
        """Go on, or halt. Raises NotObservedError where they have not begun yet, or have ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if not self._begun and not select.select([self._process.stdout], [], [], 0)[0]:
            raise NotObservedError("`top` has not begun to show the run in time: too much else runs on this host")
        self._begun = True
        try:
            self._process.stdin.write(b"1" if on else b"0")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise NotObservedError(
                "`top` and the scraper ended before the run; if there was an error, it is shown above"
            ) from None

    def close(self) -> None:
        """End them, by force if they do not end in time."""
        try:
            self._process.communicate(timeout=_CLOSE_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)  # its session is its own, and `top` is in it
            self._process.communicate()


def main(port: int) -> None:
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "omnistream.cli.main", "top", str(os.getppid())]
    with subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=os.environ | {"TERM": "xterm"}) as top:
        threading.Thread(target=_drain, args=(master,), daemon=True).start()
        try:
            _look(top, f"http://127.0.0.1:{port}/metrics")
        finally:
            top.kill()


def _look(top: subprocess.Popen[bytes], metrics: str) -> None:
    on = True
    while top.poll() is None:
        if select.select([0], [], [], _SCRAPE_S if on else None)[0]:
            word = os.read(0, 1)
            if not word:
                break
            on = word == b"1"
            top.send_signal(signal.SIGCONT if on else signal.SIGSTOP)
        if on:
            with urllib.request.urlopen(metrics, timeout=_ANSWER_S) as page:
                page.read()


def _drain(master: int) -> None:
    """Take what `top` shows; say so once."""
    os.write(1, os.read(master, 1 << 16)[:1])
    while os.read(master, 1 << 16):
        pass


if __name__ == "__main__":
    main(int(sys.argv[1]))
