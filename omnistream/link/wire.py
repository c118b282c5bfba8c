"""Payloads and messages as bytes: a msgpack header, and each array as a raw buffer beside it.

What is read is checked before anything is allocated: the names, types and shapes of a payload's fields, and that a
buffer has just the size its dtype and shape say. Nothing here can make an object outside `PAYLOADS`.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import msgpack
import numpy as np

from omnistream.errors import PayloadError
from omnistream.message import PAYLOADS, Message, Payload

__all__ = ["decode_message", "decode_payload", "encode_message", "encode_payload", "pack", "unpack"]

_ARRAY = "\0nd"
_DTYPES = {np.dtype(t).str for t in ("?", "u1", "i1", "<u2", "<i2", "<u4", "<i4", "<i8", "<f2", "<f4", "<f8")}
#: dtypes and number of dimensions that each array field may have.
_ARRAYS: dict[tuple[str, str], tuple[str, tuple[int, ...]]] = {
    ("VideoFrame", "image"): ("|u1 <u2", (2, 3)),
    ("AudioChunk", "samples"): ("<i2", (1,)),
    ("Features", "data"): ("<f4", (2,)),
    ("Detections", "boxes"): ("<f4", (2,)),
    ("Detections", "scores"): ("<f4", (1,)),
    ("Gesture", "landmarks"): ("<f4", (2,)),
}


def _plain(value: Any, buffers: list[memoryview]) -> Any:
    if isinstance(value, np.ndarray):
        array = np.ascontiguousarray(value)
        if array.dtype.str not in _DTYPES:
            raise PayloadError(f"an array of dtype {array.dtype} cannot cross an edge; convert it to float32, int16 or uint8")
        buffers.append(array.reshape(-1).view(np.uint8).data if array.size else memoryview(b""))
        return {_ARRAY: [len(buffers) - 1, array.dtype.str, list(array.shape)]}
    if isinstance(value, Mapping):
        return {str(k): _plain(value[k], buffers) for k in sorted(value, key=str)}
    if isinstance(value, (tuple, list)):
        return [_plain(v, buffers) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    return value


def pack(payload: Payload) -> tuple[list[Any], list[memoryview]]:
    """A payload as [type name, its fields in order] for msgpack, and its arrays' buffers, not copied."""
    kind = type(payload)
    if PAYLOADS.get(kind.__name__) is not kind:
        raise PayloadError(f"{kind.__name__} is not a payload; emit one of {', '.join(PAYLOADS)}")
    buffers: list[memoryview] = []
    return [kind.__name__, [_plain(getattr(payload, n), buffers) for n in _fields(kind)]], buffers


def unpack(header: Any, buffers: Sequence[Any]) -> Payload:
    """The payload that `pack` gave; arrays are read-only views of `buffers`. Raises PayloadError for anything else."""
    if not (isinstance(header, (list, tuple)) and len(header) == 2 and isinstance(header[1], (list, tuple))):
        raise PayloadError("a payload is [type, fields]")
    kind = PAYLOADS.get(header[0]) if isinstance(header[0], str) else None
    if kind is None:
        raise PayloadError(f"there is no payload type {str(header[0])[:40]!r}")
    checks = _fields(kind)
    if len(header[1]) != len(checks):
        raise PayloadError(f"{kind.__name__} has {len(checks)} fields, not {len(header[1])}")
    values: dict[str, Any] = {}
    for (name, check), raw in zip(checks.items(), header[1], strict=True):
        value = _array(kind.__name__, name, raw, buffers) if isinstance(raw, dict) and _ARRAY in raw else raw
        if not check(value):
            raise PayloadError(f"{kind.__name__}.{name} cannot be {type(value).__name__}")
        values[name] = value
    return kind(**values)


