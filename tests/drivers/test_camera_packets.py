"""What a camera's frames were decoded from: the law, with real cameras and files, and runs that are recorded and had again."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from film import Film
from typer.testing import CliRunner

from omnistream.cli.main import app
from omnistream.clock import SystemClock
from omnistream.coded import Coded, Decoder, Pixels
from omnistream.node import Context
from omnistream.record.packets import BETWEEN
from omnistream.record.reader import Recording
from omnistream.testing import context
from omnistream_drivers import _pictures
from omnistream_drivers._pictures import Pictures
from omnistream_drivers.camera import Camera

HERE = Path(__file__).parent
SYSTEM_PYTHON = "/usr/bin/python3"


def decoded_again(coded: Coded) -> np.ndarray:
    """The law."""
    from av.error import FFmpegError

    assert coded.group is not None
    decoder, frames = Decoder(coded.group.codec), []
    for data in coded.group.packets[: coded.at + 1]:
        try:
            frames = decoder.decode(data)
        except FFmpegError:
            frames = []
    (frame,) = frames
    return Pixels().of(frame, coded.look)


def check(emits: list[Any]) -> None:
    assert emits
    for emit in emits:
        assert np.array_equal(decoded_again(emit.coded), emit.payload.image)


def begun() -> Context:
    """The context of a live run that begins now."""
    clock = SystemClock()
    return context("device", clock=clock, start_ns=clock.now())


@pytest.mark.parametrize("options", [{}, {"width": 200}, {"width": 99, "height": 71}])
async def test_a_file_without_b_frames(options: dict[str, int], clips: Path, live: Context, gather: Any) -> None:
    emits = await gather(Camera(device=str(clips / "bigbuckbunny.mp4"), **options), live, n=12)
    check(emits)
    assert {e.coded.group.codec for e in emits} == {"h264"}


async def test_between_key_frames_no_more_is_held_than_is_said(live: Context, gather: Any, tmp_path: Path, monkeypatch: Any):
    monkeypatch.setattr(_pictures, "_MOST_BYTES", 100_000)
    film = Film("h264", 1, (160, 120), most=1000)
    (tmp_path / "clip.h264").write_bytes(b"".join(film.packet()[1] for _ in range(20)))
    emits = await gather(Camera(device=str(tmp_path / "clip.h264")), live)
    check([e for e in emits if e.coded.group is not None])
    assert {e.coded.why for e in emits} == {"", "it sends too much between two key frames"}


@pytest.mark.parametrize("turn", [90, 180])
async def test_a_picture_that_lies_on_its_side(turn: int, clips: Path, live: Context, gather: Any, ffmpeg: Any, tmp_path: Path):
    flat, turned = tmp_path / "flat.mp4", tmp_path / "turned.mp4"
    ffmpeg("-i", clips / "bikes.mp4", "-frames:v", "20", "-an", "-c:v", "libx264", "-bf", "0", "-g", "8", flat)
    ffmpeg("-i", flat, "-c", "copy", "-metadata:s:v:0", f"rotate={turn}", turned)
    emits = await gather(Camera(device=str(turned)), live, n=10)
    check(emits)
    height, width = (272, 640) if turn == 180 else (640, 272)
    assert {e.payload.image.shape for e in emits} == {(height, width, 3)}
    assert {e.coded.look.turns for e in emits} == {turn // 90}


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("-c:v", "libx264", "-bf", "2"), "it sends B-frames"),
        (("-c:v", "mpeg4"), "a recording has no place for mpeg4"),
        (("-c:v", "rawvideo"), None),
    ],
)
async def test_what_cannot_be_kept_says_why(
    words: tuple[str, ...], why: str | None, clips: Path, live: Context, gather: Any, ffmpeg: Any, tmp_path: Path
) -> None:
    clip = tmp_path / "clip.mkv"
    ffmpeg("-i", clips / "bikes.mp4", "-frames:v", "12", "-s", "160x68", "-an", *words, clip)
    emits = await gather(Camera(device=str(clip)), live)
    assert {None if e.coded is None else e.coded.why for e in emits} == {why}
    assert all(e.coded is None or e.coded.group is None for e in emits)


def test_b_frames_that_come_later(clips: Path, ffmpeg: Any, tmp_path: Path) -> None:
    film = Film("h264", 1, (160, 68))
    plain, later = tmp_path / "plain.h264", tmp_path / "later.h264"
    plain.write_bytes(b"".join(film.packet()[1] for _ in range(20)))
    ffmpeg("-i", clips / "bikes.mp4", "-frames:v", "40", "-s", "160x68", "-c:v", "libx264", "-bf", "2", "-g", "20", later)
    with av.open(str(plain)) as first, av.open(str(later)) as second:
        pictures = Pictures(first.streams.video[0], 1, itertools.count())
        found = [[p for packet in c.demux(video=0) for p in pictures.decode(packet)] for c in (first, second)]
    assert {p.why for p in found[0]} == {""}
    assert {p.why for p in found[1][3:]} == {"it sends B-frames"}
    assert len(found[1]) > 30, "but for what the decoder holds back"
    with av.open(str(later)) as whole:
        shown = [f.to_ndarray() for f in whole.decode(video=0)]
    places = [next(i for i, s in enumerate(shown) if np.array_equal(p.frame.to_ndarray(), s)) for p in found[1][-20:]]
    assert places == sorted(set(places)), "in the order in which they are shown"


async def test_hevc_and_a_stream_that_begins_between_key_frames(gather: Any, tmp_path: Path) -> None:
    film = Film("h265", 1, (160, 120), most=6)
    packets = [film.packet() for _ in range(30)]
    first = next(i for i, (key, _) in enumerate(packets) if i and not key)
    (tmp_path / "whole.hevc").write_bytes(b"".join(data for _, data in packets))
    (tmp_path / "part.hevc").write_bytes(b"".join(data for _, data in packets[first:]))
    whole, part = [await gather(Camera(device=str(tmp_path / n)), begun()) for n in ("whole.hevc", "part.hevc")]
    check(whole)
    check([e for e in part if e.coded.group is not None])
    assert {e.coded.group.codec for e in whole} == {"h265"}
    assert any(e.coded.group is not None for e in part)


@pytest.mark.parametrize("codec", ["h264", "jpeg"])
async def test_after_damage_pixels_are_kept_up_to_the_next_key_frame(codec: str, gather: Any, tmp_path: Path) -> None:
    film = Film(codec, 5, (160, 120), most=9)
    clip = tmp_path / f"clip.{codec if codec == 'h264' else 'mjpeg'}"
    with clip.open("wb") as file:
        for i in range(40):
            _, data = film.packet()
            file.write(data[: len(data) // 3] if i % 8 == 5 else data)
    emits = await gather(Camera(device=str(clip)), begun())
    check([e for e in emits if e.coded.group is not None])
    whys = {e.coded.why for e in emits}
    assert whys <= {"", "packets of it were damaged"}
    assert len(whys) == 2 or codec == "jpeg"


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Frames of H.264 whose parameter sets are with the first one only, as cameras tell them before they begin."""
    film, told = Film("h264", 5, (160, 120), most=25), b""
    path = tmp_path / "film"
    with path.open("wb") as file:
        for _ in range(150):
            key, data = film.packet()
            if key:
                sets, slices = data[: data.index(b"\0\0\1\x65")], data[data.index(b"\0\0\1\x65") :]
                data, told = (data, sets) if not told else (b"\0" + slices, told)
            file.write(len(data).to_bytes(4, "big") + data)
    return path


