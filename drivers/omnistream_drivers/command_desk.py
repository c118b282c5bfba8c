"""Commands as they come in from clients: each taken once, answered at once, and answered again when it is settled.

Pure: frames and times in, frames out. Shared by `zmq_commands` and `mqtt_commands`.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from omnistream.errors import PayloadError
from omnistream.message import Origin
from omnistream.protocol.codec import Ack, CommandFrame, Form, decode, encode, form_of
from omnistream.protocol.limiter import Bucket

__all__ = ["MAX_TEXT", "CommandDesk", "Taken"]

#: Characters of one command.
MAX_TEXT = 1000
#: Commands that are remembered, so that a resent one is known; and peers whose rate is.
MAX_KNOWN, MAX_PEERS = 4096, 256
PEER_RATE, PEER_BURST = 50.0, 100.0
TOTAL_RATE, TOTAL_BURST = 500.0, 1000.0

Key = tuple[str, str]


@dataclass(slots=True)
class _Known:
    peer: bytes
    form: Form
    status: str = "accepted"
    detail: str = ""


@dataclass(slots=True)
class Taken:
    """What follows from one frame: an answer, a command that is new, a fault to report."""

    answer: bytes | None = None
    command: CommandFrame | None = None
    key: Key = ("", "")
    fault: tuple[str, str] | None = None

    @property
    def origin(self) -> Origin:
        return ("client", *self.key)


class CommandDesk:
    """Knows the last commands, and how often each peer may send. A resent command is answered with its status."""

    def __init__(self) -> None:
        self._known: OrderedDict[Key, _Known] = OrderedDict()
        self._buckets: OrderedDict[bytes, Bucket] = OrderedDict()
        self._total = Bucket(TOTAL_RATE, TOTAL_BURST)

    def take(self, peer: bytes, data: bytes, now_ns: int, *, client: str = "") -> Taken:
        """Take one frame of `peer`; `client` names who sent it where the frame does not."""
        if not self._total.allow(now_ns):
            return Taken(fault=("flood", "more frames than are handled; the rest of this second is not read"))
        try:
            frame = decode(data, CommandFrame)
        except PayloadError as error:
            return Taken(fault=("garbage", str(error)))
        form, key = form_of(data), (frame.client or client, frame.id)
        known = self._known.get(key)
        if known is not None:  # the answer was lost, or the client is impatient
            known.peer, known.form = peer, form
            return Taken(answer=_answer(frame.id, known.status, known.detail, form), key=key)
        if not self._bucket(peer).allow(now_ns):
            text = f"more than {PEER_RATE:g} commands a second"
            return Taken(answer=_answer(frame.id, "busy", text, form), fault=("flood", f"{key[0][:40]}: {text}"))
        wrong = _wrong(frame)
        if wrong:
            return Taken(
                answer=_answer(frame.id, "refused", wrong, form), fault=("refused", f"command of {key[0][:40]}: {wrong}")
            )
        if not self._room():
            return Taken(answer=_answer(frame.id, "busy", f"{MAX_KNOWN} commands are under way", form))
        self._known[key] = _Known(peer, form)
        return Taken(answer=_answer(frame.id, "accepted", "", form), command=frame, key=key)

    def settle(self, key: Key, outcome: str) -> tuple[bytes, bytes] | None:
        """The command has ended: ``done``, or why it was lost. Whom to tell, and what."""
        known = self._known.get(key)
        if known is None:
            return None
        known.status, known.detail = ("done", "") if outcome == "done" else ("lost", outcome[:500])
        return known.peer, _answer(key[1], known.status, known.detail, known.form)

    def pending(self, key: Key) -> bool:
        """Whether this command is under way."""
        return key in self._known and self._known[key].status == "accepted"

    def _bucket(self, peer: bytes) -> Bucket:
        bucket = self._buckets.pop(peer, None) or Bucket(PEER_RATE, PEER_BURST)
        self._buckets[peer] = bucket
        if len(self._buckets) > MAX_PEERS:
            self._buckets.popitem(last=False)
        return bucket

    def _room(self) -> bool:
        while len(self._known) >= MAX_KNOWN:
            oldest = next((k for k, known in self._known.items() if known.status != "accepted"), None)
            if oldest is None:
                return False
            del self._known[oldest]
        return True


def _wrong(frame: CommandFrame) -> str:
    if not frame.id:
        return "it has no 'id'; give each command one of its own, and the same when it is sent again"
    if len(frame.id) > 200 or len(frame.client) > 200:
        return "'id' and 'client' have at most 200 characters"
    if not frame.text.strip():
        return "its text is empty"
    if len(frame.text) > MAX_TEXT:
        return f"its text has {len(frame.text)} characters; at most {MAX_TEXT} are taken"
    return ""


def _answer(command_id: str, status: str, detail: str, form: Form) -> bytes:
    return encode(Ack(id=command_id, status=status, detail=detail), form)
