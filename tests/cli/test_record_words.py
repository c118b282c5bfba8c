"""`record:` in a graph file."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import graph, omnistream

NODES = """nodes:
  t: {use: tick, with: {rate_hz: 200}}
  same: {use: passthrough, inputs: {message: t}}
  shown: {use: console, inputs: {message: same}}
"""


def test_a_graph_says_what_is_recorded_and_a_run_in_several_files_is_had_again(tmp_path: Path) -> None:
    words = f"record: {{path: {tmp_path}/run.mcap, streams: [t, same], rotate: {{every: 300ms}}}}\n"
    file = graph(tmp_path, f"graph: beat\n{words}{NODES}")
    said = omnistream("run", file, "--engine", "local", "--for", "1s")
    assert said.code == 0, said.err
    assert f"{tmp_path}/run.0001.mcap and " in said.out
    files = sorted(tmp_path.glob("run.*.mcap"))
    assert len(files) >= 3
    info = omnistream("record", "info", files[1]).out
    assert "t.out" in info
    assert "same.out" in info
    again = omnistream("replay", files[0], file, "--as-recorded")
    assert again.code == 0, again.err
    assert "equal to the run" in again.out
    assert again.summary["outputs"] == said.summary["outputs"]
    assert omnistream("replay", files[1], file).code == 0
    assert f"replay {files[0]}" in omnistream("replay", files[1], file, "--as-recorded").err


def test_the_command_line_names_another_file(tmp_path: Path) -> None:
    file = graph(tmp_path, f"graph: beat\nrecord: {tmp_path}/run.mcap\n{NODES}")
    said = omnistream("run", file, "--engine", "local", "--for", "200ms", "--record", tmp_path / "other.mcap")
    assert said.code == 0, said.err
    assert (tmp_path / "other.mcap").exists()
    assert not (tmp_path / "run.mcap").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("{pth: a.mcap}", "there is no such word in `record`; did you mean 'path'"),
        ("{path: a.bag}", "'a.bag' is not the name of a recording; write one that ends in '.mcap'"),
        ("{path: a.mcap, streams: [camera]}", "there is no node 'camera'"),
        ("{path: a.mcap, video: small}", "text 'small' is none of 'exact', 'compact'"),
        ("{path: a.mcap, rotate: {size: 10}}", "write `size: 64KiB` or more"),
        ("{path: a.mcap, rotate: {}}", "`rotate` says neither a size nor a time"),
        ("{path: a.mcap, rotate: {size: 1MiB}, black_box: {}}", "a black box writes a file for each event"),
        ("{path: a.mcap, black_box: {on: [crash]}}", "text 'crash' is none of"),
        ("{path: a.mcap, black_box: {lst: 3s}}", "there is no such word in `black_box`; did you mean 'last'"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, words: str, sentence: str) -> None:
    said = omnistream("check", graph(tmp_path, f"graph: beat\nrecord: {words}\n{NODES}"))
    assert said.code == 2
    assert sentence in said.err
    assert ":2: record" in said.err
