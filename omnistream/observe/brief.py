"""Payloads and firings in a line or two, for a person: what is not as it would be anyway, and arrays by their shape."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from omnistream.message import INFINITY, SECOND, Message, Payload

__all__ = ["at", "brief", "brief_message", "value_text"]

_LONGEST = 120


def at(stamp_ns: int, start_ns: int) -> str:
    """A stamp as seconds after the recording's start."""
    if stamp_ns >= INFINITY:
        return "never"
    return f"{(stamp_ns - start_ns) / SECOND:.3f} s"


def brief(payload: Payload, start_ns: int = 0) -> str:
    """``Action(kind='velocity', values={x_mps: 0.3}, valid_until=3.750 s)``."""
    fields: list[str] = []
    for field in dataclasses.fields(payload):
        value = getattr(payload, field.name)
        if hasattr(value, "shape"):
            fields.append(f"{field.name}={value_text(value)}")
        elif not _is_default(field, value):
            is_time = field.name.endswith("_ns") and isinstance(value, int) and value >= start_ns > 0
            text = at(value, start_ns) if is_time else value_text(value)
            fields.append(f"{field.name.removesuffix('_ns') if is_time else field.name}={text}")
    return f"{type(payload).__name__}({', '.join(fields)})"


def brief_message(message: Message[Any], start_ns: int = 0) -> str:
    life = f" life {message.epoch}" if message.epoch else ""
    return f"{message.stream} {message.seq}{life} at {at(message.stamp_ns, start_ns)}  {brief(message.payload, start_ns)}"


def value_text(value: Any) -> str:
    """A field's value, cut where it is long."""
    if hasattr(value, "shape"):  # numpy's or torch's
        return f"{value.dtype} {tuple(value.shape)}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        text = "{" + ", ".join(f"{k}: {value_text(v)}" for k, v in value.items()) + "}"
    else:
        text = repr(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 4] + " ..." + text[-1]


def _is_default(field: Any, value: Any) -> bool:
    if field.default is not dataclasses.MISSING:
        return bool(value == field.default)
    return field.default_factory is not dataclasses.MISSING and not value
