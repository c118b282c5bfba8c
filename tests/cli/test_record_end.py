"""Whatever becomes of its recording, a run gives its own account; and what it knew of itself comes into a file made later."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from commands import TICKS, graph, omnistream
from disk import disk

from omnistream.record.reader import Recording
from omnistream.record.writer import RecordingWriter


def beat(folder: Path, words: str = "count: 400") -> Path:
    return graph(folder, TICKS.format(rate=400, count=0, use="passthrough").replace("count: 0", words))


@pytest.fixture
def small_disk(tmp_path: Path):
    with disk(tmp_path / "disk", "16k") as there:
        yield there


def test_a_recording_that_fails_takes_no_summary_with_it_and_is_made_whole_later(
    tmp_path: Path, own_temp: Path, small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "falls.py").write_text(
        "from omnistream import Node\nfrom omnistream.message import Event\n\n\n"
        "class Falls(Node):\n    async def step(self, message: Event) -> Event:\n        raise ValueError('it does')\n"
    )
    falls = '  n: {use: "falls:Falls", inputs: {message: ticks}}\n  fallen: {use: console, inputs: {message: n}}\n'
    file = graph(tmp_path, beat(tmp_path).read_text() + falls)
    run = omnistream("run", file, "--engine", "local", "--record", small_disk / "r.mcap")
    assert run.code == 2
    assert "No space left" in run.err
    assert run.summary["outputs"] == {"show": 400, "fallen": 0}
    assert "digest  " in run.out
    (notice,) = run.summary["notices"]
    assert "the recording is not finished: " in notice
    assert "No space left" in notice
    assert "record recover" in caplog.text
    made = tmp_path / "made.mcap"
    assert omnistream("record", "recover", "--to", made).code == 0
    with Recording(made) as recording:
        assert recording.metadata["run"]["digest"] == run.summary["digest"]
        assert json.loads(recording.metadata["run"]["sinks"]).keys() == {"show", "fallen"}
        rows = json.loads(recording.attachments["ledger.json"])
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["reason"]] = counts.get(row["reason"], 0) + row["count"]
    assert counts == run.summary["ledger"]
    assert counts["error"] == 400
    assert omnistream("replay", made, file, "--as-recorded").code == 0


def test_what_was_commanded_cannot_break_the_end_of_a_run(tmp_path: Path) -> None:
    """A directory of pieces that is called as a file, and a recording whose truth is none."""
    file, pieces = beat(tmp_path, "count: 40"), tmp_path / "walk.mcap"
    assert omnistream("run", file, "--engine", "local", "--record", tmp_path / "r.mcap").code == 0
    pieces.mkdir()
    shutil.copy(tmp_path / "r.mcap", pieces)
    again = omnistream("run", file, "--engine", "local", "--source", f"ticks={pieces}", "--record", tmp_path / "again.mcap")
    assert again.code == 0, again.err
    assert again.summary["outputs"] == {"show": 40}
    odd = tmp_path / "odd.mcap"
    with Recording(tmp_path / "r.mcap") as whole, RecordingWriter(odd, start_ns=whole.start_ns) as writer:
        for message in whole.messages("ticks.out"):
            writer.write("ticks.out", message)
        writer.truth(whole.start_ns, {"text": "go"})
    told = omnistream("run", file, "--engine", "local", "--source", f"ticks={odd}")
    assert told.code == 0, told.err
    (notice,) = told.summary["notices"]
    assert "odd.mcap says was commanded cannot be read" in notice