def _array(kind: str, name: str, raw: Mapping[str, Any], buffers: Sequence[Any]) -> np.ndarray:
    dtypes, dims = _ARRAYS.get((kind, name), ("", ()))
    try:
        index, dtype, shape = raw[_ARRAY]
        ok = isinstance(index, int) and 0 <= index < len(buffers) and dtype in _DTYPES and dtype in dtypes.split()
        ok = ok and len(shape) in dims and all(isinstance(n, int) and 0 <= n < 1 << 31 for n in shape)
    except (TypeError, ValueError):
        ok, index, dtype, shape = False, 0, "", ()
    if not ok:
        raise PayloadError(f"{kind}.{name} is no array that it may hold")
    buffer = memoryview(buffers[index]).cast("B")
    if math.prod(shape) * np.dtype(dtype).itemsize != buffer.nbytes:
        raise PayloadError(f"{kind}.{name}: a {dtype} array of shape {tuple(shape)} is not {buffer.nbytes} bytes")
    array = np.frombuffer(buffer, dtype).reshape(shape)
    array.flags.writeable = False
    return array


def _check(hint: Any) -> Callable[[Any], bool]:
    parts = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    checks = [_check_one(p) for p in parts]
    return lambda value: any(c(value) for c in checks)


def _check_one(hint: Any) -> Callable[[Any], bool]:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        inner, count = _check(args[0]), None if args[-1] is Ellipsis else len(args)
        return lambda v: isinstance(v, (tuple, list)) and (count is None or len(v) == count) and all(map(inner, v))
    if origin is not None:
        inner = (lambda _: True) if args[1] is Any else _check(args[1])
        return lambda v: isinstance(v, dict) and all(isinstance(k, str) and inner(x) for k, x in v.items())
    if hint is float:
        return lambda v: isinstance(v, (float, int)) and not isinstance(v, bool)
    if hint is int:
        return lambda v: isinstance(v, int) and not isinstance(v, bool)
    return lambda v: isinstance(v, hint)


_cache: dict[type, dict[str, Callable[[Any], bool]]] = {}


def _fields(kind: type) -> dict[str, Callable[[Any], bool]]:
    if kind not in _cache:
        hints = typing.get_type_hints(kind)
        _cache[kind] = {f.name: _check(hints[f.name]) for f in dataclasses.fields(kind)}
    return _cache[kind]


def encode_payload(payload: Payload) -> bytes:
    """Canonical bytes of a payload: equal payloads give equal bytes. For files, digests and comparisons."""
    header, buffers = pack(payload)
    return cast(bytes, msgpack.packb([header, [bytes(b) for b in buffers]]))


def _loads(data: Any) -> Any:
    try:
        return msgpack.unpackb(data, use_list=False, strict_map_key=True)
    except (ValueError, msgpack.UnpackException, RecursionError, TypeError) as error:
        raise PayloadError(f"not msgpack: {str(error)[:80]}") from None


def decode_payload(data: bytes) -> Payload:
    """Raises PayloadError unless `data` is what `encode_payload` gives."""
    value = _loads(data)
    if not (
        isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], tuple) and all(type(b) is bytes for b in value[1])
    ):
        raise PayloadError("a payload is [header, buffers]")
    return unpack(value[0], value[1])


def encode_message(message: Message[Any]) -> tuple[list[Any], list[memoryview]]:
    """A message as a list for msgpack and the raw buffers that go beside it."""
    header, buffers = pack(message.payload)
    m = message
    return [
        m.stream,
        m.epoch,
        m.seq,
        m.origin,
        m.stamp_ns,
        m.cause_ns,
        m.deadline_ns,
        dict(m.lineage),
        m.start_ns,
        header,
    ], buffers


def decode_message(value: Any, buffers: Sequence[Any]) -> Message[Any]:
    """The message that `encode_message` gave. Raises PayloadError for anything else."""
    kinds = (str, int, int, tuple, int, int, int, dict, (int, type(None)))
    if not (isinstance(value, tuple) and len(value) == 10 and all(map(isinstance, value, kinds))):
        raise PayloadError(
            "a message is ten fields: stream, epoch, seq, origin, stamp, cause, deadline, lineage, start, payload"
        )
    return Message(*value[:8], unpack(value[9], buffers), value[8])
