"""Parts over ZeroMQ PUSH/PULL, one multipart message a batch. Credits bound what is under way, so the sockets have no marks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq

from omnistream.errors import LinkError
from omnistream.link.post import HostPost

__all__ = ["ZmqPost", "ZmqTransport"]

_log = logging.getLogger("omnistream.link")
_MAX_PART = 1 << 30
#: Batches read before the event loop has its turn.
_TURN = 64


class ZmqLine:
    """A PUSH socket to one address."""

    def __init__(self, context: zmq.Context[Any], address: str) -> None:
        self._address = address
        self._socket: zmq.Socket[Any] = context.socket(zmq.PUSH)
        self._socket.setsockopt(zmq.SNDHWM, 0)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.connect(address)

    def send(self, parts: list[Any]) -> None:
        try:
            self._socket.send_multipart(parts, zmq.NOBLOCK)
        except zmq.Again:
            _log.warning("no room to send to %s; it is taken for dead", self._address)

    def close(self) -> None:
        self._socket.close()


class ZmqTransport:
    """A PULL socket at `path`, read on the event loop: through its descriptor, which is a hop less than zmq.asyncio."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.address = f"ipc://{path}"
        self._context: zmq.Context[Any] = zmq.Context()
        self._pull: zmq.Socket[Any] = self._context.socket(zmq.PULL)
        self._pull.setsockopt(zmq.RCVHWM, 0)
        self._pull.setsockopt(zmq.LINGER, 0)
        self._pull.setsockopt(zmq.MAXMSGSIZE, _MAX_PART)
        self._loop = asyncio.get_running_loop()
        self._deliver: Callable[[list[Any]], None] | None = None

    def listen(self, deliver: Callable[[list[Any]], None], garbage: Callable[[str], None]) -> None:
        del garbage  # what is not ZeroMQ never gets here
        self._pull.bind(self.address)
        self._deliver = deliver
        self._loop.add_reader(self._fd(), self._ready)
        self._loop.call_soon(self._ready)

    def _fd(self) -> int:
        return int(self._pull.getsockopt(zmq.FD))

    def _ready(self) -> None:
        """Read until there is nothing more: the descriptor tells only of what comes after that."""
        for _ in range(_TURN):
            if self._deliver is None:
                return
            try:
                frames = self._pull.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            try:
                self._deliver([f.buffer for f in frames])
            except BaseException:
                self._loop.call_soon(self._ready)
                raise
        self._loop.call_soon(self._ready)

    def dial(self, address: str) -> ZmqLine:
        return ZmqLine(self._context, address)

    async def close(self) -> None:
        if self._deliver is not None:
            self._deliver = None
            self._loop.remove_reader(self._fd())
        self._pull.close()
        self._context.destroy(linger=0)
        Path(self._path).unlink(missing_ok=True)  # noqa: ASYNC240  one unlink, at the end


class ZmqPost(HostPost):
    """A post over `ipc://`, with its socket in the run's own directory, which only its user can enter."""

    def __init__(self, run_dir: str, name: str, incarnation: int) -> None:
        path = str(Path(run_dir, f"{name}.{incarnation}.sock"))
        if len(path) > 100:
            raise LinkError(f"the socket path {path} is too long for the system; set TMPDIR to a shorter one")
        super().__init__(run_dir, name, incarnation, ZmqTransport(path))
