# ruff: noqa: E501  a sentence that is compared stands in one line
from __future__ import annotations

import pickle
import subprocess
import sys

import pytest
from helpers_graph import fault, faults, load, nodes

from omnistream.graph.graph import Graph

SOURCES = """
mic: {use: Mic}
typed: {use: Typed}
hands: {use: Hands, inputs: {frame: {from: cam}}}
cam: {use: Cam}
"""


def one(node: str) -> str:
    return fault(nodes(SOURCES + node)).partition(": ")[2]


@pytest.mark.parametrize(
    ("node", "sentence"),
    [
        ("x: {use: Show, inputs: {value: tiped}}", "nodes.x.inputs.value: there is no node 'tiped'; did you mean 'typed'?"),
        (
            "x: {use: Show, inputs: {value: q}}",
            "nodes.x.inputs.value: there is no node 'q'; the nodes: mic, typed, hands, cam, x",
        ),
        (
            "x: {use: Show, inputs: {value: hands.stopp}}",
            "nodes.x.inputs.value: 'hands' has no output 'stopp'; did you mean 'stop'?",
        ),
        ("x: {use: Show, inputs: {value: mic.a}}", "nodes.x.inputs.value: 'mic' has no output 'a'; it has out"),
        ("x: {use: Show, inputs: {value: mic.}}", "ok"),
        ("x: {use: Show, inputs: {}}", "nodes.x.inputs: Show needs its input 'value' (any payload); write `value: node.port`"),
        ("x: {use: Show}", "nodes.x.inputs: Show needs its input 'value' (any payload); write `value: node.port`"),
        (
            "x: {use: Speech}",
            "nodes.x.inputs: Speech needs its input 'audio' (AudioChunk); write `audio: node.port`",
        ),
        ("x: {use: Mic, inputs: {y: mic}}", "nodes.x.inputs: Mic is a source and has no inputs; delete `inputs`"),
        (
            "x: {use: Show, inputs: {value: mic, valve: mic}}",
            "nodes.x.inputs.valve: Show has no such input; did you mean 'value'?",
        ),
        (
            "x: {use: Newest, inputs: {text: typed, frame: {from: cam, take: latest}}}\ny: {use: Show, inputs: {value: x}}",
            "nodes.y.inputs.value: 'x' is a sink and has no output; read from a source or a node",
        ),
        (
            "x: {use: Reason, inputs: {intent: p, gesture: {from: hands, take: recent, hold: 1s}}}\n"
            "p: {use: Parse, inputs: {text: typed}}\ny: {use: Show, inputs: {value: x}}",
            "nodes.y.inputs.value: 'x' has several outputs; write one of 'x.action', 'x.caption'",
        ),
        ("x: {use: Encoder, inputs: {audio: {from: mic, window: {size: 1s}}}}",
         "nodes.x.with: Encoder needs the option 'checkpoint' (str); write `checkpoint: ...`"),
        ("x: {use: Nobody}", "nodes.x.use: module 'graph_parts' has no 'Nobody'; it has Mic, Cam"),
        ("x: {use: Speach}", "nodes.x.use: module 'graph_parts' has no 'Speach'; did you mean 'Speech'?"),
        ("x: {use: NotANode}", "nodes.x.use: 'graph_parts:NotANode' is no Node, Source or Sink; derive it from one of them"),
        ("x: {use: Node}", "nodes.x.use: 'graph_parts:Node' is no Node, Source or Sink; derive it from one of them"),
        ("x: {use: Plain}", "nodes.x.use: Plain is no dataclass, so its options are unknown; put @dataclass(kw_only=True) above"),
        ("x: {use: BadHint}", "nodes.x.use: the type hints of BadHint cannot be read: NameError: name 'Nowhere' is not defined"),
        ("x: {use: BadPort}", "nodes.x.use: BadPort.step: parameter 'x': <class 'int'> is not a payload"),
    ],
)  # fmt: skip
def test_what_cannot_be_resolved(node: str, sentence: str) -> None:
    if sentence == "ok":
        load(nodes(SOURCES + node))
    else:
        assert one(node).startswith(sentence)


def test_a_single_output_needs_no_name() -> None:
    text = "d: {use: Drive, inputs: {action: any}}\nr: {use: Robot, inputs: {action: d}}\nany: {use: Anything}"
    assert load(nodes(text)).nodes["r"].inputs[0].streams == ("d.motion",)


def test_one_mistake_is_told_once() -> None:
    assert faults(nodes("mic: {use: Mik}\nx: {use: Speech, inputs: {audio: mic}}\ny: {use: Show, inputs: {value: x}}")) == [
        "g.yaml:3: nodes.mic.use: module 'graph_parts' has no 'Mik'; did you mean 'Mic'?"
    ]


def test_the_example_of_the_design(example: str) -> None:
    graph = load(example)
    assert graph.name == "voice_robot"
    assert graph.budget_ns == 200_000_000
    assert [n.role for n in graph.nodes.values()] == ["source"] * 3 + ["node"] * 5 + ["sink"] * 2
    reason = graph.nodes["reason"]
    assert reason.line == 13
    assert reason.on == "mind"
    assert reason.types == {"action": ("Action",), "caption": ("Caption",)}
    assert [(i.config.name, i.config.take, i.streams, i.form, i.optional) for i in reason.inputs] == [
        ("intent", "each", ("parse.out",), "one", True),
        ("gesture", "recent", ("hands.out",), "recent", False),
        ("stop", "each", ("hands.stop",), "message", True),
    ]
    assert graph.nodes["speech"].blocking
    assert graph.nodes["camera"].options == {"device": "/dev/video0", "fps": 15.0}
    assert graph.nodes["drive"].make().max_mps == 0.3
    assert graph.workers["mind"].labels == {"site": "edge"}
    assert graph.text == example


def test_a_graph_pickles(example: str) -> None:
    graph = load(example)
    again: Graph = pickle.loads(pickle.dumps(graph))
    assert again == graph


def test_checking_imports_neither_ray_nor_a_model(tmp_path) -> None:
    file = tmp_path / "g.yaml"
    file.write_text("graph: g\nnodes: {a: {use: passthrough, inputs: {message: b}}, b: {use: 'part:Clock'}}")
    (tmp_path / "part.py").write_text(
        "from collections.abc import AsyncIterator\nfrom omnistream.node import Source\nfrom omnistream.message import Event\n"
        "class Clock(Source):\n    async def run(self, ctx) -> AsyncIterator[Event]:\n        yield Event('x')\n"
    )
    code = (
        "import sys; from omnistream.graph.load import load_graph; from omnistream.graph.plan import make_plan\n"
        f"make_plan(load_graph({str(file)!r}))\n"
        "print([m for m in ('ray', 'torch', 'onnxruntime', 'ai_edge_litert', 'av', 'zmq', 'aiomqtt', 'mcap') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
