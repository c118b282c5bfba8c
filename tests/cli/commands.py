"""The command line as a user has it: in this process where it only ends, in one of its own where it is sent signals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from omnistream.cli.main import app

TICKS = """graph: ticks
nodes:
  ticks: {{use: tick, with: {{rate_hz: {rate}, count: {count}}}}}
  same: {{use: "{use}", inputs: {{message: ticks}}}}
  show: {{use: console, inputs: {{message: same}}}}
"""


def ticks(folder: Path, *, rate: float = 100, count: int = 10, use: str = "passthrough") -> Path:
    """A graph of ticks through one node to the console."""
    return graph(folder, TICKS.format(rate=rate, count=count, use=use))


def graph(folder: Path, text: str, name: str = "graph.yaml") -> Path:
    file = folder / name
    file.write_text(text)
    return file


@dataclass(slots=True)
class Ended:
    """How a command ended, and the summary it wrote if it was asked for one."""

    code: int
    out: str
    err: str
    summary: dict[str, Any]


def omnistream(*words: object) -> Ended:
    """Run a command in this process. What it raises is raised."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "summary.json")
        args = [str(w) for w in words]
        if args[0] in ("run", "replay") and "--summary" not in args:
            args += ["--summary", str(file)]
        result = CliRunner().invoke(app, args)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        summary = json.loads(file.read_text()) if file.exists() else {}
    return Ended(result.exit_code, result.stdout, result.stderr, summary)


def refused(*words: object) -> str:
    """The one sentence or so with which a command is refused: on stderr, no traceback, exit code 2."""
    ended = omnistream(*words)
    assert ended.code == 2, (ended.code, ended.out, ended.err)
    assert "Traceback" not in ended.err
    assert ended.err.strip()
    assert len(ended.err.strip().splitlines()) <= 2, ended.err
    return ended.err


def start(*words: object) -> subprocess.Popen[str]:
    """A command in a process of its own. A closed terminal ends it, though these tests may have been told to outlive theirs."""
    args = [sys.executable, "-m", "omnistream.cli.main", *map(str, words)]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=_mortal
    )


def _mortal() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def left_behind(pid: int) -> list[Path]:
    """Directories that a run of this process has not removed."""
    found: list[Path] = []
    for path in Path(tempfile.gettempdir()).glob("omnistream-*"):
        try:
            if (path / "owner").read_text() == str(pid):
                found.append(path)
        except OSError:
            continue
    return found
