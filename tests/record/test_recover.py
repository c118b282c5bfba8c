"""What runs that are dead have left: all of it that can be is made files, whatever is wrong with the rest."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from recorder_world import World, about, contents
from typer.testing import CliRunner

from omnistream.cli.main import app
from omnistream.engine.rundir import sweep
from omnistream.link.segment import LINK_NAME
from omnistream.message import SECOND
from omnistream.record.reader import Recording
from omnistream.record.scribe import Scribe


@pytest.fixture
def own_temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Directories of runs here, and of nobody else's; memory, too."""
    assert tmp_path.exists(), "made before, elsewhere"
    with tempfile.TemporaryDirectory(prefix="t") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        monkeypatch.setattr("omnistream.engine.rundir._MEMORY", folder)
        yield Path(folder)


def dead(folder: Path, name: str) -> Path:
    there = folder / f"omnistream-{name}"
    there.mkdir()
    (there / "owner").write_text("1")
    return there


def left(folder: Path, name: str, path: Path, **keep: int) -> tuple[Path, World]:
    """A run that died together with its recorder."""
    run_dir = dead(folder, name)
    if keep:
        (run_dir / LINK_NAME).symlink_to(dead(folder, f"{name}-memory"))
        (run_dir / LINK_NAME / "home").symlink_to(run_dir)
        (run_dir / LINK_NAME / "segment").write_bytes(b"x")
    description = replace(about(path, **keep), run=name)
    description.leave(str(run_dir))
    world, scribe = World(run_dir), Scribe(str(run_dir), description, remove=True)
    for _ in range(60):
        world.step()
        scribe.turn()
    scribe.close()
    world.step()
    return run_dir, world


def recover(*words: object) -> tuple[int, str, str]:
    said = CliRunner().invoke(app, ["record", "recover", *map(str, words)])
    assert said.exception is None or isinstance(said.exception, SystemExit), said.exception
    return said.exit_code, said.stdout, said.stderr


def test_the_ring_of_a_black_box_is_written_though_all_are_dead(own_temp: Path, tmp_path: Path) -> None:
    run_dir, world = left(own_temp, "box", tmp_path / "a.mcap", box_ns=2 * SECOND)
    sweep()
    assert not (run_dir / LINK_NAME / "segment").exists(), "all else in memory goes"
    code, out, err = recover()
    assert code == 0, err
    (box,) = tmp_path.glob("a.*.mcap")
    assert f"messages in {box}" in out
    assert contents(box)["typed.out"][-1][2] == world.count
    with Recording(box) as file:
        assert json.loads(file.metadata["run"]["events"]) == ["the run died"]
    assert not list(own_temp.iterdir())


def test_what_cannot_be_recovered_keeps_nothing_else_from_it(own_temp: Path, tmp_path: Path) -> None:
    ours, _ = left(own_temp, "a", tmp_path / "a.mcap")
    (ours / "record.json").write_text("{}")
    taken, _ = left(own_temp, "b", tmp_path / "b.mcap")
    (tmp_path / "b.mcap").write_bytes(b"another")
    left(own_temp, "c", tmp_path / "c.mcap", box_ns=SECOND)
    left(own_temp, "d", tmp_path / "d.mcap")
    code, out, err = recover()
    assert code == 2
    assert f"{ours}/record.json does not say what was recorded" in err
    assert f"{tmp_path}/b.mcap is there already" in err
    assert "with --to FILE.mcap" in err
    assert out.count("recorded") == 2
    assert sorted(own_temp.iterdir()) == [ours, taken]
    assert (tmp_path / "b.mcap").read_bytes() == b"another"
    code, out, err = recover("--to", tmp_path / "e.mcap")
    assert code == 2
    assert "record.json does not say" in err
    assert f"messages in {tmp_path}/e-2.mcap" in out
    assert f"not recorded: 3.000 s of all streams: {tmp_path}/b.mcap is not there, or not this run's" in err
    assert list(own_temp.iterdir()) == [ours]
