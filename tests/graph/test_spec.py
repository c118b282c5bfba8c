# ruff: noqa: E501  a sentence that is compared stands in one line
from __future__ import annotations

import pytest
from helpers_graph import fault, faults, load, nodes

from omnistream.flow.config import Queue, WindowConfig
from omnistream.graph.spec import LATER
from omnistream.message import INFINITY, MS, SECOND


def test_every_fault_of_a_file_is_told_at_once_in_the_order_of_its_lines() -> None:
    text = nodes(
        """
        "x y": {use: Mic}
        a: {use: Mic, with: 3}
        b:
          use: Speech
          inputs:
            audio: {form: a}
            x: {from: b, take: ech, queue: bock, wait: 20, urgent: 1, lag: auto}
        c: {use: 3, on: {pool: x}, variants: 3}
        d:
        """,
        "budgt: 3\npools: x\nworkers: {a: {gpu: 1.5, cpus: 3}, b: []}\n",
    ).replace("graph: g", "graph: 7").replace("graph_parts:3", "3")  # fmt: skip
    assert faults(text) == [
        "g.yaml:1: graph: this must be text; found the number 7",
        "g.yaml:2: budgt: there is no such word in a graph file; did you mean 'budget'?",
        "g.yaml:3: pools: `pools` is not in this version of OmniStream; delete it",
        "g.yaml:4: workers.a.cpus: there is no such word in a worker; did you mean 'cpu'?",
        "g.yaml:4: workers.b: this must be a map of `word: value`; found a list",
        "g.yaml:4: workers.a: `gpu: 1.5` is neither a share of one GPU nor a whole number; write 0.5, 1 or 2",
        "g.yaml:6: nodes.x y: 'x y' is not a name; write letters, digits, '_' and '-' only, beginning with a letter",
        "g.yaml:7: nodes.a.with: this must be a map of `name: value`; found the number 3",
        "g.yaml:11: nodes.b.inputs.audio: `from` is missing here; write `from: node.port`",
        "g.yaml:11: nodes.b.inputs.audio.form: there is no such word in an input; did you mean 'from'?",
        "g.yaml:12: nodes.b.inputs.x.take: text 'ech' is none of 'each', 'window', 'latest', 'recent'; write one of these",
        "g.yaml:12: nodes.b.inputs.x.lag: `auto` is not in this version; write the lag as a duration, such as '40ms'",
        "g.yaml:12: nodes.b.inputs.x.wait: the duration 20 has no unit; write '20ms' or '20s'",
        "g.yaml:12: nodes.b.inputs.x.urgent: this must be true or false; found the number 1",
        "g.yaml:12: nodes.b.inputs.x.queue: 'bock' is not a queue policy; write newest, {drop_oldest: 8} or {block: 64}",
        "g.yaml:13: nodes.c.use: this must be text; found the number 3",
        "g.yaml:13: nodes.c.on: pools (`on: {pool: ...}`) are not in this version; write `on:` with the name of a worker",
        "g.yaml:13: nodes.c.variants: `variants` is not in this version of OmniStream; delete it",
        "g.yaml:14: nodes.d: this must be a map of `word: value`; found nothing",
    ]


def test_the_sound_part_of_a_file_is_checked_further() -> None:
    found = faults(
        nodes(
            """
            mic: {use: Mic, whith: {}}
            speech: {use: Speech, inputs: {audio: mic}, with: {chekpoint: x}}
            parse: {use: Parse, inputs: {text: gone}}
            gone: {use: Typed, on: 3}
            """
        )
    )
    assert found == [
        "g.yaml:3: nodes.mic.whith: there is no such word in a node; did you mean 'with'?",
        "g.yaml:4: nodes.speech.with.chekpoint: Speech has no such option; did you mean 'checkpoint'?",
        "g.yaml:6: nodes.gone.on: this must be text; found the number 3",
    ]


