# ruff: noqa: E501  a sentence that is compared stands in one line
from __future__ import annotations

from pathlib import Path

import pytest
from helpers_graph import fault, faults, load, nodes

from omnistream.flow.config import Queue
from omnistream.graph import registry
from omnistream.graph.registry import Found
from omnistream.message import MS
from omnistream.node import ports_of


@pytest.mark.parametrize(
    ("word", "node", "options"),
    [
        ("nodes.camera.with.fps=10", "camera", {"device": "/dev/video0", "fps": 10.0}),
        ("nodes.camera.with.device=rtsp://host/a?b=c", "camera", {"device": "rtsp://host/a?b=c", "fps": 15.0}),
        ("nodes.speech.with.debug=true", "speech", {"debug": True}),
        ("nodes.speech.with.words=[a, b]", "speech", {"words": ["a", "b"]}),
        ("nodes.speech.with.temperature=null", "speech", {"temperature": None}),
        ("nodes.speech.with={beams: 2}", "speech", {"beams": 2}),
        ("nodes.speech.with.checkpoint=${CHECK:-large}", "speech", {"checkpoint": "large"}),
    ],
)
def test_a_value_set_from_the_command_line_is_typed(example: str, word: str, node: str, options: dict[str, object]) -> None:
    assert load(example, sets=[word]).nodes[node].options == options


def test_any_word_of_the_file_can_be_set(example: str) -> None:
    sets = [
        "budget=50ms",
        "workers.mind.cpu=2",
        "workers.eyes.threads=2",
        "nodes.reason.inputs.intent.wait=70ms",
        "nodes.speech.on=mind",
    ]
    graph = load(example, sets=[*sets, "nodes.parse.inputs.text.queue={block: 3}"])
    assert graph.budget_ns == 50 * MS
    assert (graph.workers["mind"].cpu, graph.workers["eyes"].threads) == (2, 2)
    assert graph.nodes["reason"].inputs[0].config.wait_ns == 70 * MS
    assert graph.nodes["reason"].inputs[0].streams == ("parse.out",)
    assert graph.nodes["parse"].inputs[0].config.queue == Queue("block", 3)
    assert graph.nodes["speech"].on == "mind"
    assert graph.sets[:5] == tuple(sets)


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("fps", "--set fps: this is no PATH=VALUE; write one like nodes.camera.with.fps=10"),
        ("=3", "--set =3: this is no PATH=VALUE; write one like nodes.camera.with.fps=10"),
        ("nodes..x=3", "--set nodes..x=3: this is no PATH=VALUE; write one like nodes.camera.with.fps=10"),
        ("nodes.camra.with.fps=1", "--set nodes.camra.with.fps=1: there is no node 'camra'; did you mean 'camera'?"),
        ("nodes.camera.with.fsp=1", "--set nodes.camera.with.fsp=1: Cam has no such option; did you mean 'fps'?"),
        (
            "nodes.camera.with.fps=[",
            "--set nodes.camera.with.fps=[: the value cannot be read; write a number, true, text, or '[a, b]'",
        ),
        ("nodes.camera.with.fps=x", '--set nodes.camera.with.fps=x: this must be float; found "x"'),
        ("nodes.camera.with.fps=${NO}", "--set nodes.camera.with.fps=${NO}: the value cannot be read"),
        ("budget=3", "--set budget=3: the duration 3 has no unit; write '3ms' or '3s'"),
        ("bugdet=3ms", "--set bugdet=3ms: there is no such word in a graph file; did you mean 'budget'?"),
        ("nodes.parse.inputs.text.from=gone", "--set nodes.parse.inputs.text.from=gone: "),
    ],
)
def test_a_set_that_cannot_be(example: str, word: str, sentence: str) -> None:
    found = faults(example, sets=[word], env={})
    if "from=gone" in word:  # about the port, which stands in the file
        assert found == ["g.yaml:11: nodes.parse.inputs.text: there is no node 'gone'; the nodes: mic, camera, typed, speech, parse, "
                         "hands, reason, drive, robot, glasses"]  # fmt: skip
    else:
        assert len(found) == 1
        assert found[0].startswith(sentence)


