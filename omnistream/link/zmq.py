"""Channels between workers on one host: ZeroMQ PUSH/PULL over `ipc://`, one multipart message a batch.

The first part is a msgpack header (who sends, which life of whom it is for, the items); array buffers follow as they
are. Credits bound what is under way, so the sockets have no marks of their own. The sockets lie in the run's own
directory, which only its user can enter.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import zmq
import zmq.asyncio

from omnistream.errors import LinkError, PayloadError
from omnistream.link.wire import decode_message, encode_message, loads

__all__ = ["ZmqPost", "decode_batch", "encode_batch"]

_log = logging.getLogger("omnistream.link")
_MAX_PART = 1 << 30
#: Batches kept of a peer that greets before this worker has been told of it.
_EARLY = 1000
#: The types of every kind of item, after its kind.
_ITEMS: dict[str, tuple[Any, ...]] = {
    "m": (int, int, bool, tuple, int, int),
    "b": (int, int),
    "n": (int, int),
    "c": (int, int, dict),
    "a": (int, int, str),
    "p": (int, int, int),
    "h": (dict,),
}
#: What a greeting says of each edge: next seq, received, uncredited, fates, bound.
_SAID = (int, int, int, dict, int)


def encode_batch(sender: str, incarnation: int, receiver: int, items: list[tuple[Any, ...]]) -> list[Any]:
    """The parts of a batch of items, for one life of its receiver."""
    buffers: list[Any] = []
    plain: list[Any] = []
    for item in items:
        if item[0] == "m":
            header, own = encode_message(item[4])
            plain.append((*item[:4], header, len(buffers), len(own)))
            buffers += own
        else:
            plain.append(item)
    return [msgpack.packb((sender, incarnation, receiver, plain)), *buffers]


def decode_batch(parts: list[Any]) -> tuple[str, int, int, list[tuple[Any, ...]]]:
    """Sender, its incarnation, the receiver's incarnation, the items. Raises PayloadError for anything malformed."""
    try:
        sender, incarnation, receiver, plain = loads(parts[0], text_keys=False)
        items: list[tuple[Any, ...]] = []
        for item in plain:
            kinds = _ITEMS[item[0]]
            if len(item) != len(kinds) + 1 or not all(map(isinstance, item[1:], kinds)) or not _is_sound(item):
                raise PayloadError(f"an item of kind {item[0]!r} is malformed")
            if item[0] == "m":
                first, count = item[5] + 1, item[6]
                if not 0 < first <= first + count <= len(parts):
                    raise PayloadError("a message names buffers that are not there")
                items.append((*item[:4], decode_message(item[4], parts[first : first + count])))
            else:
                items.append(item)
    except PayloadError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
        raise PayloadError(f"not a batch: {type(error).__name__}: {str(error)[:80]}") from None
    if not (isinstance(sender, str) and isinstance(incarnation, int) and isinstance(receiver, int)):
        raise PayloadError("a batch begins with sender and incarnations")
    return sender, incarnation, receiver, items


def _is_sound(item: tuple[Any, ...]) -> bool:
    """Whether the maps in an item are what its kind promises."""
    if item[0] == "c":
        return _is_fates(item[3])
    said = item[1].items() if item[0] == "h" else ()
    return all(
        isinstance(number, int) and len(words) == 5 and all(map(isinstance, words, _SAID)) and _is_fates(words[3])
        for number, words in said
    )


def _is_fates(counts: dict[Any, Any]) -> bool:
    return all(isinstance(k, str) and isinstance(v, int) for k, v in counts.items())


