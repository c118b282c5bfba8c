"""Synthesizers that are networks: their weights opened by digest, and what they say as int16."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from omnistream.errors import ModelError

__all__ = ["as_int16", "speech_session"]


def speech_session(path: str, sha256: str) -> Any:
    """A session of one thread on a package's weights. Raises ModelError where they are not the ones that were tried."""
    import onnxruntime

    with Path(path).open("rb") as f:
        if hashlib.file_digest(f, "sha256").hexdigest() != sha256:
            raise ModelError(f"{path}: these are other weights than those that were tried; install the locked version")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def as_int16(sound: np.ndarray) -> np.ndarray:
    """(N,) float within 1, or brought there, as int16 with room above it."""
    peak = max(1e-6, float(np.abs(sound).max(initial=0)))
    return np.round(sound * (30000 / max(1.0, peak))).astype(np.int16)
