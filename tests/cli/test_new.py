from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from omnistream.cli.check import check
from omnistream.cli.new import new

app = typer.Typer()
app.add_typer(new, name="new")
app.command()(check)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def test_what_it_writes_works_passes_its_test_and_is_clean(folder: Path) -> None:
    done = CliRunner().invoke(app, ["new", "node", "color_tracker"])
    assert done.exit_code == 0
    assert done.stdout.splitlines()[:3] == ["wrote color_tracker.py", "wrote test_color_tracker.py", "wrote color_tracker.yaml"]
    tested = subprocess.run([sys.executable, "-m", "pytest", "-q"], capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "2 passed" in tested.stdout
    rules = ["--isolated", "--line-length", "128", "--select", "E,F,I,B,UP"]
    clean = subprocess.run([sys.executable, "-m", "ruff", "check", *rules, "."], check=False)
    assert clean.returncode == 0
    checked = CliRunner().invoke(app, ["check", "color_tracker.yaml"])
    assert checked.exit_code == 0, checked.stderr
    assert "ok color_tracker.yaml" in checked.stdout


def test_nothing_is_overwritten(folder: Path) -> None:
    (folder / "test_x_y.py").write_text("mine")
    done = CliRunner().invoke(app, ["new", "node", "x_y"])
    assert done.exit_code == 2
    assert done.stderr == "test_x_y.py would be overwritten; choose another name, or move what is there\n"
    assert [p.name for p in folder.iterdir()] == ["test_x_y.py"]
    assert (folder / "test_x_y.py").read_text() == "mine"


@pytest.mark.parametrize("name", ["Color", "1a", "a-b", "", "class", "a.b", "../x", "a__b", "a" * 60, "ä"])
def test_a_name_that_is_none(folder: Path, name: str) -> None:
    done = CliRunner().invoke(app, ["new", "node", name])
    assert done.exit_code == 2
    assert "is no name for a node; write it in snake_case" in done.stderr
    assert not list(folder.iterdir())


@pytest.mark.parametrize("name", ["json", "numpy", "omnistream", "shown", "typed"])
def test_a_name_that_is_taken(folder: Path, name: str) -> None:
    done = CliRunner().invoke(app, ["new", "node", name])
    assert done.exit_code == 2
    assert done.stderr == f"'{name}' is the name of something else already; choose another, such as my_{name}\n"
    assert not list(folder.iterdir())
