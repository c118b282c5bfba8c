"""What a run's socket says of it."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from omnistream.engine.control import SOCKET, Control, ask
from omnistream.flow.ledger import Row
from omnistream.graph.graph import Graph, Plan
from omnistream.observe.outcome import Outcome
from omnistream.observe.page import Page


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


@pytest.mark.parametrize("kind", ["control", "page"])
async def test_a_conversation_that_the_end_of_a_run_cuts_off_is_no_fault(kind: str) -> None:
    """As a loop ends it cancels its tasks: asyncio's own callback stumbles over one that says so."""
    faults: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: faults.append(context))
    before = asyncio.all_tasks()
    with tempfile.TemporaryDirectory() as folder:
        served: Any = Page(lambda: "", "text/plain") if kind == "page" else Control(SimpleNamespace(), "a run")  # type: ignore[arg-type]
        await (served.open("127.0.0.1", 0) if kind == "page" else served.open(folder))
        where = asyncio.open_connection("127.0.0.1", served.port) if kind == "page" else None
        _, writer = await (where or asyncio.open_unix_connection(str(Path(folder, SOCKET))))
        for _ in range(1000):
            await asyncio.sleep(0.001)
            if met := asyncio.all_tasks() - before:
                break
        for task in met:
            task.cancel()
        await asyncio.wait(met)
        await asyncio.sleep(0)
        await served.close()
        writer.close()
    assert faults == []
