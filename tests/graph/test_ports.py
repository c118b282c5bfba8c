# ruff: noqa: E501  a sentence that is compared stands in one line
from __future__ import annotations

import pytest
from helpers_graph import fault, faults, load, nodes
from hypothesis import given
from hypothesis import strategies as st

from omnistream.flow.config import Queue, WindowConfig
from omnistream.graph.ports import default_queue
from omnistream.message import INFINITY, MS, PAYLOADS, SECOND

SOURCES = """
mic: {use: Mic}
cam: {use: Cam}
typed: {use: Typed}
any: {use: Anything}
speech: {use: Speech, inputs: {audio: mic}}
hands: {use: Hands, inputs: {frame: cam}}
parse: {use: Parse, inputs: {text: typed}}
"""


def port(node: str, **more: str) -> str:
    return fault(nodes(SOURCES + node), **more).partition(": ")[2]


@pytest.mark.parametrize(
    ("node", "sentence"),
    [
        (
            "x: {use: Speech, inputs: {audio: cam}}",
            "nodes.x.inputs.audio: 'cam.out' gives VideoFrame, but the port 'audio' of Speech takes AudioChunk",
        ),
        (
            "x: {use: Drive, inputs: {action: [parse, typed]}}",
            None,
        ),
        (
            "x: {use: Speech, inputs: {audio: {from: mic, window: {size: 1s}}}}",
            "nodes.x.inputs.audio: the port 'audio' of Speech takes one message at a time; delete `window`, "
            "or write its hint as 'Window[...]'",
        ),
        (
            "x: {use: Speech, inputs: {audio: {from: mic, take: recent, hold: 1s}}}",
            "nodes.x.inputs.audio: the port 'audio' of Speech takes one message at a time; delete `recent`, "
            "or write its hint as 'Recent[...]'",
        ),
        (
            "x: {use: Speech, inputs: {audio: {from: mic, take: latest, session: {gap: 1s}}}}",
            None,
        ),
        (
            "x: {use: Encoder, with: {checkpoint: c}, inputs: {audio: mic}}",
            "nodes.x.inputs.audio: the port 'audio' of Encoder takes a Window; write `window: {size: 1s}` or `session: {gap: 500ms}`",
        ),
        (
            "x: {use: Encoder, with: {checkpoint: c}, inputs: {audio: {from: mic, take: window}}}",
            "nodes.x.inputs.audio: the port 'audio' of Encoder takes a Window; write `window: {size: 1s}` or `session: {gap: 500ms}`",
        ),
        (
            "x: {use: Encoder, with: {checkpoint: c}, inputs: {audio: {from: mic, take: each}}}",
            "nodes.x.inputs.audio: the port 'audio' of Encoder takes a Window; delete `take: each`",
        ),
        (
            "x: {use: Reason, inputs: {intent: parse, gesture: hands}}",
            None,
        ),
        (
            "x: {use: Reason, inputs: {intent: parse, gesture: {from: hands, take: recent}}}",
            "nodes.x.inputs.gesture: `take: recent` keeps what it may still show; write how far back that is, such as `hold: 2s`",
        ),
        (
            "x: {use: Reason, inputs: {intent: parse, gesture: {from: hands, take: recent, hold: inf}}}",
            "nodes.x.inputs.gesture: `take: recent` keeps what it may still show; write how far back that is, such as `hold: 2s`",
        ),
        (
            "x: {use: Strict, inputs: {one: typed, two: {from: typed, take: latest}}}",
            "ok",
        ),
        (
            "x: {use: Strict, inputs: {one: {from: typed, take: latest}, two: typed}}",
            "nodes.x.inputs.one: `take: latest` may find nothing; write 'one: Text | None' in Strict",
        ),
        (
            "x: {use: Strict, inputs: {one: typed, two: typed}}",
            "nodes.x.inputs.one: this port has no message when only 'two' triggers; write the parameter 'one' of Strict with '| None', "
            "or let the port take latest or recent",
        ),
        (
            "x: {use: Speech, inputs: {audio: {from: mic, hold: 1s}}}",
            "nodes.x.inputs.audio.hold: `hold` is for a port that takes latest or recent; this one takes each; delete it",
        ),
        (
            "x: {use: Speech, inputs: {audio: {from: mic, lag: 1s}}}",
            "nodes.x.inputs.audio.lag: `lag` is for a port that takes latest or recent; this one takes each; delete it",
        ),
        (
            "x: {use: Speech, inputs: {audio: {from: mic, delay: 1s}}}",
            "nodes.x.inputs.audio.delay: feedback cannot trigger, and this port takes each; write `take: latest` or `take: recent`",
        ),
        (
            "x: {use: Strict, inputs: {one: typed, two: {from: typed, take: latest, urgent: true}}}",
            "nodes.x.inputs.two.urgent: only a port that triggers can be urgent, and this one takes latest; delete `urgent`",
        ),
        (
            "x: {use: Strict, inputs: {one: typed, two: {from: typed, take: latest, lag: inf}}}",
            "nodes.x.inputs.two.lag: a `lag` without end never sees anything; write one like '40ms'",
        ),
        (
            "x: {use: Speech, inputs: {audio: {from: mic, wait: 30ms}}}",
            "nodes.x.inputs.audio.wait: nothing waits for this port, which alone triggers the node; delete `wait`",
        ),
        (
            "x: {use: Parse, inputs: {text: {from: speech, in_flight: 2}}}",
            "nodes.x.inputs.text.in_flight: `in_flight` limits what a source lets in, and this port reads from none; delete it",
        ),
        (
            "x: {use: Utterance, inputs: {text: {from: speech, session: {gap: 1s, end: finall}}}}",
            "nodes.x.inputs.text.session.end: Transcript has no field 'finall'; did you mean 'final'?",
        ),
        (
            "x: {use: Utterance, inputs: {text: {from: speech, take: latest, session: {gap: 1s}}}}",
            "nodes.x.inputs.text: the port 'text' of Utterance takes a Window; delete `take: latest`",
        ),
        (
            "x: {use: Parse, inputs: {text: hands}}",
            "nodes.x.inputs.text: 'hands.out' gives Gesture, but the port 'text' of Parse takes Text | Transcript",
        ),
        (
            "x: {use: Parse, inputs: {text: [typed, typed.out]}}",
            "nodes.x.inputs.text: 'typed.out' is here twice; delete one",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_a_port(node: str, sentence: str | None) -> None:
    if sentence == "ok":
        load(nodes(SOURCES + node))
    elif sentence is None:  # several sentences, each about this port
        assert all(": nodes.x.inputs" in line for line in faults(nodes(SOURCES + node)))
    else:
        assert port(node) == sentence


def test_a_node_without_a_trigger_never_runs() -> None:
    found = faults(
        nodes(SOURCES + "x: {use: Strict, inputs: {one: {from: typed, take: latest}, two: {from: typed, take: latest}}}")
    )
    assert any("no input triggers, so this node never runs" in line for line in found)


def test_an_input_with_a_default_may_be_left_out() -> None:
    graph = load(nodes(SOURCES + "x: {use: Reason, inputs: {intent: parse, gesture: {from: hands, take: recent, hold: 1s}}}"))
    assert [i.config.name for i in graph.nodes["x"].inputs] == ["intent", "gesture"]


def test_inputs_are_in_the_order_of_the_parameters() -> None:
    text = "x: {use: Reason, inputs: {stop: hands.stop, gesture: {from: hands, take: recent, hold: 1s}, intent: parse}}"
    assert [i.config.name for i in load(nodes(SOURCES + text)).nodes["x"].inputs] == ["intent", "gesture", "stop"]


def test_defaults_of_a_port() -> None:
    config = load(nodes(SOURCES + "x: {use: Show, inputs: {value: typed}}")).nodes["x"].inputs[0].config
    assert (config.take, config.wait_ns, config.hold_ns, config.lag_ns, config.delay_ns) == ("each", 20 * MS, INFINITY, 0, 0)
    assert (config.urgent, config.window, config.in_flight, config.max_bytes) == (False, None, 0, 256 << 20)


def test_a_session() -> None:
    graph = load(nodes(SOURCES + "x: {use: Utterance, inputs: {text: {from: speech, session: {gap: 700ms, end: final}}}}"))
    config = graph.nodes["x"].inputs[0].config
    assert config.take == "window"
    assert config.window == WindowConfig(gap_ns=700 * MS, end="final")


def test_the_hop_of_a_window_is_its_size_by_default() -> None:
    graph = load(nodes(SOURCES + "x: {use: Encoder, with: {checkpoint: c}, inputs: {audio: {from: mic, window: {size: 1s}}}}"))
    assert graph.nodes["x"].inputs[0].config.window == WindowConfig(size_ns=SECOND, hop_ns=SECOND)


@pytest.mark.parametrize(
    ("reads", "queue", "in_flight"),
    [
        ("cam", Queue("newest"), 2),
        ("mic", Queue("drop_oldest", 64), 0),
        ("hands", Queue("drop_oldest", 8), 0),
        ("typed", Queue("block", 64), 0),
        ("any", Queue("block", 64), 0),
        ("[cam, mic]", Queue("drop_oldest", 64), 2),
        ("[cam, hands]", Queue("drop_oldest", 8), 2),
        ("[cam, typed]", Queue("block", 64), 2),
        ("speech", Queue("block", 64), 0),
        ("{from: cam, in_flight: 0}", Queue("newest"), 0),
        ("{from: [mic, typed], in_flight: 5}", Queue("block", 64), 5),
    ],
)
def test_queues_follow_the_payload(reads: str, queue: Queue, in_flight: int) -> None:
    config = load(nodes(SOURCES + f"x: {{use: Show, inputs: {{value: {reads}}}}}")).nodes["x"].inputs[0].config
    assert (config.queue, config.in_flight) == (queue, in_flight)


def test_what_can_be_any_payload_fits_everywhere() -> None:
    graph = load(
        nodes(
            SOURCES
            + "x: {use: Hands, inputs: {frame: any}}\ny: {use: Pass, inputs: {x: mic}}\nz: {use: Speech, inputs: {audio: y}}"
        )
    )
    assert graph.nodes["x"].inputs[0].config.queue == Queue("newest")
    assert graph.nodes["x"].inputs[0].config.in_flight == 2  # it is video, from a source
    assert graph.nodes["z"].inputs[0].config.queue == Queue("drop_oldest", 64)


@given(st.frozensets(st.sampled_from(list(PAYLOADS.values())), min_size=1), st.sampled_from(list(PAYLOADS.values())))
def test_a_mixed_stream_is_never_dropped_more_freely_than_one_of_its_kinds(types: frozenset[type], more: type) -> None:
    rank = {"newest": 0, "drop_oldest": 1, "block": 2}
    one, both = default_queue(types), default_queue(types | {more})
    assert (rank[one.policy], one.n) <= (rank[both.policy], both.n) or rank[one.policy] < rank[both.policy]
