"""Weights of an ONNX file at half precision, each widened by a Cast that ONNX Runtime does once, when it loads the file."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["halve"]


def halve(model: Any, least: int, *, exact: bool = False) -> None:
    """Store a model's float weights of `least` numbers or more so; with `exact` only those that lose nothing by it.

    Nodes read them by the names that they had.
    """
    from onnx import TensorProto, helper, numpy_helper

    casts: list[Any] = []
    for kept in model.graph.initializer:
        if kept.data_type != TensorProto.FLOAT or int(np.prod(kept.dims)) < least:
            continue
        wide, name = numpy_helper.to_array(kept), kept.name
        half = wide.astype(np.float16)
        if exact and not np.array_equal(wide, half.astype(np.float32)):
            continue
        kept.CopyFrom(numpy_helper.from_array(half, f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    for n, cast in enumerate(casts):
        model.graph.node.insert(n, cast)
