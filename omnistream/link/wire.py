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
from typing import Any, NamedTuple

import msgpack
import msgspec
import numpy as np

from omnistream.errors import PayloadError
from omnistream.message import PAYLOADS, Payload
from omnistream.tensor import with_arrays

__all__ = [
    "ARRAYS",
    "MARK",
    "bin_header",
    "buffers_of",
    "decode_payload",
    "encode_payload",
    "is_plain",
    "loads",
    "pack",
    "payload_buffers",
    "unpack",
]

#: The key by which an array is known in the header.
MARK = "\0nd"
#: dtypes and number of dimensions that each array field may have.
ARRAYS: dict[tuple[str, str], tuple[str, tuple[int, ...]]] = {
    ("VideoFrame", "image"): ("|u1 <u2", (2, 3)),
    ("AudioChunk", "samples"): ("<i2", (1,)),
    ("Features", "data"): ("<f4", (2,)),
    ("Detections", "boxes"): ("<f4", (2,)),
    ("Detections", "scores"): ("<f4", (1,)),
    ("Gesture", "landmarks"): ("<f4", (2,)),
}
#: The bytes that msgpack gives, too, without the 256 KiB that it allocates for each call.
_encode = msgspec.msgpack.Encoder().encode
#: Of so few bytes even nested claims come to no more than a megabyte.
_SHORT = 768
#: How deep the lists and maps of an `Event` may be nested.
_DEEPEST = 64


class _Field(NamedTuple):
    """What a field may hold. `floats`: whole numbers in it are floats; `free`: any plain values, lists and maps.

    `exact`: its type, if that alone says that a value is right. At 50 messages a second every call that is left out counts:
    the code is out of the caches each time.
    """

    check: Callable[[Any], bool]
    floats: bool
    free: bool
    exact: type | None


def _plain(value: Any, floats: bool, room: int = _DEEPEST) -> Any:
    """A value as it goes into msgpack: maps in the order of their keys, numpy's numbers and kinds of text as plain ones."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        if not value.isascii():
            value.encode()
        return value if type(value) is str else str.__str__(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if not -(1 << 63) <= value < 1 << 64:
            raise PayloadError("cannot hold a number of more than 64 bits")
        return float(value) if floats else int.__int__(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, (Mapping, tuple, list)) and not room:
        raise PayloadError(f"cannot be nested deeper than {_DEEPEST}")
    if isinstance(value, Mapping):
        if not all(isinstance(k, str) and k != MARK for k in value):
            raise PayloadError("cannot hold a map whose keys are not text")
        return {_plain(k, floats): _plain(value[k], floats, room - 1) for k in sorted(value)}
    if isinstance(value, (tuple, list)):
        return [_plain(v, floats, room - 1) for v in value]
    raise PayloadError(f"cannot hold {type(value).__name__}; use text, numbers, lists and maps")


def _buffer(kind: str, name: str, array: np.ndarray, buffers: list[np.ndarray]) -> Any:
    """An array's place in the header; it is put beside it, as it is."""
    dtypes, dims = ARRAYS.get((kind, name), ("", ()))
    if array.dtype.str not in dtypes.split() or array.ndim not in dims:
        allowed = f"{' or '.join(str(np.dtype(t)) for t in dtypes.split())} in {' or '.join(map(str, dims))} dimensions"
        raise PayloadError(
            f"{kind}.{name} cannot hold an array of {array.dtype} in {array.ndim} dimensions; "
            + (f"use {allowed}" if dims else "use text, numbers, lists and maps")
        )
    buffers.append(array)
    return {MARK: [len(buffers) - 1, array.dtype.str, list(array.shape)]}


def pack(payload: Payload) -> tuple[list[Any], list[np.ndarray]]:
    """A payload as [type name, its fields in order] for msgpack, and its arrays, whose bytes in C order go beside it.

    Raises PayloadError, which names the field, for what `unpack` would not take.
    """
    kind = type(payload)
    if PAYLOADS.get(kind.__name__) is not kind:
        raise PayloadError(f"{kind.__name__} is not a payload; emit one of {', '.join(PAYLOADS)}")
    payload = with_arrays(payload)
    buffers: list[np.ndarray] = []
    values: list[Any] = []
    for name, field in _fields(kind).items():
        value = getattr(payload, name)
        if isinstance(value, np.ndarray):
            values.append(_buffer(kind.__name__, name, value, buffers))
            continue
        if type(value) is field.exact and (field.exact is not str or value.isascii()):
            values.append(value)
            continue
        try:
            plain = _plain(value, field.floats)
        except (PayloadError, UnicodeEncodeError) as error:
            raise PayloadError(f"{kind.__name__}.{name} {error}") from None
        if not field.check(plain):
            raise PayloadError(f"{kind.__name__}.{name} cannot be {type(value).__name__}")
        values.append(plain)
    return [kind.__name__, values], buffers


