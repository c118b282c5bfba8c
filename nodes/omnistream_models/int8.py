"""A network's ONNX file with its products in int8, by ONNX Runtime's own quantizer.

Activations are quantized as they come, each by its own range (dynamic): of what ONNX Runtime has this is the fastest here and
loses least, and it needs no calibration that a new microphone could belie. Weights have a
range per tensor and 7 of the 8 bits: a processor without VNNI adds pairs of products in 16 bits, which 8 could overflow. What
is left in float (depthwise kernels, biases) is stored at half precision and widened when the file is loaded.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from omnistream.errors import ModelError
from omnistream_models.onnx_halves import halve

__all__ = ["DYNAMIC", "LEVELS", "WAYS", "Way", "layers_of", "write_int8"]

#: Weights are whole numbers of steps from -64 to 64.
LEVELS = 64

#: What is left in float is halved from so many numbers on.
_HALVE_FROM = 32


@dataclass(frozen=True, slots=True)
class Way:
    """How products are quantized. `static` ranges of activations need calibration; `qdq` writes them as pairs around each.

    With `stored` only the weights are in 8 bits, in the file: they are widened when it is loaded, and all is done in float.
    """

    static: bool = False
    per_channel: bool = False
    qdq: bool = True
    stored: bool = False

    def __str__(self) -> str:
        if self.stored:
            return "weights only, per channel"
        kind = ("static, " + ("QDQ" if self.qdq else "QOperator")) if self.static else "dynamic"
        return f"{kind}, per {'channel' if self.per_channel else 'tensor'}"


DYNAMIC = Way()
#: Those that can be had, for comparison.
WAYS = (DYNAMIC, Way(per_channel=True), Way(static=True), Way(static=True, per_channel=True), Way(static=True, qdq=False))


def layers_of(step: Path) -> list[str]:
    """The layers of a file that can be quantized, in their order, such as "widen.3": products with weights."""
    return [_layer(node.name) for node in _products(_onnx().load(step))]


def write_int8(
    step: Path, out: Path, layers: Collection[str], way: Way = DYNAMIC, calibration: list[dict[str, np.ndarray]] | None = None,
) -> None:  # fmt: skip
    """Write `step` to `out` with so many of its layers quantized, those that it has. A static way is fed with `calibration`.

    Raises ModelError where the package `onnx` is missing.
    """
    onnx = _onnx()
    from onnxruntime import quantization as q

    whole = onnx.load(step)
    names = [node.name for node in _products(whole) if _layer(node.name) in layers]
    names += [f"{name}_MatMul" for name in names]  # as the dynamic way calls what it makes of a Gemm
    quiet = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)  # it advises a preparation for convolutions, by the root logger
    common: dict[str, Any] = {
        "weight_type": q.QuantType.QInt8, "per_channel": way.per_channel, "reduce_range": True, "nodes_to_quantize": names
    }  # fmt: skip
    try:
        if not names:  # which the quantizer would take for all of them
            onnx.save(whole, out)
        elif way.stored:
            onnx.save(_stored(whole, layers), out)
        elif not way.static:
            q.quantize_dynamic(str(step), str(out), **common)
        else:
            fed: Any = _Fed(calibration or [])
            floats = {"OpTypesToExcludeOutputQuantization": ["Gemm", "MatMul"]} if way.qdq else {}
            q.quantize_static(
                str(step), str(out), fed, activation_type=q.QuantType.QUInt8, extra_options=floats,
                quant_format=q.QuantFormat.QDQ if way.qdq else q.QuantFormat.QOperator, **common,
            )  # fmt: skip
    finally:
        logging.getLogger().setLevel(quiet)
    model = onnx.load(out)
    halve(model, _HALVE_FROM)
    _shorten(model)
    onnx.save(model, out)


def _stored(model: Any, layers: Collection[str]) -> Any:
    """With the weights of products in 8 bits, a scale for each output; they are widened by nodes that are done at loading."""
    from onnx import TensorProto, helper, numpy_helper

    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    made: list[Any] = []
    for node in _products(model):
        tensor = weights[node.input[1]]
        if _layer(node.name) not in layers or tensor.data_type != TensorProto.FLOAT:
            continue  # or it is stored already, for a product before this one
        values, name = numpy_helper.to_array(tensor), tensor.name
        turned = any(a.name == "transB" and a.i for a in node.attribute)
        scale = np.maximum(np.abs(values).max(1 if turned else 0, keepdims=True) / (2 * LEVELS - 1), 1e-12)
        tensor.CopyFrom(numpy_helper.from_array(np.round(values / scale).astype(np.int8), f"{name}_int8"))
        model.graph.initializer.append(numpy_helper.from_array(scale.astype(np.float32), f"{name}_scale"))
        made.append(helper.make_node("Cast", [f"{name}_int8"], [f"{name}_wide"], to=TensorProto.FLOAT))
        made.append(helper.make_node("Mul", [f"{name}_wide", f"{name}_scale"], [name]))
    for n, node in enumerate(made):
        model.graph.node.insert(n, node)
    return model


def _shorten(model: Any) -> None:
    """Give all within the graph short names: those that the quantizer makes up would be a twentieth of the file."""
    graph = model.graph
    del graph.value_info[:]  # it would still have the long ones
    kept = {value.name for value in (*graph.input, *graph.output)}
    short: dict[str, str] = {"": ""} | {name: name for name in kept}
    for node in graph.node:
        node.name = ""
        for names in (node.input, node.output):
            names[:] = [short.setdefault(name, f"t{len(short)}") for name in names]
    for tensor in graph.initializer:
        tensor.name = short.setdefault(tensor.name, f"t{len(short)}")


class _Fed:
    """Calibration data as ONNX Runtime reads it."""

    def __init__(self, feeds: list[dict[str, np.ndarray]]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._feeds, None)

    def __iter__(self) -> _Fed:
        return self

    def __next__(self) -> dict[str, np.ndarray]:
        return next(self._feeds)


def _products(model: Any) -> list[Any]:
    weights = {tensor.name for tensor in model.graph.initializer}
    return [node for node in model.graph.node if node.op_type in ("Gemm", "MatMul") and node.input[1] in weights]


def _layer(node: str) -> str:
    return node.removeprefix("/").rpartition("/")[0]


def _onnx() -> Any:
    try:
        import onnx
    except ImportError as e:
        raise ModelError(f"nothing can be quantized without the package onnx ({e}); pip install onnx") from e
    return onnx
