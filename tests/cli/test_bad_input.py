"""What a user gets wrong ends with one clear sentence and exit code 2; what the world gets wrong is in the ledger."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Generator
from pathlib import Path

import commands
import numpy as np
import pytest
import zmq
from commands import omnistream, refused, ticks
from processes import free_port

from omnistream.message import MS, AudioChunk, Event, VideoFrame
from omnistream.record.codec import RecordedMessage
from omnistream.record.writer import RecordingWriter

CAMERA = """graph: seen
nodes:
  camera: {use: camera, with: {device: /dev/video9}}
  show: {use: console, inputs: {message: camera}}
"""
MICROPHONE = """graph: heard
nodes:
  mic: {use: microphone, with: {device: "alsa:nosuch"}}
  show: {use: console, inputs: {message: mic}}
"""
COMMANDS = """graph: typed
nodes:
  typed: {{use: zmq_commands, with: {{bind: "tcp://127.0.0.1:{port}"}}}}
  show: {{use: console, inputs: {{message: typed}}}}
"""
ROBOT = """graph: driven
nodes:
  ticks: {{use: tick, with: {{rate_hz: 20}}}}
  moves: {{use: "hostile_nodes:Moves", inputs: {{message: ticks}}}}
  typed: {{use: zmq_commands, with: {{bind: "tcp://127.0.0.1:{typed}"}}}}
  show: {{use: console, inputs: {{message: [ticks, typed]}}}}
  robot:
    use: zmq_actions
    with: {{bind: "tcp://127.0.0.1:{port}", simulated: {simulated}, limits: {{x_mps: [-0.3, 0.3]}}}}
    inputs: {{action: moves}}
"""
GLASSES = """graph: read
nodes:
  ticks: {{use: tick, with: {{rate_hz: 20, count: 10}}}}
  captions: {{use: "hostile_nodes:Captions", inputs: {{message: ticks}}}}
  glasses: {{use: mqtt_captions, with: {{url: "mqtt://127.0.0.1:{port}", topic: ar/captions}}, inputs: {{caption: captions}}}}
