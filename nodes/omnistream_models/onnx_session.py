"""ONNX Runtime sessions that keep to their threads."""

from __future__ import annotations

from typing import Any

from omnistream.errors import ModelError
from omnistream_models import model_path

__all__ = ["open_session", "open_session_of"]


def open_session(model: str, threads: int) -> Any:
    """A CPU session of the registered model, on so many threads, none of which spins while it has no work.

    Raises ModelError where the file cannot be had or is no model.
    """
    path = model_path(model)
    return _session(str(path), str(path), threads)


def open_session_of(data: bytes, name: str, threads: int) -> Any:
    """The same of a model's bytes, which the caller has checked; `name` is what an error calls it."""
    return _session(data, name, threads)


def _session(model: str | bytes, name: str, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = max(1, threads)
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as e:  # onnxruntime's own errors share no base
        raise ModelError(f"{name}: ONNX Runtime cannot read this model: {str(e).splitlines()[0]}") from e
