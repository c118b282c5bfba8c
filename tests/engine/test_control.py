"""What a run's socket says of it."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from types import SimpleNamespace
from typing import Any

from omnistream.engine.control import Control, ask
from omnistream.flow.ledger import Row
from omnistream.graph.graph import Graph, Plan
from omnistream.observe.outcome import Outcome


async def test_lines_are_given_once_rows_as_they_are_and_a_stop_is_heard() -> None:
    stopped: list[str] = []
    run: Any = SimpleNamespace(
        plan=Plan(Graph("g", 0, {}), ()), outcome=Outcome(), events=[], said=[], down={}, ledger=Counter, stop=stopped.append
    )
    run.outcome.rows.append(Row(5, "a.out->b.in", "expired", "a.out", 3, 7))
    control = Control(run, "run of g")
    with tempfile.TemporaryDirectory() as folder:
        await control.open(folder)
        try:
            since = 0
            turns = ((["one"], [], ["one"]), (["two"], ["worker a died"], ["worker a died", "two"]), ([], [], []))
            for said, events, expected in turns:
                run.events += events
                run.said[:] = said
                control.note(run)
                run.said.clear()
                answer = await asyncio.to_thread(ask, folder, {"ask": "logs", "since": since})
                assert answer["lines"] == expected
                since = answer["next"]
            again = await asyncio.to_thread(ask, folder, {"ask": "logs"})
            assert again["lines"] == ["one", "worker a died", "two"]
            rows = (await asyncio.to_thread(ask, folder, {"ask": "ledger"}))["rows"]
            assert [Row(**row) for row in rows] == run.outcome.rows
            view = await asyncio.to_thread(ask, folder, {"ask": "view"})
            assert (view["graph"], view["title"]) == ("g", "run of g")
            assert await asyncio.to_thread(ask, folder, {"ask": "stop"}) == {"stopping": True}
            assert stopped == ["omnistream stop"]
        finally:
            await control.close()