def test_a_device_for_a_source(example: str) -> None:
    graph = load(example, sources=["camera=/dev/video2", "mic=clip.wav"])
    assert graph.nodes["camera"].options["device"] == "/dev/video2"
    assert graph.nodes["mic"].options == {"device": "clip.wav", "rate_hz": 16000}
    assert graph.replaced == ("camera", "mic")
    assert graph.sources == ("camera=/dev/video2", "mic=clip.wav")


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("camera", "--source camera: this is no NODE=FILE|DEVICE|URL; write one like camera=clip.mcap"),
        ("camera=", "--source camera=: this is no NODE=FILE|DEVICE|URL; write one like camera=clip.mcap"),
        ("camra=/dev/video1", "--source camra=/dev/video1: there is no node 'camra'; did you mean 'camera'?"),
        ("zzz=/dev/video1", "--source zzz=/dev/video1: there is no node 'zzz'; the sources: mic, camera, typed"),
        ("speech=x.wav", "--source speech=x.wav: 'speech' is a node, not a source; --source replaces a source's input"),
        ("robot=x.wav", "--source robot=x.wav: 'robot' is a sink, not a source; --source replaces a source's input"),
        ("typed=tcp://*:1", "--source typed=tcp://*:1: Typed has no option `device` to replace; give a recording (FILE.mcap)"),
        ("camera=no.mcap", "--source camera=no.mcap: there is no such file 'no.mcap'; write the path of a recording"),
        (
            "parse=no.mcap",
            "--source parse=no.mcap: 'parse' has inputs, so it is not a source; --source replaces a source's input",
        ),
    ],
)
def test_a_source_that_cannot_be(example: str, word: str, sentence: str) -> None:
    assert fault(example, sources=[word]) == sentence


@pytest.mark.parametrize("second", ["camera=/dev/video1", "camera=/dev/video0", "camera=clip.mcap"])
def test_a_source_has_one_input(example: str, second: str) -> None:
    assert fault(example, sources=["camera=/dev/video0", "mic=clip.wav", second]) == (
        f"--source {second}: 'camera' has its input from --source camera=/dev/video0 already; leave one of the two out"
    )


def test_a_source_has_one_recording(example: str, recording: str) -> None:
    word = f"camera={recording}"
    sentence = f"--source {word}: 'camera' has its input from --source {word} already; leave one of the two out"
    assert fault(example, sources=[word, word]) == sentence


@pytest.fixture
def recording(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    file = tmp_path / "clip.mcap"
    file.write_bytes(b"")
    return str(file)


def test_a_recording_for_a_source_keeps_the_outputs_that_the_source_declares(example: str, recording: str) -> None:
    graph = load(example, sources=[f"camera={recording}", f"typed={recording}"])
    camera = graph.nodes["camera"]
    assert camera.use == "recording"
    assert camera.target == "omnistream_drivers.recording:Recording"
    assert camera.options == {"path": recording}
    assert camera.types == {"out": ("VideoFrame",)}
    assert graph.nodes["hands"].inputs[0].config == load(example).nodes["hands"].inputs[0].config
    assert graph.nodes["parse"].inputs == load(example).nodes["parse"].inputs
    assert graph.replaced == ("camera", "typed")


def test_a_recording_replaces_a_source_whose_own_package_is_not_installed(recording: str) -> None:
    text = nodes("cam: {use: Cam}\nshow: {use: Show, inputs: {value: cam}}").replace("graph_parts:Cam", "their.driver:Cam")
    assert "there is no module 'their'" in fault(text)
    assert load(text, sources=[f"cam={recording}"]).nodes["show"].inputs[0].streams == ("cam.out",)


def test_a_recording_does_not_replace_what_only_looks_like_a_source(recording: str) -> None:
    text = nodes("cam: {use: Cam}\nshow: {use: Show}")
    assert fault(text, sources=[f"show={recording}"]) == (
        f"--source show={recording}: 'show' is a sink, not a source; --source replaces a source's input"
    )


def test_found_is_what_the_registry_says() -> None:
    cam = registry.find("graph_parts:Cam")
    assert isinstance(cam, Found)
    assert cam.ports == ports_of(cam.cls)
