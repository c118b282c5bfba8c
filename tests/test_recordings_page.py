"""What docs/recordings.md tells people to type does what it says, typed as it stands there."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from omnistream.cli.main import app
from omnistream.graph.load import load_graph
from omnistream.message import MS, SECOND, Action, AudioChunk, Caption, RobotState, Transcript, VideoFrame
from omnistream.record import RecordedMessage, RecordingWriter

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "recordings.md").read_text(encoding="utf-8")
T0 = 1_800_000_000 * SECOND


def commands(*first: str) -> list[list[str]]:
    """The command lines of the page's console blocks that begin so."""
    blocks = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    lines = [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]
    return [words[1:] for words in lines if tuple(words[: len(first)]) == first]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the page speaks of: a recording of 21 s, others of it, and a directory of them."""
    rng = np.random.default_rng(1)
    with RecordingWriter(tmp_path / "live.mcap", start_ns=T0) as out:
        for i in range(1, 211):
            at = T0 + i * 100 * MS
            sound = AudioChunk(rng.integers(-900, 900, 1600, dtype=np.int16), 16000)
            out.write("mic.out", RecordedMessage(at, at - 100 * MS, sound, seq=i))
            if i % 2:
                picture = VideoFrame(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))
                out.write("camera.out", RecordedMessage(at, None, picture, seq=i))
                out.write("arm.out", RecordedMessage(at, None, RobotState({"arm.pos": i / 10}), seq=i))
                tap = {"tap": "yes"}
                out.write(
                    "drive.motion", RecordedMessage(at, None, Action("velocity", at + SECOND, {"x_mps": 0.1}), seq=i), tap
                )
            if not i % 50:
                heard = Transcript("go forward", True, i, 0, at - SECOND, at)
                out.write("speech.out", RecordedMessage(at, None, heard, seq=i), {"tap": "yes"})
                out.write("reason.caption", RecordedMessage(at, None, Caption(f"c{i}", "driving"), seq=i), {"tap": "yes"})
    shutil.copy(tmp_path / "live.mcap", tmp_path / "monday.mcap")
    for name in ("tuesday", "walk"):
        (tmp_path / name).mkdir()
        shutil.copy(tmp_path / "live.mcap", tmp_path / name / f"{name}_0.mcap")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_it_tells_of_recordings_can_be_typed(folder: Path) -> None:
    found = commands("omnistream", "record")
    assert len(found) >= 7
    for words in found:
        ended = CliRunner().invoke(app, words)
        assert ended.exit_code == 0, (words, ended.output)
    assert "go forward" in (folder / "film.vtt").read_text()
    assert "driving" in (folder / "film.vtt").read_text()
    features = (folder / "dataset" / "meta" / "info.json").read_text()
    assert '"action"' in features
    assert '"observation.state"' in features
    assert {"film.mp4", "sound.wav", "part.mcap"} <= {p.name for p in folder.iterdir()}


def test_the_graph_of_the_demo_records_what_is_exported() -> None:
    graph = load_graph(ROOT / "graphs" / "voice_robot.yaml")
    assert graph.record is not None
    streams = set(graph.record.streams)
    assert {f"{n.name}.{o}" for n in graph.nodes.values() if n.role == "source" for o in n.outputs} <= streams
    assert {"speech.out", "reason.caption", "drive.motion"} <= streams
    assert not graph.record.path


def test_the_streams_of_a_run_are_chosen_as_the_page_says() -> None:
    (text,) = re.findall(r"`--set '(record\.streams=[^']*)'`", PAGE)
    graph = load_graph(ROOT / "graphs" / "voice_robot.yaml", [text])
    assert graph.record is not None
    assert graph.record.streams == ("mic.out", "camera.out", "speech.out", "drive.motion")
