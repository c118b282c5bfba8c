"""Processes that compute for another: one thread each, Ctrl-C is for who started them, and they end with it however it ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import wait

from threadpoolctl import threadpool_limits

__all__ = ["serve_parent"]


def serve_parent() -> None:
    """To be called first in a process of a pool."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    threadpool_limits(1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
