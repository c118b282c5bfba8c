"""The network's ONNX files for a node that decides on one scene at a time, with so many of the products in int8."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path

from torch import nn

from omnistream_models.fused import tables, tensors
from omnistream_models.fused.export import write_onnx
from omnistream_models.fused.model import FusedModel
from omnistream_models.fused.weights import PATHS
from omnistream_models.int8 import Way, write_int8

__all__ = ["TABLE", "float_bytes", "write_float", "write_small"]

_HALVES = ("words.onnx", *PATHS.values())
#: The table of words, as a layer.
TABLE = "reader.table"


def write_float(model: FusedModel, folder: Path) -> None:
    """Write the files with all numbers as floats; what depends on no input is worked out already."""
    with tempfile.TemporaryDirectory() as made:
        write_onnx(model, Path(made))
        for name in _HALVES:
            _work_out(Path(made) / name, folder / name)
            _name(folder / name, model)


def write_small(model: FusedModel, floats: Path, out: Path, layers: Collection[str], way: Way) -> None:
    """From `write_float`'s files and the table: `layers` in int8, what is left at half precision."""
    for name in _HALVES:
        write_int8(floats / name, out / name, layers, way)
    table = model.reader.table.weight.detach().numpy()
    kept = tables.in_int8(table) if TABLE in layers else tables.at_half(table)
    tensors.write(out / "fused.safetensors", kept)


def float_bytes(floats: Path, model: FusedModel) -> int:
    """What the files and the table take with all numbers as floats."""
    return sum((floats / name).stat().st_size for name in _HALVES) + 4 * model.reader.table.weight.numel()


def _work_out(path: Path, out: Path) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(out)
    options.add_free_dimension_override_by_name("batch", 1)
    unfused = ["MatMulAddFusion"]  # one for each layer is left, to be named
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"], disabled_optimizers=unfused)


def _name(path: Path, model: FusedModel) -> None:
    """Name each product by its layer, as `write_int8` reads it: the exporter's names for parts of a ModuleDict do not tell."""
    import onnx
    from onnx import numpy_helper

    of_weights: dict[bytes, str] = {}
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            weight = module.weight.detach().numpy()
            of_weights |= {weight.tobytes(): name, weight.T.tobytes(): name}
    made = onnx.load(path)
    arrays = {tensor.name: numpy_helper.to_array(tensor).tobytes() for tensor in made.graph.initializer}
    for node in made.graph.node:
        if node.op_type in ("Gemm", "MatMul") and node.input[1] in arrays:
            node.name = f"{of_weights[arrays[node.input[1]]]}/{node.op_type}"
    onnx.save(made, path)