def unpack(header: Any, buffers: Sequence[Any]) -> Payload:
    """The payload that `pack` gave; arrays are read-only views of `buffers`. Raises PayloadError for anything else."""
    if not (isinstance(header, (list, tuple)) and len(header) == 2 and isinstance(header[1], (list, tuple))):
        raise PayloadError("a payload is [type, fields]")
    kind = PAYLOADS.get(header[0]) if isinstance(header[0], str) else None
    if kind is None:
        raise PayloadError(f"there is no payload type {str(header[0])[:40]!r}")
    fields = _fields(kind)
    if len(header[1]) != len(fields):
        raise PayloadError(f"{kind.__name__} has {len(fields)} fields, not {len(header[1])}")
    values: dict[str, Any] = {}
    for (name, field), raw in zip(fields.items(), header[1], strict=True):
        if type(raw) is field.exact:
            values[name] = raw
            continue
        value = _array(kind.__name__, name, raw, buffers) if isinstance(raw, dict) and MARK in raw else raw
        if not field.check(value):
            raise PayloadError(f"{kind.__name__}.{name} cannot be {type(value).__name__}")
        values[name] = _floats(value) if field.floats else _lists(value) if field.free else value
    return kind(**values)


def _floats(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: float(v) for k, v in value.items()}
    return tuple(map(float, value)) if isinstance(value, (tuple, list)) else float(value)


def _lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _lists(v) for k, v in value.items()}
    return [_lists(v) for v in value] if isinstance(value, (tuple, list)) else value


def _array(kind: str, name: str, raw: Mapping[str, Any], buffers: Sequence[Any]) -> np.ndarray:
    dtypes, dims = ARRAYS.get((kind, name), ("", ()))
    try:
        index, dtype, shape = raw[MARK]
        ok = isinstance(index, int) and 0 <= index < len(buffers) and dtype in dtypes.split()
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
        if args[1] is Any:
            return lambda v: isinstance(v, dict) and is_plain(v)
        inner = _check(args[1])
        return lambda v: isinstance(v, dict) and all(isinstance(k, str) and inner(x) for k, x in v.items())
    if hint is float:
        return lambda v: isinstance(v, (float, int)) and not isinstance(v, bool)
    if hint is int:
        return lambda v: isinstance(v, int) and not isinstance(v, bool)
    return lambda v: isinstance(v, hint)


def is_plain(value: Any, room: int = _DEEPEST) -> bool:
    """Whether a value may be in `Event.data`."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return True
    if isinstance(value, dict):
        return room > 0 and all(isinstance(k, str) and k != MARK and is_plain(v, room - 1) for k, v in value.items())
    return isinstance(value, (tuple, list)) and room > 0 and all(is_plain(v, room - 1) for v in value)


_cache: dict[type, dict[str, _Field]] = {}


def _fields(kind: type) -> dict[str, _Field]:
    if kind not in _cache:
        hints = {f.name: typing.get_type_hints(kind)[f.name] for f in dataclasses.fields(kind)}
        args = {n: typing.get_args(h) for n, h in hints.items()}
        _cache[kind] = {
            n: _Field(_check(h), h is float or float in args[n], Any in args[n], h if h in (str, float, bool) else None)
            for n, h in hints.items()
        }
    return _cache[kind]


def encode_payload(payload: Payload) -> bytes:
    """Canonical bytes of a payload: equal payloads give equal bytes. For files, digests and comparisons."""
    return b"".join(payload_buffers(payload))


def payload_buffers(payload: Payload) -> list[bytes | memoryview]:
    """The bytes of `encode_payload` in pieces, of which none is a copy of an array: for files."""
    header, arrays = pack(payload)
    out: list[bytes | memoryview] = [b"\x92" + _encode(header) + bytes((0x90 | len(arrays),))]
    for array in arrays:
        flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        out += (bin_header(flat.nbytes), flat.data)
    return out


def bin_header(size: int) -> bytes:
    """What msgpack puts before so many raw bytes."""
    if size < 1 << 8:
        return b"\xc4" + size.to_bytes(1, "big")
    return b"\xc5" + size.to_bytes(2, "big") if size < 1 << 16 else b"\xc6" + size.to_bytes(4, "big")


def buffers_of(payload: Payload) -> list[Any]:
    """A payload's canonical bytes in pieces, of which none is a copy of an array: for digests."""
    header, arrays = pack(payload)
    return [_encode(header), *(np.ascontiguousarray(a).reshape(-1).view(np.uint8) for a in arrays)]


def loads(data: Any, *, text_keys: bool = True, ours: bool = False) -> Any:
    """What msgpack bytes hold, lists as tuples. Raises PayloadError for anything else.

    Every list is made as long as its header claims before an element is read, and nested claims add up to hundreds of
    times the input: so more than a few bytes are walked first, which makes nothing and finds that what is claimed is there.
    Bytes of `ours` are not.
    """
    try:
        if len(data) > _SHORT and not ours:
            walker = msgpack.Unpacker(max_buffer_size=len(data))
            walker.feed(data)
            walker.skip()
        return msgpack.unpackb(data, use_list=False, strict_map_key=text_keys)
    except (ValueError, msgpack.UnpackException, RecursionError, TypeError) as error:
        raise PayloadError(f"not msgpack: {type(error).__name__}: {str(error)[:80]}") from None


def decode_payload(data: bytes, *, ours: bool = False) -> Payload:
    """Raises PayloadError unless `data` is what `encode_payload` gives. `ours`: this host's own, with its checksum seen."""
    value = loads(data, ours=ours)
    if not (
        isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], tuple) and all(type(b) is bytes for b in value[1])
    ):
        raise PayloadError("a payload is [header, buffers]")
    return unpack(value[0], value[1])
