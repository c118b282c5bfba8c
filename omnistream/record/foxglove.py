"""Foxglove's own messages for video and audio, so that a recording plays in its app: CompressedVideo, CompressedImage and
RawAudio.

Source: foxglove-schemas 0.4 (protobuf). CompressedVideo holds one H.264 or H.265 frame in Annex B form, no B-frames, parameter
sets on each key frame; CompressedImage a JPEG. RawAudio holds interleaved ``pcm-s16``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from omnistream.errors import PayloadError
from omnistream.message import SECOND, AudioChunk

__all__ = [
    "AUDIO",
    "IMAGE",
    "VIDEO",
    "decode_audio",
    "decode_video",
    "encode_audio",
    "encode_video",
    "schema_bytes",
    "schema_of",
]

VIDEO = "foxglove.CompressedVideo"
IMAGE = "foxglove.CompressedImage"
AUDIO = "foxglove.RawAudio"
#: A field of ours in their messages. Protobuf passes over what a schema does not have, and so does their app.
_FIELD = 15_000


def _classes() -> dict[str, Any]:
    from foxglove_schemas_protobuf.CompressedImage_pb2 import CompressedImage
    from foxglove_schemas_protobuf.CompressedVideo_pb2 import CompressedVideo
    from foxglove_schemas_protobuf.RawAudio_pb2 import RawAudio

    return {VIDEO: CompressedVideo, IMAGE: CompressedImage, AUDIO: RawAudio}


def schema_bytes(name: str) -> bytes:
    """The serialized FileDescriptorSet of a message and of all that it refers to, as MCAP's protobuf encoding wants it."""
    from google.protobuf.descriptor_pb2 import FileDescriptorSet

    files: dict[str, Any] = {}

    def add(file: Any) -> None:
        for dependency in file.dependencies:
            add(dependency)
        files.setdefault(file.name, file)

    add(_classes()[name].DESCRIPTOR.file)
    result = FileDescriptorSet()
    for file in files.values():
        file.CopyToProto(result.file.add())
    return result.SerializeToString()


def encode_video(stamp_ns: int, frame_id: str, packet: bytes, fields: bytes = b"", codec: str = "h264") -> bytes:
    """A CompressedVideo, or of a "jpeg" a CompressedImage.

    `fields` is what Foxglove has no place for: bounds, origins and the like, in a field that its schema does not have.
    """
    message = _classes()[schema_of(codec)](frame_id=frame_id, data=packet, format=codec)
    message.timestamp.FromNanoseconds(stamp_ns)
    return message.SerializeToString(deterministic=True) + _extra(fields)


def schema_of(codec: str) -> str:
    """The message that holds a packet of that codec."""
    return IMAGE if codec == "jpeg" else VIDEO


def encode_audio(start_ns: int, chunk: AudioChunk, fields: bytes = b"") -> bytes:
    """RawAudio's timestamp is its first sample's. `fields` as for video."""
    samples = np.ascontiguousarray(chunk.samples, "<i2")
    message = _classes()[AUDIO](data=samples.tobytes(), format="pcm-s16", sample_rate=chunk.rate_hz, number_of_channels=1)
    message.timestamp.FromNanoseconds(start_ns)
    return message.SerializeToString(deterministic=True) + _extra(fields)


def _extra(fields: bytes) -> bytes:
    return _varint(_FIELD << 3 | 2) + _varint(len(fields)) + fields if fields else b""


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out) + bytes((value,))


def _fields(message: Any) -> bytes:
    from google.protobuf.unknown_fields import UnknownFieldSet

    found = [f.data for f in UnknownFieldSet(message) if f.field_number == _FIELD]
    return found[-1] if found and isinstance(found[-1], bytes) else b""


def _parse(name: str, data: bytes) -> Any:
    from google.protobuf.message import DecodeError

    try:
        return _classes()[name].FromString(data)
    except DecodeError as e:
        raise PayloadError(f"not a {name}: {e}") from None


def decode_video(data: bytes, name: str = VIDEO) -> tuple[str, bytes, bytes]:
    """The format and the bytes of one frame, and its fields. Raises PayloadError."""
    message = _parse(name, data)
    return message.format, message.data, _fields(message)


def decode_audio(data: bytes, stamp_ns: int) -> tuple[AudioChunk, int, bytes]:
    """The samples, the first one's time, counted back from the stamp at their end, and the fields. Channels are averaged."""
    message = _parse(AUDIO, data)
    channels, rate = message.number_of_channels, message.sample_rate
    if message.format != "pcm-s16" or not 1 <= channels <= 64 or rate < 1 or len(message.data) % (2 * channels):
        raise PayloadError(f"audio '{message.format[:20]}' of {channels} channels at {rate} Hz cannot be read; use pcm-s16")
    samples = np.frombuffer(message.data, "<i2")
    if channels > 1:
        samples = (samples.reshape(-1, channels).sum(1, dtype=np.int32) // channels).astype(np.int16)
    chunk = AudioChunk(samples, rate)
    return chunk, stamp_ns - len(samples) * SECOND // rate, _fields(message)
