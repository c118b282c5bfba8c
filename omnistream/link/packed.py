"""Payloads between workers, by a compiled codec: three to eight times faster than the canonical form that files have.

A payload is its fields by name in msgpack, each array by its place among the buffers that go beside it. Only what a receiver
can read may leave. Plain numbers and text can be read; what has more in it is read again at once: where that fails, or
changes a value, the canonical form of `wire.py` has the last word, and the names for what is wrong. What is read is checked
as strictly as there.
"""

from __future__ import annotations

import dataclasses
import threading
import typing
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
import numpy as np

from omnistream.errors import PayloadError
from omnistream.link.wire import ARRAYS, MARK, is_plain, pack, unpack
from omnistream.message import PAYLOADS, Event, Payload
from omnistream.tensor import has_tensor, hollow

__all__ = ["LARGEST", "Packed", "checked", "pack_fast", "unpack_fast"]

_DTYPES = {text: np.dtype(text) for dtypes, _ in ARRAYS.values() for text in dtypes.split()}
#: A dimension is shorter than this.
_LONGEST = 1 << 31
#: As much of one payload as goes to another worker: what is larger is no message, but a mistake.
LARGEST = 512 << 20


class Packed(NamedTuple):
    """A payload on its way: the name of its type, its fields as msgpack, and its arrays."""

    kind: str
    body: bytes
    arrays: list[np.ndarray]


class _Beside(threading.local):
    """The buffers of the payload that this thread is at."""

    buffers: Sequence[Any] = ()


_beside = _Beside()


def _put(value: Any) -> Any:
    """What msgspec does not know: an array becomes its place."""
    if isinstance(value, np.ndarray):
        arrays: Any = _beside.buffers
        arrays.append(value)
        return (len(arrays) - 1, value.dtype.str, value.shape)
    raise TypeError(type(value).__name__)


def _get(kind: type, place: Any) -> Any:
    """An array from its place."""
    del kind
    buffers = _beside.buffers
    if not (isinstance(place, list) and len(place) == 3):
        raise PayloadError("an array is its place, dtype and shape")
    index, text, shape = place
    dtype = _DTYPES.get(text) if isinstance(text, str) else None
    if dtype is None or not (type(index) is int and 0 <= index < len(buffers) and isinstance(shape, list)):
        raise PayloadError("an array has a place or dtype that it may not have")
    size = dtype.itemsize
    for n in shape:
        if type(n) is not int or not 0 <= n < _LONGEST:
            raise PayloadError("an array has a shape that it may not have")
        size *= n
    buffer: Any = buffers[index]
    if isinstance(buffer, np.ndarray) and buffer.dtype == dtype and buffer.shape == tuple(shape):  # it has not gone yet
        return buffer
    if size != len(buffer):
        raise PayloadError(f"a {text} array of shape {tuple(shape)} is not {len(buffer)} bytes")
    array = np.frombuffer(buffer, dtype).reshape(shape)
    array.flags.writeable = False
    return array


class _Kind:
    """How one payload type is read, and which of its fields hold arrays."""

    __slots__ = ("arrays", "decode", "name", "plain", "simple")

    def __init__(self, kind: type) -> None:
        self.name = kind.__name__
        self.decode: Callable[[Any], Any] = msgspec.msgpack.Decoder(kind, dec_hook=_get).decode
        names = [f.name for f in dataclasses.fields(kind)]
        allowed = {n: ARRAYS[self.name, n] for n in names if (self.name, n) in ARRAYS}
        self.arrays = [(n, dtypes.split(), dims) for n, (dtypes, dims) in allowed.items()]
        self.plain: Callable[[Any], Any] = attrgetter(*[n for n in names if n not in allowed])
        hints = typing.get_type_hints(kind)
        rest = [(n, hints[n]) for n in names if n not in allowed]
        #: The other fields, where all are plain numbers and text.
        self.simple = rest if all(hint in (str, int, float, bool) for _, hint in rest) else None

    def is_simple(self, payload: Any) -> bool:
        """Whether it can be told without reading it again that a receiver reads the same."""
        if self.simple is None:
            return False
        for name, hint in self.simple:
            value = getattr(payload, name)
            if type(value) is not hint or (hint is str and not value.isascii()):
                return False
        for name, dtypes, dims in self.arrays:
            array = getattr(payload, name)
            if type(array) is not np.ndarray or array.dtype.str not in dtypes or array.ndim not in dims:
                return False
            if max(array.shape) >= _LONGEST:
                return False
        return True

    def holds(self, payload: Any) -> bool:
        """Whether each array is of a dtype and of as many dimensions as its field may hold."""
        for name, dtypes, dims in self.arrays:
            array = getattr(payload, name)
            if array is not None and (array.dtype.str not in dtypes or array.ndim not in dims):
                return False
        return True


