"""Workers through which commands and stops go compute before whatever else does on their host, where the system lets them."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from omnistream.flow.rank import FLOW, rank_of
from omnistream.graph.graph import Plan
from omnistream.graph.wiring import wires

__all__ = ["FIRST", "hastens", "take_place"]

#: Ten steps before other processes: nine times their share of a core, and a sleeper that wakes takes it from them.
FIRST = -10


def hastens(plan: Plan, worker: str) -> bool:
    """Whether commands or stops come to a worker's nodes, or from its sources."""
    graph = plan.graph
    mine = next(w.nodes for w in plan.workers if w.name == worker)
    return any(
        rank_of(wire.config, graph.nodes[wire.source].types.get(wire.output, ())) < FLOW
        for wire in wires(graph)
        if wire.target in mine or (wire.source in mine and graph.nodes[wire.source].role == "source")
    )


def take_place(*, first: bool) -> str | None:
    """Let this process compute as others do, and not behind them, where Ray puts it; and this thread, with those that it starts
    from now on, before them if it is to be `first`.

    What hinders it as a sentence, or None. To be first takes root, CAP_SYS_NICE or a limit (setrlimit(2), RLIMIT_NICE).
    """
    try:
        for thread in Path("/proc/self/task").iterdir():
            if os.getpriority(os.PRIO_PROCESS, int(thread.name)) > 0:
                os.setpriority(os.PRIO_PROCESS, int(thread.name), 0)
    except OSError:
        nice = os.getpriority(os.PRIO_PROCESS, 0)
        return f"it computes behind all other processes of its host (nice {nice}): start Ray with RAY_worker_niceness=0"
    if first:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, FIRST)
    return None