def lines_of(text: str, folder: Path, enough: int, *words: str) -> dict[str, Any]:
    """Run a graph until its console has said so much, then stop it. Its summary."""
    (folder / "graph.yaml").write_text(text)
    run = omnistream("run", folder / "graph.yaml", "--record", folder / "r.mcap", "--summary", folder / "live.json", *words)
    assert run.stdout is not None
    said = ""
    while enough and (line := run.stdout.readline()):
        said += line
        enough -= "saw " in line
    run.send_signal(signal.SIGINT)
    rest, errors = run.communicate(timeout=60)
    assert run.returncode == 0, said + rest + errors
    return json.loads((folder / "live.json").read_text()) | {"said": said + rest + errors}


def omnistream(*words: object) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(HERE)}
    command = [sys.executable, "-m", "omnistream.cli.main", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def replayed(folder: Path, *words: str) -> dict[str, Any]:
    command = ["replay", folder / "r.mcap", folder / "graph.yaml", "--summary", folder / "again.json", *words]
    ended = CliRunner().invoke(app, [str(w) for w in command])
    assert ended.exit_code == 0, ended.output
    return json.loads((folder / "again.json").read_text())


def graph(device: str, more: str = "") -> str:
    return f"""graph: watch
nodes:
  camera: {{use: camera, with: {{device: "{device}"{more}}}}}
  looks: {{use: "camera_nodes:Looks", inputs: {{frame: {{from: camera, queue: {{block: 1}}}}}}}}
  show: {{use: console, inputs: {{message: looks}}}}
"""


def had_again(folder: Path, live: dict[str, Any], kept: str) -> tuple[int, int]:
    """The run as recorded, and fresh. How many frames were seen, and how many packets are there beside them."""
    assert replayed(folder, "--as-recorded")["digest"] == live["digest"]
    assert replayed(folder, "--engine", "local")["digest"]
    with Recording(folder / "r.mcap") as file:
        assert file.kept("camera.out") == kept
        beside = sum(BETWEEN in c.metadata for c, _ in file.records(["camera.out"]))
        return file.count("camera.out", 1 << 62), beside


def test_a_run_with_an_rtsp_camera_whose_frames_had_no_room(
    film: Path, port: int, spawn: Callable[..., Any], tmp_path: Path
) -> None:
    probe = "import gi; gi.require_version('GstRtspServer', '1.0')"
    found = Path(SYSTEM_PYTHON).exists()
    if not found or subprocess.run([SYSTEM_PYTHON, "-c", probe], capture_output=True, check=False).returncode:
        pytest.skip("needs apt-get install python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good")
    words = (SYSTEM_PYTHON, str(HERE / "rtsp_camera.py"), str(port), "0", str(film))
    server = spawn(*words, stdout=subprocess.PIPE, env={"PATH": "/usr/bin:/bin"})
    assert server.stdout.readline() == b"ready\n"
    live = lines_of(graph(f"rtsp://127.0.0.1:{port}/camera", ", fps: 8"), tmp_path, 10, "--engine", "local")
    frames, beside = had_again(tmp_path, live, "h264 as received")
    assert frames >= 10
    assert beside, "packets of frames that had no room"
    assert "h264 as received" in CliRunner().invoke(app, ["record", "info", str(tmp_path / "r.mcap")]).output


def test_a_run_with_an_mjpeg_camera(clips: Path, port: int, spawn: Callable[..., Any], tmp_path: Path) -> None:
    serve = ["-c:v", "mjpeg", "-f", "mpjpeg", "-listen", "1", f"http://127.0.0.1:{port}/stream.mjpg"]
    spawn("ffmpeg", "-v", "error", "-nostdin", "-re", "-i", str(clips / "bikes.mp4"), *serve)
    text = graph(f"http://127.0.0.1:{port}/stream.mjpg", ", width: 320")
    live = lines_of(text, tmp_path, 8, "--engine", "local")
    frames, beside = had_again(tmp_path, live, "jpeg as received")
    assert frames >= 8
    assert beside == 0, "of JPEGs none depends on another"


@pytest.mark.ray
def test_a_run_on_ray_with_a_file_that_is_played_as_a_camera(clips: Path, ffmpeg: Any, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    ffmpeg("-i", clips / "bikes.mp4", "-s", "160x68", "-an", "-c:v", "libx264", "-bf", "0", "-g", "30", clip)
    live = lines_of(graph(str(clip)), tmp_path, 8, "--engine", "ray")
    frames, beside = had_again(tmp_path, live, "h264 as received")
    assert frames >= 8
    assert beside, "packets of frames that had no room"
