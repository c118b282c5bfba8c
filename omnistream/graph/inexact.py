"""Fields that a node declares inexact: their floats may differ in the last digits from one machine to another."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping
from typing import Any

import numpy as np

from omnistream.errors import GraphError
from omnistream.graph.suggest import did_you_mean
from omnistream.message import AudioChunk, VideoFrame
from omnistream.node import Node, Ports

__all__ = ["inexact_of"]

#: Arrays of whole numbers, which have no last digits.
_WHOLE = ((VideoFrame, "image"), (AudioChunk, "samples"))


def inexact_of(cls: type[Any], ports: Ports) -> Mapping[str, float]:
    """What `cls.inexact` says, field by field with the tolerance. Raises GraphError, a sentence, for what it cannot say."""
    said: Any = getattr(cls, "inexact", {}) if issubclass(cls, Node) else {}
    if not isinstance(said, Mapping) or not all(type(k) is str for k in said):
        raise GraphError(
            f"{cls.__name__}.inexact is {said!r}; write a map of fields and tolerances, such as {{'confidence': 1e-3}}"
        )
    payloads = {t for types in ports.outputs.values() for t in types}
    fields = {f.name for t in payloads for f in dataclasses.fields(t) if _holds_floats(t, f.name)}
    for name, tolerance in said.items():
        if name not in fields:
            raise GraphError(
                f"{cls.__name__}.inexact names '{name}', which is no field with floats of what it gives"
                f"{did_you_mean(name, fields, 'there are')}"
            )
        if type(tolerance) not in (int, float) or not 0 < tolerance < math.inf:
            raise GraphError(f"{cls.__name__}.inexact gives '{name}' the tolerance {tolerance!r}; write a number above 0")
    return {name: float(tolerance) for name, tolerance in said.items()}


def _holds_floats(payload: type[Any], field: str) -> bool:
    hint = typing.get_type_hints(payload)[field]
    parts = {hint, *typing.get_args(hint)}
    return bool(parts & {float, np.ndarray, Any}) and (payload, field) not in _WHOLE