"""


def recorded(path: Path, topic: str, payloads: list[tuple[int, VideoFrame | AudioChunk | Event]]) -> Path:
    with RecordingWriter(path, start_ns=payloads[0][0]) as writer:
        for i, (stamp, payload) in enumerate(payloads):
            writer.write(topic, RecordedMessage(stamp, None, payload, seq=i))
    return path


# -- the graph file and the flags ------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "graph: [",
        "just words",
        "graph: x\nnodes:\n  a: {use: tick, with: {rate_hz: 1}\n  b: [\n",
        "\x00\x01\x02",
        "- 1\n- 2",
    ],
)
@pytest.mark.parametrize("command", ["run", "check", "draw"])
def test_a_broken_graph_file(tmp_path: Path, command: str, text: str):
    file = commands.graph(tmp_path, text)
    assert str(file) in refused(command, file)


def test_a_graph_file_that_is_bytes(tmp_path: Path):
    file = tmp_path / "g.yaml"
    file.write_bytes(bytes(range(256)))
    assert str(file) in refused("run", file)


def test_a_graph_file_that_is_not_there(tmp_path: Path):
    assert "no such file" in refused("run", tmp_path / "none.yaml", "--engine", "local")
    assert str(tmp_path) in refused("run", tmp_path, "--engine", "local")


def test_an_engine_that_is_not_there(tmp_path: Path):
    ended = omnistream("run", ticks(tmp_path), "--engine", "hadoop")
    assert ended.code == 2
    assert "hadoop" in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--set", "nonsense"], "PATH=VALUE"),
        (["--set", "nodes.ticks.with.rate_hz=fast"], "float"),
        (["--set", "nodes.ticks.with.rate_hz=[1"], "cannot be read"),
        (["--set", "nodes.ticks.with.rate_hz=0"], "rate"),
        (["--set", "nodes.ticks.with.nosuch=1"], "nosuch"),
        (["--set", "nodes.tick.with.rate_hz=1"], "no node 'tick'"),
        (["--source", "ticks"], "NODE=FILE"),
        (["--source", "ticks=a.mcap", "--source", "ticks=b.mcap"], "'ticks' has its input from .* already"),
        (["--source", "nosuch=x.mcap"], "no node 'nosuch'"),
        (["--source", "ticks=none.mcap"], "no such file"),
        (["--source", "same=none.mcap"], "not a source"),
        (["--source", "ticks=/dev/video0"], "device"),
        (["--for", "soon"], "--for soon"),
        (["--for", "-3s"], "duration"),
        (["--for", "3"], "duration"),
        (["--record", "none/of/it.mcap"], "folder"),
        (["--record", "."], "--record"),
        (["--summary", "."], "--summary"),
        (["--summary", "/proc/none/s.json"], "--summary"),
    ],
)
def test_a_flag_that_makes_no_sense(tmp_path: Path, flags: list[str], said: str):
    assert re.search(said, refused("run", ticks(tmp_path), "--engine", "local", *flags))


def test_a_summary_where_a_file_is_the_folder(tmp_path: Path):
    file = ticks(tmp_path)
    assert "--summary" in refused("run", file, "--engine", "local", "--summary", file / "s.json")


def test_what_is_looked_at_before_a_run_is_left_as_it_is(tmp_path: Path):
    kept = tmp_path / "s.json"
    kept.write_text("kept")
    refused("run", ticks(tmp_path), "--engine", "local", "--summary", kept, "--record", tmp_path)
    assert kept.read_text() == "kept"
    refused("run", ticks(tmp_path, use="hostile_nodes:CannotOpen"), "--engine", "local", "--record", tmp_path / "new.mcap")
    assert not (tmp_path / "new.mcap").exists()


# -- recordings ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", [b"", b"not a recording", b"\x89MCAP0\r\n", b"\x89MCAP0\r\n" + bytes(300), bytes(range(256)) * 9]
)
def test_a_file_that_is_no_recording(tmp_path: Path, data: bytes):
    bad = tmp_path / "bad.mcap"
    bad.write_bytes(data)
    file = ticks(tmp_path)
    for words in (["run", file, "--engine", "local", "--source", f"ticks={bad}"], ["check", file, "--source", f"ticks={bad}"]):
        assert "bad.mcap" in refused(*words)
    assert "bad.mcap" in refused("replay", bad, file)
    assert "none.mcap" in refused("replay", tmp_path / "none.mcap", file)


def test_a_cut_recording_plays_as_far_as_it_goes(tmp_path: Path):
    whole = recorded(tmp_path / "w.mcap", "ticks.out", [(i * 40 * MS, Event("tick", {"i": i})) for i in range(100)])
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    file = ticks(tmp_path)
    for layout in ("one", "each"):
        ended = omnistream("replay", cut, file, "--layout", layout)
        assert ended.code == 0, ended.err
        assert "breaks off" in ended.err
        assert 10 < ended.summary["outputs"]["show"] < 100
        assert ended.summary["ledger"] == {"recording_broken": 1}
    ended = omnistream("run", file, "--engine", "local", "--source", f"ticks={cut}", "--for", "1s")
    assert ended.code == 0
    assert ended.summary["ledger"]["recording_broken"] == 1


def test_damage_in_the_middle_is_told_and_never_a_traceback(tmp_path: Path):
    rng = np.random.default_rng(1)
    events = [(i * 40 * MS, Event("tick", {"i": i, "noise": rng.bytes(40).hex()})) for i in range(100)]
    whole = recorded(tmp_path / "w.mcap", "ticks.out", events).read_bytes()
    file, bad = ticks(tmp_path), tmp_path / "bad.mcap"
    for _ in range(12):
        data = bytearray(whole)
        at = int(rng.integers(8, len(data) - 60))
        data[at : at + 40] = rng.bytes(40)
        bad.write_bytes(data)
        ended = omnistream("replay", bad, file)
        assert ended.code in (0, 2)
        assert "Traceback" not in ended.err
        if ended.code == 0 and ended.summary["outputs"]["show"] < 100:
            assert {"recording_broken", "recording_damaged"} & ended.summary["ledger"].keys()


def test_a_recording_that_does_not_fit_the_graph(tmp_path: Path):
    events = recorded(tmp_path / "e.mcap", "button.out", [(i * MS, Event("b")) for i in range(1, 9)])
    seen = commands.graph(tmp_path, CAMERA)
    assert "VideoFrame" in refused("run", seen, "--engine", "local", "--source", f"camera={events}")
    assert "no stream" in refused("replay", events, seen)
    assert "no stream" in refused("check", seen, "--source", f"camera={events}")


def test_the_stream_of_a_fitting_type_is_found_though_there_are_others(tmp_path: Path):
    path = tmp_path / "two.mcap"
    with RecordingWriter(path, start_ns=0) as writer:
        for i in range(1, 9):
            writer.write("eye", RecordedMessage(i * 40 * MS, None, VideoFrame(np.zeros((4, 4, 3), np.uint8))))
            writer.write("button", RecordedMessage(i * 40 * MS, None, Event("b")))
    ended = omnistream("replay", path, commands.graph(tmp_path, CAMERA))
    assert ended.code == 0, ended.err
    assert ended.summary["outputs"] == {"show": 8}


def test_a_recording_is_not_recorded_over(tmp_path: Path):
    path = recorded(tmp_path / "e.mcap", "ticks.out", [(i * MS, Event("b")) for i in range(1, 9)])
    before = path.read_bytes()
    said = refused("run", ticks(tmp_path), "--engine", "local", "--source", f"ticks={path}", "--record", path)
    assert "another" in said
    assert path.read_bytes() == before


def test_frames_of_changing_size_go_through(tmp_path: Path):
    rng = np.random.default_rng(2)
    shapes = [(64, 48, 3), (32, 32, 3), (1, 1, 3), (480, 640, 3), (64, 48, 3), (48, 64)]
    frames = [(i * 66 * MS, VideoFrame(rng.integers(0, 255, shapes[i % 6], np.uint8))) for i in range(1, 19)]
    path = recorded(tmp_path / "f.mcap", "camera", frames)
    digests = {
        omnistream("replay", path, commands.graph(tmp_path, CAMERA), "--layout", layout).summary["digest"]
        for layout in ("one", "each")
    }
    assert len(digests) == 1


def test_hands_are_sought_in_frames_of_changing_size(tmp_path: Path):
    pytest.importorskip("ai_edge_litert")
    from omnistream_models import is_cached

    if not (is_cached("palm_detection_lite") and is_cached("hand_landmark_lite")):
        pytest.skip("the models are not here yet")
    rng = np.random.default_rng(3)
    shapes = [(64, 48, 3), (1, 1, 3), (240, 320, 3), (2, 600, 3), (48, 64)]
    frames = [(i * 66 * MS, VideoFrame(rng.integers(0, 255, shapes[i % 5], np.uint8))) for i in range(1, 11)]
    path = recorded(tmp_path / "f.mcap", "camera", frames)
    text = CAMERA.replace("  show:", "  hands: {use: hand_gesture, inputs: {frame: camera}}\n  show:")
    ended = omnistream("replay", path, commands.graph(tmp_path, text.replace("message: camera", "message: hands")))
    assert ended.code == 0
    assert ended.summary["nodes"]["hands"]["in"] == 10
    assert "Traceback" not in ended.err


def test_audio_of_another_rate_is_told_and_left_out(tmp_path: Path):
    from omnistream_models import is_cached

    if not is_cached("silero_vad"):
        pytest.skip("the models are not here yet")
    chunks = [
        (i * 20 * MS, AudioChunk(np.zeros(rate // 50, np.int16), rate)) for i, rate in enumerate([16000, 44100, 8000] * 9, 1)
    ]
    path = recorded(tmp_path / "a.mcap", "mic", chunks)
    text = MICROPHONE.replace("  show:", "  voice: {use: voice_activity, inputs: {audio: mic}}\n  show:")
    ended = omnistream("replay", path, commands.graph(tmp_path, text.replace("message: mic", "message: voice")))
    assert ended.code == 0, ended.err
    assert ended.summary["ledger"].get("audio_rate"), ended.summary["ledger"]
    assert "error" not in ended.summary["ledger"]


# -- devices ---------------------------------------------------------------------------------------


def test_devices_that_are_not_there(tmp_path: Path):
    assert "/dev/video9" in refused("run", commands.graph(tmp_path, CAMERA), "--engine", "local")
    assert "/dev/video8" in refused(
        "run", commands.graph(tmp_path, CAMERA), "--engine", "local", "--source", "camera=/dev/video8"
    )
    assert "alsa:nosuch" in refused("run", commands.graph(tmp_path, MICROPHONE), "--engine", "local")


def test_a_port_that_is_taken(tmp_path: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert str(port) in refused("run", commands.graph(tmp_path, COMMANDS.format(port=port)), "--engine", "local")
        text = ROBOT.format(port=port, typed=free_port(), simulated="true")
        assert str(port) in refused("run", commands.graph(tmp_path, text), "--engine", "local")


def test_a_real_robot_is_not_moved_without_arm(tmp_path: Path):
    file = commands.graph(tmp_path, ROBOT.format(port=free_port(), typed=free_port(), simulated="false"))
    assert "--arm" in refused("run", file, "--engine", "local")
    armed = omnistream("run", file, "--engine", "local", "--arm", "--for", "300ms")
    assert armed.code == 0
    assert armed.summary["ledger"]["no_client"] > 0


# -- nodes that fail -------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["one", "each"])
def test_a_step_that_raises_is_in_the_ledger_and_the_graph_goes_on(tmp_path: Path, layout: str):
    file = ticks(tmp_path, use="hostile_nodes:RaisesThird", rate=20, count=9)
    ended = omnistream("run", file, "--engine", "local", "--layout", layout)
    assert ended.code == 0
    nodes = ended.summary["nodes"]
    assert nodes["same"]["in"] - nodes["same"]["out"] == nodes["ticks"]["out"] // 3
    assert ended.summary["outputs"]["show"] == nodes["same"]["out"]
    assert ended.summary["ledger"]["error"] >= nodes["ticks"]["out"] // 3


def test_what_is_no_payload_is_the_fault_of_the_node_that_gave_it(tmp_path: Path):
    ended = omnistream("run", ticks(tmp_path, use="hostile_nodes:NoPayload"), "--engine", "local")
    assert ended.code == 0
    assert ended.summary["nodes"]["show"]["in"] == 0
    assert ended.summary["ledger"]["error"] >= ended.summary["nodes"]["same"]["in"] > 0


def test_a_source_that_breaks_ends_with_a_row(tmp_path: Path):
    text = 'graph: b\nnodes:\n  b: {use: "hostile_nodes:Breaks"}\n  show: {use: console, inputs: {message: b}}\n'
    ended = omnistream("run", commands.graph(tmp_path, text), "--engine", "local")
    assert ended.code == 0
    assert ended.summary["ledger"] == {"error": 1}
    assert ended.summary["outputs"] == {"show": 1}


@pytest.mark.parametrize("layout", ["one", "each"])
def test_a_node_that_cannot_open_ends_the_run_and_the_others_are_closed(tmp_path: Path, layout: str):
    kept = tmp_path / "kept"
    text = f"""graph: stuck
