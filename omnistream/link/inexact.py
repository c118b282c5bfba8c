"""A payload's canonical bytes without the floats that its node declares inexact (rule 32): for digests."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from functools import cache
from typing import Any

import msgpack
import numpy as np

from omnistream.link.wire import buffers_of, pack
from omnistream.message import Payload
from omnistream.tensor import with_arrays

__all__ = ["exact_buffers"]


def exact_buffers(payload: Payload, inexact: Collection[str]) -> list[Any]:
    """As `buffers_of`; of the fields named, shapes, names and whole numbers stay, and floats do not."""
    if not inexact:
        return buffers_of(payload)
    payload = with_arrays(payload)
    (kind, values), arrays = pack(payload)
    left: set[int] = set()
    for i, name in enumerate(_names(type(payload))):
        if name in inexact:
            if isinstance(getattr(payload, name), np.ndarray):
                left.add(next(iter(values[i].values()))[0])
            else:
                values[i] = _without_floats(values[i])
    kept = [a for i, a in enumerate(arrays) if i not in left]
    return [msgpack.packb([kind, values]), *(np.ascontiguousarray(a).reshape(-1).view(np.uint8) for a in kept)]


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(f.name for f in dataclasses.fields(kind))


def _without_floats(value: Any) -> Any:
    if isinstance(value, float):
        return 0.0
    if isinstance(value, dict):
        return {k: _without_floats(v) for k, v in value.items()}
    return [_without_floats(v) for v in value] if isinstance(value, list | tuple) else value
