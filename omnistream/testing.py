"""For tests of nodes, drivers and graphs: a context, and (with the engine) runs on a manual clock."""

from __future__ import annotations

from typing import Any

import numpy as np

from omnistream.clock import ManualClock
from omnistream.node import Context

__all__ = ["context"]


def context(name: str = "node", **over: Any) -> Context:
    """A context on a manual clock at 0, as a node meets it in `open`. Reports are kept in the list `ctx.report.rows`."""
    rows: list[tuple[str, str]] = []

    def report(reason: str, text: str) -> None:
        rows.append((reason, text))

    report.rows = rows  # type: ignore[attr-defined]
    values: dict[str, Any] = {"name": name, "clock": ManualClock(), "rng": np.random.default_rng(0), "report": report} | over
    return Context(**values)
