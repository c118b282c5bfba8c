"""Where a run can be looked at and ended from outside: a socket in its directory, which only its user can enter.

A request is one line of JSON, {"ask": ...}, and so is the answer. "view" (observe/view.py, and who and how long the run is),
"ledger" (its newest rows), "logs" (what was printed, and deaths), "stop". Nothing else of a run can be changed from outside.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import socket
from collections import deque
from pathlib import Path
from typing import Any, Protocol

from omnistream.clock import perf_ns
from omnistream.errors import OmniStreamError
from omnistream.observe.view import Watched, view_of

__all__ = ["SOCKET", "Control", "ask"]

SOCKET = "control.sock"
_ROWS, _LINES = 10_000, 2_000
_REQUEST = 4096
_ANSWER = 64 << 20


class Stoppable(Watched, Protocol):
    """A run, as `Control` knows it."""

    def stop(self, reason: str = ...) -> None: ...


class Control:
    """Serves one run. `note` is called with it after each look, before anybody takes what it has said."""

    def __init__(self, run: Stoppable, title: str) -> None:
        self._run, self._title = run, title
        self._began = perf_ns()
        self._lines: deque[str] = deque(maxlen=_LINES)
        self._said = 0
        self._events = 0
        self._server: asyncio.AbstractServer | None = None

    def note(self, run: Watched) -> None:
        """Keep what was printed since."""
        new = [*run.events[self._events :], *run.said]
        self._events = len(run.events)
        self._lines.extend(new)
        self._said += len(new)

    async def open(self, run_dir: str) -> None:
        self._server = await asyncio.start_unix_server(self._met, Path(run_dir, SOCKET), limit=_REQUEST)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, ValueError, TimeoutError, asyncio.CancelledError):  # cut off as the run ends
                line = await asyncio.wait_for(reader.readline(), 5)
                request: Any = json.loads(line)
                answer = self.answer(request) if isinstance(request, dict) else None
                if answer is not None:
                    writer.write(json.dumps(answer).encode() + b"\n")
                    await asyncio.wait_for(writer.drain(), 5)
        finally:
            writer.close()

    def answer(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """What is said to a request, on whatever way it came; None to one that is not understood."""
        run = self._run
        since = request.get("since", 0)
        since = since if isinstance(since, int) else 0
        if request.get("ask") == "view":
            seconds = (perf_ns() - self._began) / 1e9
            return view_of(run) | {
                "title": self._title,
                "pid": os.getpid(),
                "host": platform.node(),
                "seconds": round(seconds, 2),
            }
        if request.get("ask") == "ledger":
            rows = run.outcome.rows[-_ROWS:]
            return {"rows": [row.as_dict() for row in rows], "counts": dict(run.ledger())}
        if request.get("ask") == "logs":
            new = min(max(self._said - since, 0), len(self._lines))
            return {"lines": list(self._lines)[len(self._lines) - new :], "next": self._said}
        if request.get("ask") == "stop":
            run.stop("omnistream stop")
            return {"stopping": True}
        return None


def ask(run_dir: str | Path, request: dict[str, Any]) -> dict[str, Any]:
    """What the run in that directory answers. Raises OmniStreamError where none does."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(5)
            connection.connect(str(Path(run_dir, SOCKET)))
            connection.sendall(json.dumps(request).encode() + b"\n")
            data = bytearray()
            while not data.endswith(b"\n"):
                piece = connection.recv(1 << 16)
                if not piece or len(data) > _ANSWER:
                    break
                data += piece
        answer: Any = json.loads(data)
        if isinstance(answer, dict):
            return answer
        raise ValueError("it is no map")
    except (OSError, ValueError) as error:
        raise OmniStreamError(f"the run at {run_dir} does not answer: {str(error)[:100]}") from None
