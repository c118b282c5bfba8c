"""The figures of a run: which action answers which utterance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from omnistream.graph.load import load_graph
from omnistream.graph.plan import make_plan
from omnistream.message import MS, SECOND
from omnistream.observe.outcome import Outcome
from omnistream.observe.summary import summarize

GRAPH = """
graph: small
nodes:
  clock: {use: tick, with: {rate_hz: 1}}
  screen: {use: console, inputs: {message: clock}}
"""


def answers(tmp_path: Path, said: Sequence[tuple[int, int]], actions: Sequence[tuple[int, int]]) -> dict[str, float]:
    """`said`: when utterances began and ended, `actions`: when they left, and their newest sample; all in ms."""
    (tmp_path / "small.yaml").write_text(GRAPH)
    truth = [{"start_ns": begin * MS, "end_ns": end * MS} for begin, end in said]
    records = [(left * MS, 0, 0, newest * MS, "Action(move)") for left, newest in actions]
    plan = make_plan(load_graph(tmp_path / "small.yaml"))
    return summarize(plan, "local", Outcome(records={"robot": records}), truth)["command_to_action_ms"]


def test_an_action_answers_the_utterance_that_it_was_decided_from(tmp_path: Path) -> None:
    found = answers(tmp_path, [(1000, 2000), (3000, 4000)], [(2150, 2100), (3900, 3850)])
    assert (found["n"], found["max"], found["p50"]) == (2, 150, 25)


def test_what_nobody_answered_takes_no_action_of_the_next_utterance(tmp_path: Path) -> None:
    found = answers(tmp_path, [(1000, 2000), (3000, 4000)], [(4100, 4050)])
    assert (found["n"], found["max"]) == (1, 100)


def test_what_came_too_late_is_no_answer(tmp_path: Path) -> None:
    late = 2000 + 3 * SECOND // MS
    assert not answers(tmp_path, [(1000, 2000)], [(late, late - 50)])
