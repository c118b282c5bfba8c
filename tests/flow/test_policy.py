"""The table of edge policies: what every policy keeps, who has it by default, and that an entry is all that one needs."""

from __future__ import annotations

import subprocess
import sys

import pytest
from flow_parts import message
from hypothesis import given
from hypothesis import strategies as st

from omnistream.flow.config import Queue
from omnistream.flow.edge import Edge
from omnistream.flow.policy import MAX_N, OTHERWISE, POLICIES, default_policy
from omnistream.message import PAYLOADS, AudioChunk, Features, Gesture, Text, VideoFrame

words = st.sampled_from(list(POLICIES))
#: A stranger's policy, and the four places that must know of it without another line.
STRANGER = """
from omnistream.flow.policy import POLICIES, Policy
POLICIES["sample"] = Policy(meaning="Keep N, one of them at the receiver.", droppable=True, split=lambda n: (1, n - 1))

import json
from omnistream.flow.config import Queue
from omnistream.flow.edge import Edge
from omnistream.graph.load import parse_graph
from omnistream.graph.reference import graph_reference
from omnistream.graph.schema import graph_schema

text = '''graph: g
nodes:
  ticks: {use: tick}
  show: {use: console, inputs: {message: {from: ticks, queue: %s}}}
'''
queue = parse_graph(text % "{sample: 3}").nodes["show"].inputs[0].config.queue
assert queue == Queue("sample", 3) and queue.droppable and str(queue) == "sample 3"
edge = Edge("a", queue, fresh=False, lost=lambda *_: None)
assert (edge.capacity, edge._limit, edge.droppable) == (1, 2, True)
assert '{"sample":' in json.dumps(graph_schema())
assert "| `{sample: N}` | Keep N, one of them at the receiver. |" in graph_reference()
try:
    parse_graph(text % "{simple: 3}")
except Exception as error:
    print(error)
"""


def test_an_entry_in_the_table_is_all_that_a_policy_needs() -> None:
    ended = subprocess.run([sys.executable, "-c", STRANGER], capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    assert "is not a queue policy; write newest, {drop_oldest: 8}, {block: 64} or {sample: 8}" in ended.stdout


@given(words, st.integers(1, MAX_N))
def test_room_is_for_at_least_one_and_at_most_for_n(word: str, n: int) -> None:
    policy = POLICIES[word]
    held, pending = policy.room(n, fresh=False)
    assert held >= 1
    assert pending >= 1
    if policy.takes_n and policy.droppable:
        assert held + pending == max(n, 2)
    if not policy.droppable:
        assert held == n


@given(words, st.integers(1, MAX_N))
def test_the_receiver_holds_all_in_a_fresh_replay(word: str, n: int) -> None:
    """Rule 29: nothing is dropped, so nothing needs to wait where it could be."""
    assert POLICIES[word].room(n, fresh=True)[0] == (n if POLICIES[word].takes_n else 1)


@given(words, st.integers(1, 9), st.integers(1, 40))
def test_an_edge_keeps_what_its_policy_says(word: str, n: int, count: int) -> None:
    lost: list[str] = []
    edge = Edge("s.out->n.p", Queue(word, n), fresh=False, lost=lambda e, m, reason, c: lost.append(reason))
    edge.ready = False
    for seq in range(count):
        edge.offer(message(10 * seq, seq), None)
    kept = min(count, POLICIES[word].split(n)[1]) if POLICIES[word].droppable else count
    assert [m.seq for m, _ in edge.pending] == list(range(count - kept, count))
    assert lost == ["dropped"] * (count - kept)


@pytest.mark.parametrize(
    ("types", "default"),
    [
        ({VideoFrame}, ("newest", 1)),
        ({VideoFrame, Gesture}, ("drop_oldest", 8)),
        ({AudioChunk, Features, Gesture}, ("drop_oldest", 64)),
        ({AudioChunk, Text}, ("block", 64)),
        (set(PAYLOADS.values()), ("block", 64)),
        (set(), OTHERWISE),
    ],
)
def test_the_default_is_that_of_the_strictest_payload(types: set[type], default: tuple[str, int]) -> None:
    assert default_policy(types) == default


def test_a_payload_has_one_default() -> None:
    named = [t for p in POLICIES.values() for t in p.default_for]
    assert len(named) == len(set(named))
    assert set(named) <= set(PAYLOADS.values())
    assert OTHERWISE[0] in POLICIES


def test_a_queue_says_whether_it_may_lose() -> None:
    assert [Queue(w).droppable for w in ("newest", "drop_oldest", "block")] == [True, True, False]
    assert [str(Queue(w, 4)) for w in ("newest", "drop_oldest", "block")] == ["newest", "drop_oldest 4", "block 4"]
