"""The clients of a ZeroMQ actions sink: who is there, who still owes the acknowledgement of a stop, who floods.

Pure: frames and times in, frames out; `zmq_actions` owns the socket.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from omnistream.errors import PayloadError
from omnistream.message import MS
from omnistream.protocol.codec import (
    Ack,
    ActionFrame,
    Bye,
    Form,
    Frame,
    Hello,
    Ping,
    Pong,
    Unknown,
    Welcome,
    decode,
    encode,
    form_of,
)
from omnistream.protocol.limiter import Bucket

__all__ = ["Client", "Clients", "Heard"]

#: A client may send so many frames per second (heartbeats and one acknowledgement per action need fewer than 100).
CLIENT_RATE, CLIENT_BURST = 500.0, 500.0
#: All who are no clients yet share this.
STRANGER_RATE, STRANGER_BURST = 100.0, 200.0
#: A stop is sent again so often until it is acknowledged.
STOP_REPEAT_NS = 100 * MS


@dataclass(slots=True)
class Client:
    """One connected client. `stop` is the stop that it has not acknowledged; it counts as sent from `stop_sent_ns` on."""

    peer: bytes
    name: str
    form: Form
    heard_ns: int
    stop: ActionFrame | None = None
    stop_sent_ns: int | None = None
    bucket: Bucket = field(default_factory=lambda: Bucket(CLIENT_RATE, CLIENT_BURST))

    @property
    def blocked(self) -> bool:
        """Whether a stop has yet to reach the socket: nothing may be sent before it."""
        return self.stop is not None and self.stop_sent_ns is None


@dataclass(slots=True)
class Heard:
    """What follows from one received frame: an answer, an acknowledgement, a fault to report."""

    answer: bytes | None = None
    ack: Ack | None = None
    joined: Client | None = None
    fault: tuple[str, str] | None = None


class Clients:
    """The table of clients. `greeting` is the stop that each new client is sent first, if there is one."""

    def __init__(self, *, run: int, max_clients: int, heartbeat_ms: int, watchdog_ms: int) -> None:
        self.run = run
        self.max_clients = max_clients
        self.heartbeat_ms = heartbeat_ms
        self.watchdog_ms = watchdog_ms
        self.greeting: ActionFrame | None = None
        self._by_peer: dict[bytes, Client] = {}
        self._strangers = Bucket(STRANGER_RATE, STRANGER_BURST)

    def __len__(self) -> int:
        return len(self._by_peer)

    def __iter__(self) -> Iterator[Client]:
        return iter(list(self._by_peer.values()))

    def heard(self, peer: bytes, frames: list[bytes], now_ns: int) -> Heard:
        """Take one message of `peer` (its frames without the routing id)."""
        client = self._by_peer.get(peer)
        if not (client.bucket if client else self._strangers).allow(now_ns):
            return Heard(fault=("flood", f"{client.name if client else 'a stranger'} sends more frames than are handled"))
        try:
            if len(frames) != 1:
                raise PayloadError(f"{len(frames)} frames; a message is one")
            data = frames[0]
            frame = decode(data, Hello, Ping, Ack, Bye)
        except PayloadError as error:
            return Heard(fault=("garbage", f"from {client.name if client else 'a stranger'}: {error}"))
        form = form_of(data)
        if isinstance(frame, Hello):
            return self._hello(peer, frame, form, now_ns)
        if client is None:
            return Heard(answer=None if isinstance(frame, Bye) else encode(Unknown(detail="say hello first"), form))
        client.heard_ns = now_ns
        if isinstance(frame, Ping):
            return Heard(answer=encode(Pong(t0_ns=frame.t0_ns, t1_ns=now_ns, t2_ns=now_ns, run=self.run), form))
        if isinstance(frame, Bye):
            return Heard(fault=self.gone(peer, "said goodbye"))
        if client.stop is not None and frame.id == client.stop.id:
            client.stop = client.stop_sent_ns = None
        return Heard(ack=frame)

    def gone(self, peer: bytes, why: str) -> tuple[str, str] | None:
        """Forget a client; the fault to report where it leaves a stop unacknowledged."""
        client = self._by_peer.pop(peer, None)
        if client is None or client.stop is None:
            return None
        return "stop_unconfirmed", f"client {client.name} {why} before it acknowledged the stop ({client.stop.text})"

    def silent(self, now_ns: int) -> list[Client]:
        """Clients that were not heard for three heartbeats (and no less than the watchdog)."""
        limit = max(3 * self.heartbeat_ms, self.watchdog_ms) * MS
        return [c for c in self if now_ns - c.heard_ns > limit]

    def stop(self, frame: ActionFrame) -> None:
        """From now on every client owes the acknowledgement of this stop."""
        for client in self:
            client.stop, client.stop_sent_ns = frame, None

    def stops_due(self, now_ns: int) -> list[Client]:
        """Clients to which their stop must be sent now: never yet, or not acknowledged for a while."""
        return [c for c in self if c.stop and (c.stop_sent_ns is None or now_ns - c.stop_sent_ns >= STOP_REPEAT_NS)]

    def _hello(self, peer: bytes, hello: Hello, form: Form, now_ns: int) -> Heard:
        if hello.role != "robot" or not hello.client:
            return Heard(fault=("garbage", f"a client without a name, or of the unknown role {hello.role[:40]!r}"))
        known = next((c for c in self if c.peer == peer or c.name == hello.client), None)
        if known is None and len(self) >= self.max_clients:
            text = f"there are {self.max_clients} clients already; raise 'max_clients' to serve more"
            return Heard(answer=encode(Unknown(detail=text), form), fault=("refused_client", f"{hello.client[:40]}: {text}"))
        client = Client(peer, hello.client[:80], form, now_ns, self.greeting)
        if known is not None:  # the same client on a new connection, or the same connection again
            del self._by_peer[known.peer]
            client.stop, client.bucket = known.stop or self.greeting, known.bucket
        self._by_peer[peer] = client
        answer: Frame = Welcome(
            t0_ns=hello.t0_ns,
            t1_ns=now_ns,
            t2_ns=now_ns,
            run=self.run,
            heartbeat_ms=self.heartbeat_ms,
            watchdog_ms=self.watchdog_ms,
        )
        return Heard(answer=encode(answer, form), joined=client)