class ZmqPost:
    """One worker's channels. `garbage` is called with a sentence for each batch that is none."""

    def __init__(self, run_dir: str, name: str, incarnation: int) -> None:
        self._name, self._incarnation = name, incarnation
        self._path = str(Path(run_dir, f"{name}.{incarnation}.sock"))
        self.address = f"ipc://{self._path}"
        if len(self._path) > 100:
            raise LinkError(f"the socket path {self._path} is too long for the system; set TMPDIR to a shorter one")
        self._context = zmq.asyncio.Context()
        self._plain: zmq.Context[Any] = zmq.Context(self._context)
        self._pull: zmq.asyncio.Socket = self._context.socket(zmq.PULL)
        self._pull.setsockopt(zmq.RCVHWM, 0)
        self._pull.setsockopt(zmq.LINGER, 0)
        self._pull.setsockopt(zmq.MAXMSGSIZE, _MAX_PART)
        self._peers: dict[str, tuple[int, zmq.Socket[Any]]] = {}
        self._task: asyncio.Task[None] | None = None
        self._early: list[tuple[str, int, list[tuple[Any, ...]]]] = []
        self._behind: set[str] = set()  # peers of which something in _early is still to be read
        self._receiver: Callable[[str, list[tuple[Any, ...]]], None] = lambda *_: None

    def open(self, receive: Callable[[str, list[tuple[Any, ...]]], None], garbage: Callable[[str], None]) -> None:
        self._pull.bind(self.address)
        self._receiver = receive
        self._task = asyncio.get_running_loop().create_task(self._receive(receive, garbage))

    async def _receive(self, receive: Callable[[str, list[tuple[Any, ...]]], None], garbage: Callable[[str], None]) -> None:
        while True:
            frames = await self._pull.recv_multipart(copy=False)
            while True:
                self._handle([f.buffer for f in frames], receive, garbage)
                try:
                    frames = await self._pull.recv_multipart(zmq.NOBLOCK, copy=False)
                except zmq.Again:
                    break

    def _handle(
        self, parts: list[Any], receive: Callable[[str, list[tuple[Any, ...]]], None], garbage: Callable[[str], None]
    ) -> None:
        try:
            sender, incarnation, mine, items = decode_batch(parts)
        except PayloadError as error:
            garbage(str(error))
            return
        if mine != self._incarnation:
            return
        known = self._peers.get(sender)
        if known is not None and known[0] == incarnation:
            if sender in self._behind:
                self._early.append((sender, incarnation, items))
            else:
                receive(sender, items)
        elif (known is None or known[0] < incarnation) and len(self._early) < _EARLY:
            self._early.append((sender, incarnation, items))

    def connect(self, peer: str, incarnation: int, address: str) -> None:
        self.disconnect(peer)
        socket: zmq.Socket[Any] = self._plain.socket(zmq.PUSH)
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(address)
        self._peers[peer] = (incarnation, socket)
        self._early = [e for e in self._early if e[0] != peer or e[1] >= incarnation]
        if any(e[:2] == (peer, incarnation) for e in self._early):
            self._behind.add(peer)
            asyncio.get_running_loop().call_soon(self._catch_up, peer, incarnation)

    def _catch_up(self, peer: str, incarnation: int) -> None:
        """Read what a peer had sent before it was introduced, and before anything that has come from it since."""
        if peer not in self._behind or self._peers[peer][0] != incarnation:
            return
        early = [e[2] for e in self._early if e[:2] == (peer, incarnation)]
        self._early = [e for e in self._early if e[:2] != (peer, incarnation)]
        self._behind.discard(peer)
        for items in early:
            self._receiver(peer, items)

    def disconnect(self, peer: str) -> None:
        if peer in self._peers:
            incarnation, socket = self._peers.pop(peer)
            socket.close()
            self._behind.discard(peer)
            self._early = [e for e in self._early if e[:2] != (peer, incarnation)]

    def send(self, peer: str, items: list[tuple[Any, ...]]) -> None:
        incarnation, socket = self._peers[peer]
        parts = encode_batch(self._name, self._incarnation, incarnation, items)
        try:
            socket.send_multipart(parts, zmq.NOBLOCK)
        except zmq.Again:
            _log.warning("%s: no room to send to %s; the peer is taken for dead", self._name, peer)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        for peer in list(self._peers):
            self.disconnect(peer)
        self._pull.close()
        self._context.destroy(linger=0)
        Path(self._path).unlink(missing_ok=True)  # noqa: ASYNC240  one unlink, at the end
