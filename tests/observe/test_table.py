"""The live table shows what it is told as it is."""

from __future__ import annotations

import io
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from omnistream.graph.graph import Graph, Plan
from omnistream.observe.outcome import Outcome
from omnistream.observe.table import LiveTable


@pytest.mark.parametrize("terminal", [False, True])
def test_what_reads_like_markup_is_shown_and_ends_no_run(terminal: bool) -> None:
    """The reason of a death comes from anywhere; an error of the table would end the run."""
    shown = io.StringIO()
    why = "worker a died (no [/dev/video0])"
    run: Any = SimpleNamespace(
        plan=Plan(Graph("g", 0, {}), ()), outcome=Outcome(), events=[why], said=["[/x]"], down={"[/a]": why}, ledger=Counter
    )
    with LiveTable(Console(file=shown, force_terminal=terminal, width=120), "run of [/g]") as table:
        table(run)
        table(run)
    assert shown.getvalue().count(why) == 1
    assert shown.getvalue().count("[/x]") == 1
    assert not terminal or "down: [/a]" in shown.getvalue()
