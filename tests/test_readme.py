"""What README.md tells a stranger to write and type is true: its node, graph and client run, and its commands exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from processes import free_port

from omnistream.cli.main import app
from omnistream.message import MS, SECOND, Text
from omnistream.node import ports_of
from omnistream.record import RecordedMessage, RecordingWriter

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
OMNISTREAM = [sys.executable, "-m", "omnistream.cli.main"]

MOVES = """
from dataclasses import dataclass
from collections.abc import AsyncIterator
from omnistream import Context, Source
from omnistream.message import MS, Action

@dataclass(kw_only=True)
class Moves(Source):
    is_device = False

    async def run(self, ctx: Context) -> AsyncIterator[Action]:
        while True:
            await ctx.clock.sleep_until(ctx.clock.now() + 100 * MS)
            yield Action("velocity", ctx.clock.now() + 500 * MS, {"x_mps": 0.1})
"""


def fences(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[list[str]]:
    """Each line of a console block, and each command in backquotes, without its comment."""
    lines = [line for block in fences("console") for line in block.splitlines()] + re.findall(r"`([^`\n]+)`", README)
    words = [shlex.split(line, comments=True) for line in lines if re.match(r"(make|omnistream|\S*python) \S", line)]
    return [w for w in words if w]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shout.py").write_text(fences("python")[0], encoding="utf-8")
    (tmp_path / "shout.yaml").write_text(fences("yaml")[0], encoding="utf-8")
    return tmp_path


def test_the_node_and_the_graph_have_ten_lines() -> None:
    assert len(fences("python")[0].splitlines()) == len(fences("yaml")[0].splitlines()) == 10


def test_the_node_is_a_node() -> None:
    names: dict[str, type] = {"__name__": "shout"}  # type: ignore[dict-item]
    sys.modules.setdefault("shout", type(sys)("shout"))
    try:
        exec(fences("python")[0], names)
        ports = ports_of(names["Shout"])
    finally:
        del sys.modules["shout"]
    assert list(ports.inputs) == ["text"]
    assert list(ports.outputs) == ["out"]


def test_the_graph_checks_and_runs(folder: Path) -> None:
    checked = subprocess.run([*OMNISTREAM, "check", "shout.yaml"], cwd=folder, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    ran = subprocess.run(
        [*OMNISTREAM, "run", "shout.yaml", "--engine", "local"],
        cwd=folder, input="go forward\nstop\n", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "GO FORWARD!!" in ran.stdout
    assert "STOP!!" in ran.stdout


def test_the_client_is_given_actions(tmp_path: Path) -> None:
    address = f"tcp://127.0.0.1:{free_port()}"
    (tmp_path / "moves.py").write_text(MOVES)
    (tmp_path / "moves.yaml").write_text(
        'graph: moves\nnodes:\n  m: {use: "moves:Moves"}\n'
        f'  robot: {{use: zmq_actions, inputs: {{action: m}}, with: {{bind: "{address}", simulated: true}}}}\n'
    )
    client = fences("python")[1]
    assert "tcp://127.0.0.1:5555" in client
    command = [sys.executable, "-c", client.replace("tcp://127.0.0.1:5555", address)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as robot:
        try:
            graph = [*OMNISTREAM, "run", "moves.yaml", "--engine", "local", "--for", "4s"]
            ran = subprocess.run(graph, cwd=tmp_path, capture_output=True, text=True, check=False)
        finally:
            robot.terminate()
        assert robot.stdout is not None
        said = robot.stdout.read()
    assert ran.returncode == 0, ran.stderr
    assert "velocity {'x_mps': 0.1}" in said
    assert said.splitlines()[-1].startswith("stop")


def test_a_recording_is_a_test_in_three_lines(tmp_path: Path) -> None:
    """The lines themselves: on a recording they pass, and fail when the graph has changed."""
    with RecordingWriter(tmp_path / "tuesday.mcap", start_ns=SECOND) as out:
        for i in range(1, 5):
            out.write("typed.out", RecordedMessage(SECOND + i * 100 * MS, None, Text(f"word {i}")))
    (tmp_path / "shout.py").write_text(fences("python")[0], encoding="utf-8")
    graph = tmp_path / "robot.yaml"
    graph.write_text(fences("yaml")[0], encoding="utf-8")
    lines = fences("python")[2]
    assert len([line for line in lines.splitlines() if line]) == 3
    (tmp_path / "test_tuesday.py").write_text(lines, encoding="utf-8")
    (keep,) = [words[1:] for words in commands() if "--write-golden" in words]

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", *words], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert run("omnistream.cli.main", *keep).returncode == 0
    passed = run("pytest", "-q")
    assert passed.returncode == 0, passed.stdout
    graph.write_text(graph.read_text().replace("!!", "!?"))
    failed = run("pytest", "-q")
    assert failed.returncode == 1
    assert "shown.message, message 1 at 0.100 s, is not as in tuesday.jsonl" in failed.stdout
    assert re.search(r"text +'WORD 1!!' +'WORD 1!\?'", failed.stdout)
    assert "led to by  typed.out up to 0.100 s" in failed.stdout


def test_its_commands_exist() -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    cli = typer.main.get_command(app)
    subcommands = cli.commands  # type: ignore[attr-defined]
    seen: set[str] = set()
    for program, *rest in commands():
        if program == "make":
            assert rest[0] in targets, rest
            seen.add(rest[0])
        elif program == "omnistream":
            if rest[0].startswith("-"):
                continue
            found = subcommands[rest[0]]
            if hasattr(found, "commands"):
                found = found.get_command(None, rest[1])
            known = {o for p in found.params for o in p.opts}
            assert {w for w in rest if w.startswith("--")} <= known, rest
            seen.add(rest[0])
        else:
            assert (ROOT / rest[0]).is_file(), rest
    assert {"run", "test", "replay", "check", "devices", "draw", "nodes", "new"} <= seen


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_no_page_names_a_file_that_is_not_there() -> None:
    """Paths of this repository in backquotes, with a folder before them."""
    path = re.compile(r"`((?:omnistream|nodes|drivers|graphs|launch|tests|docs)/[\w./-]+)`")
    named = [(page.name, name) for page in PAGES for name in path.findall(page.read_text("utf-8")) if "NAME" not in name]
    assert not [n for n in named if not (ROOT / n[1]).exists()]
