"""One recorded message as bytes: a msgpack map of what its stream knew about it, and its payload.

This is the lossless form, for every payload type. Fields: ``v`` 1, ``seq``, ``epoch``, ``start_ns``, ``bound_ns``,
``clock``, ``origin``, ``payload`` (canonical bytes). The stamp is MCAP's log time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgpack

from omnistream.errors import PayloadError
from omnistream.link.wire import decode_payload, encode_payload
from omnistream.message import Origin, Payload

__all__ = ["RecordedMessage", "decode_record", "encode_record"]

VERSION = 1


@dataclass(frozen=True, slots=True, eq=False)
class RecordedMessage:
    """A message as its stream gave it. `bound_ns`: no later message of the stream was to be stamped below it, if known."""

    stamp_ns: int
    start_ns: int | None
    payload: Payload
    bound_ns: int | None = None
    epoch: int = 0
    seq: int = 0
    clock_source: str = "host"
    origin: Origin | None = None


def encode_record(message: RecordedMessage) -> bytes:
    """The map, without the stamp."""
    fields = {
        "v": VERSION,
        "seq": message.seq,
        "epoch": message.epoch,
        "start_ns": message.start_ns,
        "bound_ns": message.bound_ns,
        "clock": message.clock_source,
        "origin": message.origin,
        "payload": encode_payload(message.payload),
    }
    return msgpack.packb(fields)  # type: ignore[return-value]


def decode_record(data: bytes, stamp_ns: int) -> RecordedMessage:
    """Raises PayloadError for anything that `encode_record` does not give."""
    try:
        value: Any = msgpack.unpackb(data, use_list=False, strict_map_key=True)
    except (ValueError, msgpack.UnpackException, RecursionError, TypeError) as e:
        raise PayloadError(f"not msgpack: {str(e)[:80]}") from None
    if not isinstance(value, dict) or value.get("v") != VERSION or not isinstance(value.get("payload"), bytes):
        raise PayloadError("a recorded message is a map with v: 1 and a payload")
    fields: dict[str, Any] = value
    start, bound, origin = fields.get("start_ns"), fields.get("bound_ns"), fields.get("origin")
    seq, epoch, clock = fields.get("seq", 0), fields.get("epoch", 0), fields.get("clock", "host")
    ok = _is_int(seq) and _is_int(epoch) and isinstance(clock, str) and (origin is None or _is_origin(origin))
    if not (ok and all(n is None or _is_int(n) for n in (start, bound))):
        raise PayloadError("a recorded message's seq, epoch, start_ns, bound_ns, clock or origin is of a wrong type")
    return RecordedMessage(stamp_ns, start, decode_payload(fields["payload"]), bound, epoch, seq, clock, origin)


def _is_int(value: Any) -> bool:
    return type(value) is int


def _is_origin(value: Any) -> bool:
    return isinstance(value, tuple) and all(type(v) in (str, int) or _is_origin(v) for v in value)
