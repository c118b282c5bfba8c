"""Child processes that never outlive us: started as one's own, ended by their handle, and by the kernel if we die first."""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from typing import Any

__all__ = ["end", "free_port", "load", "spawn"]

_PR_SET_PDEATHSIG = 1
_OURS = range(20_000, 32_768)  # Ray's workers take 10002 to 19999, Linux gives connections 32768 and up
_given: set[int] = set()
_BURN = "import os, sys\nwhile os.getppid() == int(sys.argv[1]): pass"


def spawn(args: Sequence[str], *, cwd: str | None = None, apart: bool = True, **options: Any) -> subprocess.Popen[Any]:
    """Start a process that is terminated when this thread ends; `apart`: in its own session, so a Ctrl-C is for us alone.

    Linux tells it of our end; elsewhere only `end` does.
    """
    before = _end_with(os.getpid())
    return subprocess.Popen(list(args), cwd=cwd, start_new_session=apart, preexec_fn=before, **options)  # noqa: PLW1509  no threads yet


def end(process: subprocess.Popen[Any], timeout_s: float = 3.0) -> None:
    """Ask it to end, wait, and then insist."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout_s)
    if process.poll() is None:
        process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


@contextlib.contextmanager
def load(burners: int, *, apart: bool = False) -> Generator[None]:
    """So many processes that do nothing but work, until the block or this process ends; `apart`: each in its own session."""
    command = [sys.executable, "-c", _BURN, str(os.getpid())]
    started = [subprocess.Popen(command, start_new_session=apart) for _ in range(burners)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def free_port() -> int:
    """A loopback port that nobody has at this moment, from a range that neither the kernel nor Ray gives out by itself.

    One that the kernel chose could be the end of somebody's connection before it is used.
    """
    for port in random.SystemRandom().sample(_OURS, len(_OURS)):
        if port in _given:
            continue
        with socket.socket() as found, contextlib.suppress(OSError):
            found.bind(("127.0.0.1", port))
            _given.add(port)
            return port
    raise OSError(f"no loopback port of {_OURS.start} to {_OURS.stop - 1} is free; end the programs that have them")


def _end_with(parent: int) -> Callable[[], None] | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)  # loaded before the fork: the child may do little

    def ask_the_kernel() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died in between
            os._exit(1)

    return ask_the_kernel
