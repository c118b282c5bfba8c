"""`omnistream.testing.replay`: a recording through a graph as a test, and as pytest's fixture."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from omnistream.errors import GraphError, RecordingError
from omnistream.message import MS, Text
from omnistream.record import RecordedMessage, RecordingWriter
from omnistream.testing import replay

GRAPH = """graph: words
nodes:
  typed: {use: console_commands}
  same: {use: passthrough, inputs: {message: typed}}
  shown: {use: console, inputs: {message: same}}
  also: {use: console, inputs: {message: typed}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "words.yaml").write_text(GRAPH)
    with RecordingWriter(tmp_path / "words.mcap", start_ns=0) as writer:
        for i in range(1, 11):
            writer.write("typed.out", RecordedMessage(i * 100 * MS, None, Text(f"word {i}")))
    return tmp_path


def test_it_has_what_each_sink_was_given(folder: Path) -> None:
    found = replay(folder / "words.mcap", folder / "words.yaml", from_="150ms", to="0.4s")
    assert {where: [m.payload.text for m in messages] for where, messages in found.outputs.items()} == {
        "shown.message": ["word 2", "word 3"],
        "also.message": ["word 2", "word 3"],
    }
    assert found.outputs["shown.message"][0].lineage == {"typed.out": 200 * MS}
    assert found.ledger == {}
    assert found.expect(found.digest) is found
    with pytest.raises(AssertionError, match="and 0123 was expected"):
        found.expect("0123")


async def test_an_async_test_may_call_it(folder: Path) -> None:
    first = replay(folder / "words.mcap", folder / "words.yaml")
    assert replay(folder / "words.mcap", folder / "words.yaml").digest == first.digest


def test_what_is_wrong_is_told(folder: Path) -> None:
    with pytest.raises(RecordingError, match=r"none\.mcap cannot be opened"):
        replay(folder / "none.mcap", folder / "words.yaml")
    with pytest.raises(GraphError, match="no part of a recording"):
        replay(folder / "words.mcap", folder / "words.yaml", from_="2s", to="1s")
    with pytest.raises(RecordingError, match="holds no journal"):
        replay(folder / "words.mcap", folder / "words.yaml", as_recorded=True)
    with pytest.raises(RecordingError, match="make it with --write-golden"):
        replay(folder / "words.mcap", folder / "words.yaml").golden(folder / "none.jsonl")


def test_as_a_fixture_files_lie_beside_the_test_and_pytest_writes_golden_files(folder: Path) -> None:
    inner = folder / "inner"
    inner.mkdir()
    for name in ("words.mcap", "words.yaml"):
        (folder / name).rename(inner / name)
    (folder / "conftest.py").write_text('pytest_plugins = ["omnistream.pytest_plugin"]\n')
    (inner / "test_words.py").write_text(
        'def test_words(replay):\n    replay("words.mcap", "words.yaml", to="500ms").golden("words.jsonl")\n'
    )

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pytest", "-q", *words]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)

    missing = run()
    assert missing.returncode == 1
    assert "make it with --write-golden" in missing.stdout
    assert run("--write-golden").returncode == 0
    assert len((inner / "words.jsonl").read_text().splitlines()) == 9
    assert run().returncode == 0


def test_it_needs_no_pytest() -> None:
    code = "import sys; sys.modules['pytest'] = None; from omnistream.testing import replay; print(replay.__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "replay\n"