_kinds: dict[str, _Kind] = {}
_encode = msgspec.msgpack.Encoder(enc_hook=_put).encode
#: The one key that no map may have: the canonical form marks arrays by it.
_MARK = b"\xa3" + MARK.encode()
_WRONG = (msgspec.MsgspecError, PayloadError, TypeError, ValueError, OverflowError, RecursionError)


def _kind(name: Any) -> _Kind:
    known = _kinds.get(name) if isinstance(name, str) else None
    if known is None:
        kind = PAYLOADS.get(name) if isinstance(name, str) else None
        if kind is None:
            raise PayloadError(f"there is no payload type {str(name)[:40]!r}")
        known = _kinds[name] = _Kind(kind)
    return known


def pack_fast(payload: Payload) -> Packed:
    """A payload as it goes to another worker. Raises PayloadError, which names the field, for what could not be read there."""
    kind = type(payload)
    if PAYLOADS.get(kind.__name__) is not kind:
        raise PayloadError(f"{kind.__name__} is not a payload; emit one of {', '.join(PAYLOADS)}")
    packed = None if kind is Event else _tried(payload)
    if packed is None:
        packed = _tried(unpack(*_plain_forms(payload)), plain=True)
    if packed is None:
        raise PayloadError(f"{kind.__name__} cannot be sent as it is")
    size = len(packed.body)
    for array in packed.arrays:
        size += array.nbytes
    if size > LARGEST:
        raise PayloadError(f"{kind.__name__} of {size >> 20} MiB cannot be sent to another worker; {LARGEST >> 20} at most")
    return packed


def checked(payload: Payload, *, sent: bool) -> Packed | None:
    """What is emitted, packed if it is `sent` to other workers and is not on another device.

    Raises PayloadError for a tensor that no array can hold and, if it is sent, for all that could not be read there.
    """
    if has_tensor(payload):
        pack_fast(hollow(payload))
        return None
    return pack_fast(payload) if sent else None


def _plain_forms(payload: Payload) -> tuple[Any, list[np.ndarray]]:
    """The canonical form, its arrays in C order so that they can be read as they are."""
    header, arrays = pack(payload)
    return header, [np.ascontiguousarray(a).reshape(a.shape) for a in arrays]


def _tried(payload: Any, *, plain: bool = False) -> Packed | None:
    """None where the payload is not read again as it is. `plain`: its values are such as come back the same."""
    known = _kind(type(payload).__name__)
    arrays: list[np.ndarray] = []
    _beside.buffers = arrays
    try:
        body = _encode(payload)
        if known.is_simple(payload):
            return Packed(known.name, body, arrays)
        if _MARK in body and not plain:
            return None
        again = known.decode(body)
        if known.holds(again) and (plain or known.plain(again) == known.plain(payload)):
            return Packed(known.name, body, arrays)
    except _WRONG:
        pass
    finally:
        _beside.buffers = ()
    return None


def unpack_fast(name: Any, body: Any, buffers: Sequence[Any]) -> Payload:
    """The payload that `pack_fast` gave; arrays are read-only views of `buffers` of bytes. Raises PayloadError for all else."""
    known = _kind(name)
    _beside.buffers = buffers
    try:
        payload = known.decode(body)
    except PayloadError:
        raise
    except _WRONG as error:
        raise PayloadError(f"not a {known.name}: {str(error)[:120]}") from None
    finally:
        _beside.buffers = ()
    if not known.holds(payload):
        raise PayloadError(f"a {known.name} has an array that it may not hold")
    if type(payload) is Event and not is_plain(payload.data):
        raise PayloadError("Event.data holds something that it may not hold")
    return payload
