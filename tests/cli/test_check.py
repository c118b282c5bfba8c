from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from omnistream.cli.check import check, edge_words
from omnistream.flow.config import PortConfig, Queue, WindowConfig
from omnistream.graph.host import Host
from omnistream.message import MS, SECOND

app = typer.Typer()
app.command()(check)

GRAPH = """\
graph: echo
workers: {w: {gpu: 1, threads: 2}}
nodes:
  typed: {use: console_commands}
  again: {use: passthrough, inputs: {message: typed}, on: w}
  shown: {use: console, inputs: {message: [again, typed]}}
  idle: {use: passthrough, inputs: {message: typed}}
"""


@pytest.fixture
def graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.chdir(tmp_path)
    Path("g.yaml").write_text(GRAPH)
    return "g.yaml"


def run(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(words))
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr


def test_a_sound_graph_is_shown_as_it_will_run(graph: str) -> None:
    code, out, err = run(graph)
    assert (code, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[0] == "echo: 4 nodes on 3 workers, budget 200ms"
    assert "typed console_commands source typed its own: a source, which no model may delay" in lines
    assert "again passthrough node w on: w" in lines
    assert "idle passthrough node typed rides along with typed, the only node it reads from" in lines
    assert "typed.out shown.message Text each block 64 20ms" in lines
    assert "again.out shown.message any payload each block 64 20ms" in lines
    assert "typed.out again.message Text each block 64 -" in lines
    assert "workers, on this host: " + str(Host.here()) in lines
    assert "w again shared - 2 as `threads` says" in lines
    assert "typed typed, idle shared - 1 no model: no step blocks" in lines
    assert "notice: worker 'w' asks for `gpu: 1`, and there is none here: it runs on the CPU" in lines
    assert "notice: nobody reads 'idle.out'" in lines
    assert lines[-1] == "ok g.yaml"


def test_quiet(graph: str) -> None:
    code, out, _ = run(graph, "-q")
    assert code == 0
    assert [line.split(":")[0] for line in out.splitlines()] == ["notice", "notice", "ok g.yaml"]


def test_flags_change_the_graph(graph: str) -> None:
    code, out, _ = run(graph, "--set", "budget=50ms", "--set", "nodes.again.on=v")
    assert code == 0
    assert "budget 50ms" in out
    assert "no node is `on: w`" in out


def test_a_mistake_is_a_sentence_on_stderr_and_exit_code_2(graph: str) -> None:
    Path(graph).write_text(GRAPH.replace("on: w", "onn: w").replace("[again, typed]", "agan"))
    code, out, err = run(graph)
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "g.yaml:5: nodes.again.onn: there is no such word in a node; did you mean 'on'?",
        "g.yaml:6: nodes.shown.inputs.message: there is no node 'agan'; did you mean 'again'?",
    ]


def test_labels_are_shown_as_written_and_told_of(graph: str) -> None:
    code, out, _ = run(graph, "--set", "workers.w.labels={site: '[edge]'}")
    assert code == 0
    assert out.count("site=[edge]") == 2
    assert "notice: worker 'w' asks for a host with site=[edge]: labels choose among the hosts of a Ray cluster" in out


def test_threads_and_cores_are_shown_as_the_flags_ask(graph: str) -> None:
    cores = int(Host.here().cpus)
    code, out, _ = run(graph, "--set", f"workers.w.threads={cores + 1}")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert code == 0
    assert f"w again shared - {cores + 1} as `threads` says" in lines
    assert any(
        line.startswith(
            f"notice: the workers ask for {cores + 1} inference threads (w {cores + 1}), and there are {cores} core"
        )
        for line in lines
    )
    code, out, _ = run(graph, "--set", "workers.w={cpu: 1}")
    assert code == 0
    assert "w again 1 - 1 no model: no step blocks" in [" ".join(line.split()) for line in out.splitlines()]
    code, _, err = run(graph, "--set", f"workers.w={{cpu: {cores + 1}}}")
    assert code == 2
    assert f"the workers ask for {cores + 1} CPU cores (w {cores + 1}), and there are {cores}" in err


def test_a_gpu_that_must_be_there(graph: str) -> None:
    code, _, err = run(graph, "--set", "workers.w.gpu_required=true")
    assert code == 2
    assert err == (
        "g.yaml:2: workers.w: the worker 'w' requires `gpu: 1`, and there is none here; "
        "run it where there is one, or delete `gpu_required`\n"
    )


def test_a_file_that_is_not_there(graph: str) -> None:
    code, _, err = run("no.yaml")
    assert (code, err) == (
        2,
        "no.yaml: there is no such file; write the path of a graph file, such as graphs/voice_robot.yaml\n",
    )


@pytest.mark.parametrize(
    ("port", "words"),
    [
        (PortConfig("a", "each", Queue("newest"), in_flight=2), ("each", "newest, in flight 2", "20ms")),
        (PortConfig("a", "each", Queue("block", 3), urgent=True, wait_ns=0), ("each urgent", "block 3", "0")),
        (
            PortConfig("a", "window", Queue("drop_oldest", 64), WindowConfig(size_ns=SECOND, hop_ns=SECOND), max_bytes=1 << 20),
            ("window 1s", "drop_oldest 64, 1MiB", "20ms"),
        ),
        (
            PortConfig("a", "window", Queue("block", 1), WindowConfig(size_ns=SECOND, hop_ns=250 * MS)),
            ("window 1s hop 250ms", "block 1", "20ms"),
        ),
        (
            PortConfig("a", "window", Queue("block", 1), WindowConfig(gap_ns=SECOND, end="final")),
            ("session gap 1s end final", "block 1", "20ms"),
        ),
        (
            PortConfig("a", "latest", Queue("block", 1), hold_ns=2 * SECOND, lag_ns=40 * MS, delay_ns=50 * MS),
            ("latest hold 2s lag 40ms delay 50ms", "block 1", "20ms"),
        ),
    ],
)
def test_a_port_in_the_words_of_the_graph_file(port: PortConfig, words: tuple[str, str, str]) -> None:
    assert edge_words(port) == words
