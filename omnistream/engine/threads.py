"""A process keeps to its threads: numpy's BLAS, OpenMP and torch otherwise take all cores, each for itself.

onnxruntime and LiteRT heed neither; their nodes hand on `ctx.threads` when they open.
"""

from __future__ import annotations

import os
import sys
from typing import Any

__all__ = ["keep_to"]

_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def keep_to(threads: int) -> None:
    """From now on the libraries of this process that are loaded, and those that are still to come, use so many threads."""
    from threadpoolctl import threadpool_limits

    for name in _VARIABLES:  # read when a library is loaded
        os.environ[name] = str(threads)
    threadpool_limits(threads)
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)