WHERE = {
    "GraphSpec": ("graph: g\nWORD: 1\nnodes: {a: {use: 'graph_parts:Mic'}}", ""),
    "NodeSpec": ("graph: g\nnodes: {a: {use: 'graph_parts:Mic', WORD: 1}}", "nodes.a."),
    "WorkerSpec": ("graph: g\nworkers: {w: {WORD: 1}}\nnodes: {a: {use: 'graph_parts:Mic', on: w}}", "workers.w."),
    "InputSpec": (
        "graph: g\nnodes: {a: {use: 'graph_parts:Mic'}, b: {use: 'graph_parts:Show', inputs: {value: {from: a, WORD: 1}}}}",
        "nodes.b.inputs.value.",
    ),
    "WindowSpec": (
        "graph: g\nnodes: {a: {use: 'graph_parts:Mic'}, b: {use: 'graph_parts:Encoder', with: {checkpoint: x}, "
        "inputs: {audio: {from: a, window: {size: 1s, WORD: 1}}}}}",
        "nodes.b.inputs.audio.window.",
    ),
    "SessionSpec": (
        "graph: g\nnodes: {a: {use: 'graph_parts:Mic'}, b: {use: 'graph_parts:Encoder', with: {checkpoint: x}, "
        "inputs: {audio: {from: a, session: {gap: 1s, WORD: 1}}}}}",
        "nodes.b.inputs.audio.session.",
    ),
}


@pytest.mark.parametrize(("model", "word"), [(m, w) for m, words in LATER.items() for w in sorted(words)])
def test_words_of_later_versions_are_refused_by_name(model: str, word: str) -> None:
    text, place = WHERE[model]
    found = fault(text.replace("WORD", word))
    assert found.endswith(f"{place}{word}: `{word}` is not in this version of OmniStream; delete it")
    assert "did you mean" in fault(text.replace("WORD: 1", "grap: 1")) or "write one of" in fault(
        text.replace("WORD: 1", "q: 1")
    )


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "a graph file is a map that begins with `graph: NAME`; found nothing"),
        ("[1]", "found a list"),
        ("graph: g", "`nodes` is missing here"),
        ("nodes: {a: {use: 'graph_parts:Mic'}}", "`graph` is missing here; write `graph: my_robot`"),
        ("graph: g\nnodes: {}", "nodes: a graph has at least one node"),
        ("graph: g\nnodes: []", "nodes: this must be a map of `name: value`; found a list"),
        ("graph: 'a b'\nnodes: {a: {use: 'graph_parts:Mic'}}", "graph: 'a b' is not a name"),
        ("graph: g\nbudget: 0\nnodes: {a: {use: 'graph_parts:Mic'}}", "budget: this duration must be more than 0"),
        (
            "graph: g\nbudget: inf\nnodes: {a: {use: 'graph_parts:Mic'}}",
            "budget: this duration must be more than 0 and have an end",
        ),
        ("graph: g\nbudget: soon\nnodes: {a: {use: 'graph_parts:Mic'}}", "budget: 'soon' is not a duration"),
        ("graph: g\nworkers: {w: {gpu_required: true}}\nnodes: {a: {use: 'graph_parts:Mic'}}", "`gpu_required` without `gpu`"),
        ("graph: g\nworkers: {w: {cpu: -1}}\nnodes: {a: {use: 'graph_parts:Mic'}}", "greater than or equal to 0"),
        ("graph: g\nworkers: {w: {cpu: .nan}}\nnodes: {a: {use: 'graph_parts:Mic'}}", "workers.w.cpu"),
        ("graph: g\nworkers: {w: {threads: 0}}\nnodes: {a: {use: 'graph_parts:Mic'}}", "workers.w.threads"),
        ("graph: g\nworkers: {w: {labels: {site: 3}}}\nnodes: {a: {use: 'graph_parts:Mic'}}", "workers.w.labels.site"),
        (
            "graph: g\nworkers: {w: {ports: 9-5}}\nnodes: {a: {use: 'graph_parts:Mic'}}",
            "workers.w.ports: '9-5' is no range of ports",
        ),
        (
            "graph: g\nworkers: {w: {ports: 70000}}\nnodes: {a: {use: 'graph_parts:Mic'}}",
            "workers.w.ports: '70000' is no range of ports",
        ),
        (
            "graph: g\nworkers: {w: {ports: true}}\nnodes: {a: {use: 'graph_parts:Mic'}}",
            "workers.w.ports: 'True' is no range of ports",
        ),
        (
            "graph: g\nworkers: {w: {advertise: 'a:5'}}\nnodes: {a: {use: 'graph_parts:Mic'}}",
            "workers.w.advertise: 'a:5' is not an address",
        ),
    ],
)
def test_faults_outside_of_nodes(text: str, what: str) -> None:
    found = faults(text)
    assert any(what in line for line in found), found
    assert all(line.startswith("g.yaml:") for line in found)


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ("queue: {drop_oldest: 0}", "`drop_oldest: 0` must be a number of messages"),
        ("queue: {block: 1.5}", "must be a number of messages"),
        ("queue: {newest: 1}", "is not a queue policy"),
        ("queue: {block: 1, drop_oldest: 2}", "is not a queue policy"),
        ("queue: block", "is not a queue policy"),
        ("wait: -1ms", "is not a duration"),
        ("max_bytes: 1h", "is not a size"),
        ("in_flight: -1", "in_flight"),
        ("in_flight: true", "in_flight"),
        ("delay: 0", "must be more than 0"),
        ("window: {size: 1s, hop: 2s}", "the window's `hop` is longer than its `size`"),
        ("window: {size: 0}", "must be more than 0"),
        ("window: {}", "`size` is missing here"),
        ("session: {}", "`gap` is missing here"),
        ("window: {size: 1s}, session: {gap: 1s}", "a port has a `window` or a `session`, not both"),
        ("take: [each]", "take"),
    ],
)
def test_faults_of_port_words(words: str, what: str) -> None:
    found = fault(nodes(f"mic: {{use: Mic}}\nshow: {{use: Show, inputs: {{value: {{from: mic, {words}}}}}}}"))
    assert what in found
    assert found.startswith("g.yaml:4: nodes.show.inputs.value")