nodes:
  ticks: {{use: tick}}
  first: {{use: "hostile_nodes:Closes", with: {{path: "{kept}"}}, inputs: {{message: ticks}}}}
  stuck: {{use: "hostile_nodes:CannotOpen", inputs: {{message: ticks}}}}
  show: {{use: console, inputs: {{message: stuck}}}}
"""
    said = refused("run", commands.graph(tmp_path, text), "--engine", "local", "--layout", layout)
    assert "stuck" in said
    assert "no such thing (hostile_nodes.py:" in said
    assert kept.read_text() == "closed"


# -- the network -----------------------------------------------------------------------------------


@contextlib.contextmanager
def impostor(kind: str) -> Generator[int]:
    """What is no broker: it hangs up, it says nothing, it sends garbage, or it is not there. Its port."""
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    server.settimeout(0.1)
    over = threading.Event()
    held: list[socket.socket] = []

    def serve() -> None:
        while not over.is_set():
            with contextlib.suppress(OSError):
                client, _ = server.accept()
                if kind == "hangs up":
                    client.close()
                    continue
                held.append(client)
                if kind == "garbage":
                    client.sendall(bytes(range(256)) * 100)

    thread = threading.Thread(target=serve)
    if kind == "absent":
        server.close()
    else:
        thread.start()
    try:
        yield port
    finally:
        over.set()
        if thread.ident:
            thread.join()
        for s in (server, *held):
            s.close()


@pytest.mark.parametrize("kind", ["absent", "hangs up", "garbage", "says nothing"])
def test_a_broker_that_is_none(tmp_path: Path, kind: str):
    with impostor(kind) as port:
        ended = omnistream("run", commands.graph(tmp_path, GLASSES.format(port=port)), "--engine", "local", "--for", "6s")
    assert "Traceback" not in ended.err
    if ended.code == 2:
        assert f"127.0.0.1:{port}" in ended.err
    else:
        assert ended.code == 0
        assert ended.summary["ledger"]


def _attack(port: int, over: threading.Event) -> None:
    """Bytes that are no ZeroMQ, then frames that are nothing of ours: small, large, many parts, and a flood."""
    rng = np.random.default_rng(port)
    with contextlib.suppress(OSError):
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", port), 1) as raw:
                raw.sendall(rng.bytes(500))
    context = zmq.Context()
    dealer = context.socket(zmq.DEALER)
    dealer.setsockopt(zmq.LINGER, 0)
    dealer.setsockopt(zmq.SNDTIMEO, 50)
    dealer.connect(f"tcp://127.0.0.1:{port}")
    frames = [
        [b""],
        [b"\xc1" * 10],
        [b"{" * 5000],
        [rng.bytes(300)],
        [b"a", b"b"],
        [b"x"] * 50,
        [b"\xdf\xff\xff\xff\xff"],
        [bytes(1 << 20)],
    ]
    while not over.is_set():
        for parts in frames:
            with contextlib.suppress(zmq.Again):
                dealer.send_multipart(parts)
        time.sleep(0.0005)
    context.destroy(linger=0)


def test_garbage_and_floods_on_every_socket(tmp_path: Path):
    ports = free_port(), free_port()
    file = commands.graph(tmp_path, ROBOT.format(port=ports[0], typed=ports[1], simulated="true"))
    over = threading.Event()
    attackers = [threading.Thread(target=_attack, args=(port, over)) for port in ports]
    for thread in attackers:
        thread.start()
    try:
        ended = omnistream("run", file, "--engine", "local", "--for", "2s")
    finally:
        over.set()
        for thread in attackers:
            thread.join()
    assert ended.code == 0, ended.err
    assert "Traceback" not in ended.err
    assert ended.summary["ledger"]["garbage"] > 0
    assert ended.summary["nodes"]["ticks"]["out"] > 10
    assert ended.summary["stopped_by"] == "time"
    assert ended.summary["duration_s"] < 10
