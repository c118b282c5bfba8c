"""One recorded message as bytes: a msgpack map of what its stream knew about it, and its payload.

This is the lossless form, for every payload type. Fields: ``v`` 1, ``seq``, ``epoch``, ``start_ns``, ``bound_ns``,
``clock``, ``origin``, ``payload`` (canonical bytes), and where they are not a source's ``cause_ns`` and ``lineage``.
In the place of a payload a frame that is packed without loss has ``image``: [encoding, CRC-32 of its pixels, data]
(record/delta.py), and one that is kept as what it was decoded from ``coded``: [group, place in it, CRC-32 of its pixels,
width, height, turns], and in a spool the codec and the packets. The stamp is MCAP's log time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgpack

from omnistream.coded import CODECS, MOST_PIXELS, Look
from omnistream.errors import PayloadError
from omnistream.link.wire import bin_header, decode_payload, payload_buffers
from omnistream.message import Origin, Payload
from omnistream.record.delta import is_key_image
from omnistream.record.h264 import is_key_frame

__all__ = [
    "CodedFrame",
    "PackedFrame",
    "RecordedMessage",
    "decode_coded",
    "decode_fields",
    "decode_record",
    "encode_fields",
    "encode_record",
    "record_buffers",
]

VERSION = 1


@dataclass(frozen=True, slots=True, eq=False)
class RecordedMessage:
    """A message as its stream gave it. `bound_ns`: no later message of the stream was to be stamped below it, if known.

    `payload` is a Payload, or a PackedFrame or CodedFrame on its way to or from one.

    `cause_ns` None is the stamp, and `lineage` None the stream's own stamp, as for a sense.
    """

    stamp_ns: int
    start_ns: int | None
    payload: Any
    bound_ns: int | None = None
    epoch: int = 0
    seq: int = 0
    clock_source: str = "host"
    origin: Origin | None = None
    cause_ns: int | None = None
    lineage: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class PackedFrame:
    """A frame in a stream of them, in the place of a payload. `crc` is the CRC-32 of its pixels, where none may be another.

    It is by differences then (record/delta.py); without it, it is H.264.
    """

    data: bytes
    encoding: str = "rgb8"
    crc: int | None = None

    @property
    def is_key(self) -> bool:
        """Whether it can be unpacked without those before it."""
        return is_key_frame(self.data) if self.crc is None else is_key_image(self.data)


@dataclass(frozen=True, slots=True)
class CodedFrame:
    """A frame in the place of a payload, by what it was decoded from (omnistream/coded.py).

    `packets` are those of its group that no earlier frame brought; the last is its own, number `at` of the group. `crc` is
    the CRC-32 of its pixels. `look` None: it is no frame that anybody saw, but others depend on its packet.
    """

    codec: str
    group: int
    at: int
    packets: tuple[bytes, ...]
    look: Look | None = None
    crc: int = 0

    @property
    def first(self) -> int:
        """The number in the group of the first packet here."""
        return self.at + 1 - len(self.packets)


def encode_record(message: RecordedMessage) -> bytes:
    """The map, without the stamp."""
    return b"".join(record_buffers(message))


def record_buffers(message: RecordedMessage) -> list[bytes | memoryview]:
    """The bytes of `encode_record` in pieces, of which none is a copy of an array."""
    fields = record_fields(message)
    if isinstance(message.payload, CodedFrame):
        frame = message.payload
        return [msgpack.packb(fields | {"codec": frame.codec, "packets": frame.packets})]  # type: ignore[list-item]
    packer = msgpack.Packer(autoreset=False)
    packer.pack_map_header(len(fields) + 1)
    for name, value in fields.items():
        packer.pack(name)
        packer.pack(value)
    if isinstance(message.payload, PackedFrame):
        frame = message.payload
        packer.pack("image")
        packer.pack_array_header(3)
        packer.pack(frame.encoding)
        packer.pack(frame.crc)
        return [packer.bytes(), bin_header(len(frame.data)), frame.data]
    packer.pack("payload")
    payload = payload_buffers(message.payload)
    return [packer.bytes(), bin_header(sum(len(b) for b in payload)), *payload]


def encode_fields(message: RecordedMessage) -> bytes:
    """All that is known of a message but its stamp and payload, for where the payload has a form of its own."""
    return msgpack.packb(record_fields(message))  # type: ignore[return-value]


def record_fields(message: RecordedMessage) -> dict[str, Any]:
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
    if isinstance(message.payload, CodedFrame):
        frame, look = message.payload, message.payload.look
        fields["coded"] = (frame.group, frame.at) + ((frame.crc, look.width, look.height, look.turns) if look else ())
    return fields


def decode_record(data: bytes, stamp_ns: int, *, ours: bool = False) -> RecordedMessage:
    """Raises PayloadError for anything that `encode_record` does not give. `ours`: as for `decode_payload`."""
    fields = _loaded(data)
    if "packets" in fields:
        return _record(fields, stamp_ns, _coded(fields, str(fields.get("codec")), fields["packets"]))
    image = fields.get("image")
    if image is not None:
        if not (isinstance(image, tuple) and tuple(map(type, image)) == (str, int, bytes)):
            raise PayloadError("an image is [encoding, checksum, data]")
        return _record(fields, stamp_ns, PackedFrame(image[2], image[0], image[1]))
    if not isinstance(fields.get("payload"), bytes):
        raise PayloadError("a recorded message is a map with v: 1 and a payload")
    return _record(fields, stamp_ns, decode_payload(fields["payload"], ours=ours))


def decode_fields(data: bytes, stamp_ns: int, payload: Payload | PackedFrame) -> RecordedMessage:
    """What `encode_fields` gave, with the payload. Raises PayloadError for anything else."""
    return _record(_loaded(data), stamp_ns, payload)


def decode_coded(data: bytes, stamp_ns: int, codec: str, packet: bytes) -> RecordedMessage | None:
    """What `encode_fields` gave of a CodedFrame, with its own packet; None if it was of another payload.

    Raises PayloadError for anything else.
    """
    fields = _loaded(data)
    return _record(fields, stamp_ns, _coded(fields, codec, (packet,))) if "coded" in fields else None


def _coded(fields: Mapping[str, Any], codec: str, packets: Any) -> CodedFrame:
    said = fields.get("coded")
    whole = isinstance(packets, tuple) and bool(packets) and all(type(p) is bytes for p in packets)
    if not (codec in CODECS and whole and isinstance(said, tuple) and len(said) in (2, 6)):
        raise PayloadError("a coded frame is of a codec, packets, and [group, place, checksum, width, height, turns]")
    if not all(_is_int(n) and 0 <= n < 1 << 32 for n in said) or said[1] + 1 < len(packets):
        raise PayloadError("a coded frame's group, place, checksum, size or turns cannot be")
    look = Look(*said[3:]) if len(said) == 6 else None
    if look is not None and not 0 < look.width * look.height <= MOST_PIXELS:
        raise PayloadError(f"a picture of {look.width}x{look.height} pixels cannot be")
    return CodedFrame(codec, said[0], said[1], packets, look, said[2] if look else 0)


def _loaded(data: bytes) -> dict[str, Any]:
    try:
        value: Any = msgpack.unpackb(data, use_list=False, strict_map_key=True)
    except (ValueError, msgpack.UnpackException, RecursionError, TypeError) as e:
        raise PayloadError(f"not msgpack: {str(e)[:80]}") from None
    if not isinstance(value, dict) or value.get("v") != VERSION:
        raise PayloadError("a recorded message is a map with v: 1 and a payload")
    return value


def _record(fields: Mapping[str, Any], stamp_ns: int, payload: Payload | PackedFrame | CodedFrame) -> RecordedMessage:
    start, bound, origin = fields.get("start_ns"), fields.get("bound_ns"), fields.get("origin")
    seq, epoch, clock = fields.get("seq", 0), fields.get("epoch", 0), fields.get("clock", "host")
    ok = _is_int(seq) and _is_int(epoch) and isinstance(clock, str) and (origin is None or _is_origin(origin))
    cause, lineage = fields.get("cause_ns"), fields.get("lineage")
    ok = ok and (lineage is None or _is_lineage(lineage))
    if not (ok and all(n is None or _is_int(n) for n in (start, bound, cause))):
        raise PayloadError(
            "a recorded message's seq, epoch, start_ns, bound_ns, cause_ns, clock, origin or lineage is of a wrong type"
        )
    return RecordedMessage(stamp_ns, start, payload, bound, epoch, seq, clock, origin, cause, lineage)


def _is_int(value: Any) -> bool:
    return type(value) is int


def _is_lineage(value: Any) -> bool:
    return isinstance(value, dict) and all(type(k) is str and _is_int(v) for k, v in value.items())


def _is_origin(value: Any) -> bool:
    return isinstance(value, tuple) and all(type(v) in (str, int) or _is_origin(v) for v in value)