@pytest.mark.parametrize("value", ["3", "[]", "[3]", "{}", "null", "true"])
def test_from_is_a_name_or_a_list_of_names(value: str) -> None:
    found = faults(nodes(f"mic: {{use: Mic}}\nshow: {{use: Show, inputs: {{value: {{from: {value}}}}}}}"))
    assert "reads from 'node', 'node.port', or a list of them" in found[0]


def test_all_port_words_reach_the_graph() -> None:
    graph = load(
        nodes(
            """
            mic: {use: Mic}
            typed: {use: Typed}
            enc:
              use: Encoder
              with: {checkpoint: x}
              inputs:
                audio: {from: mic, take: window, window: {size: 1s, hop: 250ms}, wait: inf, queue: {block: 3}, max_bytes: 1MiB, in_flight: 4}
            loop:
              use: Loop
              inputs:
                x: {from: [typed], urgent: true, queue: {drop_oldest: 2}, wait: 0}
                back: {from: loop, take: latest, delay: 50ms, hold: 3s, lag: 40ms, queue: newest}
            """
        ).replace("wait: 0}", "wait: 0, from: [typed, loop2]}").replace("from: [typed], ", "")
        + "  loop2: {use: 'graph_parts:Typed'}\n"
    )  # fmt: skip
    audio = graph.nodes["enc"].inputs[0].config
    assert audio.window == WindowConfig(size_ns=SECOND, hop_ns=250 * MS)
    assert (audio.take, audio.wait_ns, audio.in_flight) == ("window", INFINITY, 4)
    assert audio.queue == Queue("block", 3, 1 << 20)
    assert audio.max_bytes == 1 << 20
    x, back = (i.config for i in graph.nodes["loop"].inputs)
    assert (x.urgent, x.wait_ns, x.queue) == (True, 0, Queue("drop_oldest", 2))
    assert graph.nodes["loop"].inputs[0].streams == ("typed.out", "loop2.out")
    assert (back.take, back.delay_ns, back.hold_ns, back.lag_ns, back.queue.policy) == (
        "latest",
        50 * MS,
        3 * SECOND,
        40 * MS,
        "newest",
    )
    assert not back.triggers


@pytest.mark.parametrize(("written", "ports"), [("5600-5699", (5600, 5699)), ("5600", (5600, 5600)), ("'5600'", (5600, 5600))])
def test_where_a_worker_listens_reaches_the_graph(written: str, ports: tuple[int, int]) -> None:
    graph = load(
        f"graph: g\nworkers: {{w: {{advertise: robot.local, ports: {written}}}}}\nnodes: {{a: {{use: 'graph_parts:Mic', on: w}}}}"
    )
    assert (graph.workers["w"].advertise, graph.workers["w"].ports) == ("robot.local", ports)
