"""One recorded message as bytes: a msgpack map of what its stream knew about it, and its payload.

This is the lossless form, for every payload type. Fields: ``v`` 1, ``seq``, ``epoch``, ``start_ns``, ``bound_ns``,
``clock``, ``origin``, ``payload`` (canonical bytes), and where they are not a source's ``cause_ns`` and ``lineage``.
The stamp is MCAP's log time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgpack

from omnistream.errors import PayloadError
from omnistream.link.wire import bin_header, decode_payload, payload_buffers
from omnistream.message import Origin, Payload

__all__ = ["RecordedMessage", "decode_record", "encode_record", "record_buffers"]

VERSION = 1


@dataclass(frozen=True, slots=True, eq=False)
class RecordedMessage:
    """A message as its stream gave it. `bound_ns`: no later message of the stream was to be stamped below it, if known.

    `cause_ns` None is the stamp, and `lineage` None the stream's own stamp, as for a sense.
    """

    stamp_ns: int
    start_ns: int | None
    payload: Payload
    bound_ns: int | None = None
    epoch: int = 0
    seq: int = 0
    clock_source: str = "host"
    origin: Origin | None = None
    cause_ns: int | None = None
    lineage: Mapping[str, int] | None = None


def encode_record(message: RecordedMessage) -> bytes:
    """The map, without the stamp."""
    return b"".join(record_buffers(message))


def record_buffers(message: RecordedMessage) -> list[bytes | memoryview]:
    """The bytes of `encode_record` in pieces, of which none is a copy of an array."""
    fields: dict[str, Any] = {
        "v": VERSION,
        "seq": message.seq,
        "epoch": message.epoch,
        "start_ns": message.start_ns,
        "bound_ns": message.bound_ns,
        "clock": message.clock_source,
        "origin": message.origin,
    }
    if message.cause_ns is not None:
        fields["cause_ns"] = message.cause_ns
    if message.lineage is not None:
        fields["lineage"] = dict(message.lineage)
    packer = msgpack.Packer(autoreset=False)
    packer.pack_map_header(len(fields) + 1)
    for name, value in fields.items():
        packer.pack(name)
        packer.pack(value)
    packer.pack("payload")
    payload = payload_buffers(message.payload)
    return [packer.bytes(), bin_header(sum(len(b) for b in payload)), *payload]


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
    cause, lineage = fields.get("cause_ns"), fields.get("lineage")
    ok = ok and (lineage is None or _is_lineage(lineage))
    if not (ok and all(n is None or _is_int(n) for n in (start, bound, cause))):
        raise PayloadError(
            "a recorded message's seq, epoch, start_ns, bound_ns, cause_ns, clock, origin or lineage is of a wrong type"
        )
    payload = decode_payload(fields["payload"])
    return RecordedMessage(stamp_ns, start, payload, bound, epoch, seq, clock, origin, cause, lineage)


def _is_int(value: Any) -> bool:
    return type(value) is int


def _is_lineage(value: Any) -> bool:
    return isinstance(value, dict) and all(type(k) is str and _is_int(v) for k, v in value.items())


def _is_origin(value: Any) -> bool:
    return isinstance(value, tuple) and all(type(v) in (str, int) or _is_origin(v) for v in value)
