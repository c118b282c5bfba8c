"""Frames as bytes: one map each, msgpack (ZeroMQ) or JSON (either, and MQTT).

Pure: nothing here opens a socket. What is read is checked before anything is made of it, and the only error is
`PayloadError`. Unknown keys are ignored, so that a newer peer may say more. The formats are in docs/protocol.md.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

import msgpack

from omnistream.errors import PayloadError
from omnistream.protocol.frames import (
    Ack,
    ActionFrame,
    Bye,
    CaptionFrame,
    CommandFrame,
    Frame,
    Hello,
    Ping,
    Pong,
    State,
    Unknown,
    Welcome,
    action_frame,
    caption_frame,
    origin_id,
)

__all__ = [
    "MAX_FRAME_BYTES",
    "Ack",
    "ActionFrame",
    "Bye",
    "CaptionFrame",
    "CommandFrame",
    "Form",
    "Frame",
    "Hello",
    "Ping",
    "Pong",
    "State",
    "Unknown",
    "Welcome",
    "action_frame",
    "caption_frame",
    "decode",
    "encode",
    "form_of",
    "origin_id",
]

VERSION = 1
#: No frame of this protocol is larger. Sockets refuse larger ones before they are read.
MAX_FRAME_BYTES = 64 * 1024
MAX_TEXT = 8192
MAX_FIELDS = 256

Form = Literal["msgpack", "json"]
STATUSES = ("accepted", "done", "busy", "lost", "expired", "refused", "duplicate", "superseded")


F = TypeVar("F", bound=Frame)
_BY_TYPE: dict[str, type[Frame]] = {
    t.TYPE: t for t in (ActionFrame, CommandFrame, CaptionFrame, Ack, Hello, Ping, Pong, Welcome, Unknown, Bye, State)
}


def encode(frame: Frame, form: Form = "msgpack") -> bytes:
    """Bytes of a frame. Raises PayloadError where it holds what no peer would accept (a NaN, an endless text)."""
    value: dict[str, Any] = {"v": VERSION} if frame.BARE else {"v": VERSION, "type": frame.TYPE}
    for name, check in _checks(type(frame)).items():
        item: Any = getattr(frame, name)
        if not check(item):
            raise PayloadError(f"{frame.TYPE}.{name} cannot be sent: {str(item)[:60]!r}")
        value[name] = dict(item) if isinstance(item, Mapping) else item
    data = msgpack.packb(value) if form == "msgpack" else json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    assert data is not None
    if len(data) > MAX_FRAME_BYTES:
        raise PayloadError(f"{frame.TYPE}: {len(data)} bytes are more than the {MAX_FRAME_BYTES} of a frame")
    return data


def form_of(data: bytes) -> Form:
    """JSON where the bytes begin like an object; no msgpack map begins so."""
    return "json" if data[:1] == b"{" else "msgpack"


def decode(data: bytes, *kinds: type[F]) -> F:
    """The frame in `data`, one of `kinds`. Where there is one kind, "v" and "type" may be missing.

    Raises PayloadError for anything else.
    """
    value = _loads(data)
    bare = len(kinds) == 1
    version = value.get("v", VERSION if bare else None)
    if isinstance(version, bool) or version != VERSION:
        raise PayloadError(f"version {str(version)[:20]!r} of the protocol; this is version {VERSION}")
    name = value.get("type", kinds[0].TYPE if bare else None)
    kind = _BY_TYPE.get(name) if isinstance(name, str) else None
    if kind is None or kind not in kinds:
        raise PayloadError(f"a frame of type {str(name)[:40]!r}; expected {' or '.join(k.TYPE for k in kinds)}")
    given: dict[str, Any] = {}
    for field_name, check in _checks(kind).items():
        if field_name in value:
            if not check(value[field_name]):
                raise PayloadError(f"{kind.TYPE}.{field_name} cannot be {str(value[field_name])[:60]!r}")
            given[field_name] = value[field_name]
    try:
        frame = kind(**given)
    except TypeError:
        missing = [f.name for f in dataclasses.fields(kind) if f.name not in given and _required(f)]
        raise PayloadError(f"{kind.TYPE} without {', '.join(missing)}") from None
    _sane(frame)
    return typing.cast("F", frame)


def _sane(frame: Frame) -> None:
    if isinstance(frame, ActionFrame) and frame.valid_until_ns is None and not frame.is_stop:
        raise PayloadError("an action that is no stop must say valid_until_ns")
    if isinstance(frame, Ack) and frame.status not in STATUSES:
        raise PayloadError(f"ack.status is one of {', '.join(STATUSES)}, not {frame.status[:40]!r}")


def _required(f: Any) -> bool:
    return f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _loads(data: bytes) -> dict[str, Any]:
    if len(data) > MAX_FRAME_BYTES:
        raise PayloadError(f"{len(data)} bytes are more than the {MAX_FRAME_BYTES} of a frame")
    try:
        if form_of(data) == "json":
            value = json.loads(data, parse_constant=_no_constant)
        else:
            value = msgpack.unpackb(data, strict_map_key=True)
    except (ValueError, msgpack.UnpackException, RecursionError, TypeError, OverflowError) as error:
        raise PayloadError(f"neither msgpack nor JSON: {str(error)[:80]}") from None
    if not isinstance(value, dict):
        raise PayloadError(f"a frame is a map, not {type(value).__name__}")
    return value


def _text(value: Any) -> bool:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair: JSON can spell it, nothing can print it
        return False
    return True


def _integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and -(1 << 63) <= value < 1 << 63


def _number(value: Any) -> bool:
    return (isinstance(value, float) and math.isfinite(value)) or _integer(value)


def _numbers(value: Any) -> bool:
    return isinstance(value, Mapping) and len(value) <= MAX_FIELDS and all(_text(k) and _number(v) for k, v in value.items())


_CHECKS: dict[Any, Callable[[Any], bool]] = {
    str: _text,
    int: _integer,
    float: _number,
    bool: lambda v: isinstance(v, bool),
    type(None): lambda v: v is None,
    Mapping[str, float]: _numbers,
}


def _check(hint: Any) -> Callable[[Any], bool]:
    checks = [_CHECKS[p] for p in (typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,))]
    return checks[0] if len(checks) == 1 else lambda value: any(c(value) for c in checks)


_cache: dict[type, dict[str, Callable[[Any], bool]]] = {}


def _checks(kind: type[Frame]) -> dict[str, Callable[[Any], bool]]:
    if kind not in _cache:
        hints = typing.get_type_hints(kind)
        _cache[kind] = {f.name: _check(hints[f.name]) for f in dataclasses.fields(kind)}
    return _cache[kind]
