"""JSON Schemas of what a recording keeps as msgpack: the fields of each payload, made from its dataclass.

MCAP has "msgpack" among its message encodings and "jsonschema" among its schema encodings, independent of each other (its
format registry). A message is a map (record/codec.py); its `payload` is bytes, described by `contentSchema` (JSON Schema
2020-12, Validation, section 8) as [[type, fields], arrays].
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any

from omnistream.link.wire import ARRAYS, MARK
from omnistream.message import PAYLOADS

__all__ = ["schema_of"]

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_INTEGER, _NUMBER, _TEXT = {"type": "integer"}, {"type": "number"}, {"type": "string"}
_BYTES = {"type": "string", "contentMediaType": "application/octet-stream"}
_PLAIN: dict[Any, dict[str, Any]] = {
    bool: {"type": "boolean"}, int: _INTEGER, float: _NUMBER, str: _TEXT, type(None): {"type": "null"}, Any: {},
}  # fmt: skip
#: What is known of a message beside its payload; its stamp is the log time.
_KNOWN: dict[str, Any] = {
    "v": {"const": 1},
    "seq": _INTEGER | {"description": "its number in the stream's life"},
    "epoch": _INTEGER | {"description": "the stream's life: how often its node was made again"},
    "start_ns": {"type": ["integer", "null"], "description": "where what it spans begins"},
    "bound_ns": {"type": ["integer", "null"], "description": "no later message of the stream is stamped below it"},
    "clock": _TEXT | {"description": "whose clock stamped it"},
    "origin": {"type": ["array", "null"], "description": "what it is the effect of, where that is not itself"},
    "cause_ns": _INTEGER | {"description": "when its cause happened; left out: its stamp"},
    "lineage": {"type": "object", "additionalProperties": _INTEGER, "description": "by source, the newest stamp it is made of"},
}
_IMAGE = {
    "type": "array",
    "description": "a frame packed without loss: its encoding, the CRC-32 of its pixels, their differences (zstd)",
    "prefixItems": [_TEXT, _INTEGER, _BYTES],
}


@cache
def schema_of(name: str) -> tuple[str, bytes]:
    """The encoding and data of the schema called `name` ("omnistream.Text"); both empty for what is not ours."""
    kind = name.removeprefix("omnistream.")
    if kind == "Journal":
        rows = {"type": "array", "items": _BYTES, "description": "rows of a worker's journal, each of them msgpack"}
        return "jsonschema", _bytes({"title": name} | rows)
    if kind == "Truth":
        times = {"start_ns": _INTEGER, "end_ns": _INTEGER}
        said = {"type": "object", "description": "what really happened", "properties": times}
        return "jsonschema", _bytes({"title": name} | said)
    cls = PAYLOADS.get(kind)
    return ("jsonschema", _bytes(_message(name, cls))) if cls is not None else ("", b"")


def _bytes(schema: Mapping[str, Any]) -> bytes:
    return json.dumps({"$schema": _DRAFT} | dict(schema)).encode()


def _message(name: str, cls: type) -> dict[str, Any]:
    payload = {
        "type": "string",
        "contentMediaType": "application/msgpack",
        "contentSchema": _list([_list([{"const": cls.__name__}, _list(_fields(cls))]), {"type": "array", "items": _BYTES}]),
    }
    forms: dict[str, Any] = {"payload": payload} | ({"image": _IMAGE} if cls.__name__ == "VideoFrame" else {})
    return {
        "title": name,
        "description": " ".join((cls.__doc__ or "").split()),
        "type": "object",
        "properties": _KNOWN | forms,
        "required": ["v", "seq", "epoch"],
        "oneOf": [{"required": [form]} for form in forms],
    }


def _list(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "array", "prefixItems": items, "minItems": len(items), "items": False}


def _fields(cls: type) -> list[dict[str, Any]]:
    hints = typing.get_type_hints(cls)
    return [{"title": f.name} | _field(cls.__name__, f.name, hints[f.name]) for f in dataclasses.fields(cls)]


def _field(kind: str, name: str, hint: Any) -> dict[str, Any]:
    if (kind, name) not in ARRAYS:
        return _hinted(hint)
    dtypes, dims = ARRAYS[kind, name]
    shape = {"type": "array", "items": _INTEGER, "minItems": min(dims), "maxItems": max(dims)}
    place = _list([_INTEGER, {"enum": dtypes.split()}, shape])
    array = {
        "type": "object",
        "description": "an array: its place in the list that follows, its type and its shape",
        "properties": {MARK: place},
        "required": [MARK],
    }
    return {"anyOf": [array, {"type": "null"}]} if type(None) in typing.get_args(hint) else array


def _hinted(hint: Any) -> dict[str, Any]:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint in _PLAIN:
        return _PLAIN[hint]
    if origin in (typing.Union, types.UnionType):
        return {"anyOf": [_hinted(a) for a in args]}
    if origin is tuple and args[-1] is Ellipsis:
        return {"type": "array", "items": _hinted(args[0])}
    if origin is tuple:
        return _list([_hinted(a) for a in args])
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _hinted(args[1])}
    raise TypeError(f"a field of {hint} has no JSON Schema")
