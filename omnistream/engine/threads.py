"""A process keeps to its threads: numpy's BLAS, OpenMP and torch otherwise take all cores, each for itself.

onnxruntime and LiteRT heed neither; their nodes hand on `ctx.threads` when they open.
"""

from __future__ import annotations

import os
import sys
from typing import Any

__all__ = ["keep_to", "take_turns"]

#: How long a thread may keep the interpreter that another one waits for. A worker's event loop asks for it anew after every
#: read and write: beside a step in plain Python that is 11 ms each (p90) with Python's own 5 ms, and 0.6 ms with this.
_SWITCH_S = 0.0005

_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def take_turns() -> None:
    """Steps in threads of this process do not keep its event loop from the interpreter."""
    sys.setswitchinterval(_SWITCH_S)


def keep_to(threads: int) -> None:
    """From now on the libraries of this process that are loaded, and those that are still to come, use so many threads."""
    from threadpoolctl import threadpool_limits

    for name in _VARIABLES:  # read when a library is loaded
        os.environ[name] = str(threads)
    threadpool_limits(threads)
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(threads)
