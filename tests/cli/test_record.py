"""Recordings of runs that were killed outright, and what `omnistream record` says of a recording."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from commands import graph, omnistream, start
from disk import disk
from mcap.reader import make_reader

from omnistream.record.codec import encode_record
from omnistream.record.identity import run_of
from omnistream.record.reader import Recording

TICKS = """graph: beat
nodes:
  t: {use: tick, with: {rate_hz: 200}}
  same: {use: passthrough, inputs: {message: t}}
  shown: {use: console, inputs: {message: same}}
"""


@pytest.mark.parametrize("engine", ["local", pytest.param("ray", marks=pytest.mark.ray)])
def test_a_run_that_was_killed_leaves_a_recording(
    tmp_path: Path, own_temp: Path, engine: str, caplog: pytest.LogCaptureFixture
):
    file, recording = graph(tmp_path, TICKS), tmp_path / "r.mcap"
    run = start("run", file, "--engine", engine, "--layout", "each", "--record", recording)
    while len(_parts_of(own_temp, 10_000)) < 3:
        assert run.poll() is None
        time.sleep(0.02)
    kill(run)
    with Recording(recording) as file_so_far:
        assert "breaks off" in file_so_far.notice
        assert list(file_so_far.messages("t.out"))
    until = time.monotonic() + 90
    while _actors(own_temp) and time.monotonic() < until:  # Ray's processes see their driver's end
        time.sleep(0.2)

    assert omnistream("run", file, "--engine", "local", "--for", "100ms").code == 0
    assert "a run left its recording unfinished" in caplog.text
    said = omnistream("record", "recover")
    assert said.code == 0, said.err
    assert f"messages in {recording}" in said.out
    assert not list(own_temp.glob("omnistream-*"))
    assert "no run has left" in omnistream("record", "recover").out

    info = omnistream("record", "info", recording)
    assert "t.out" in info.out
    assert "as received" in info.out
    assert "journal of" in info.out
    again = omnistream("replay", recording, file, "--as-recorded")
    assert again.code == 0, again.err
    assert again.summary["outputs"]["shown"] >= 4


def kill(run: subprocess.Popen[str]) -> None:
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()


def _parts_of(folder: Path, size: int) -> list[Path]:
    return [p for p in folder.glob("omnistream-*/*.part") if p.stat().st_size > size]


def _actors(folder: Path) -> bool:
    import psutil

    return any(str(folder) in " ".join(p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"]))


def test_a_file_that_is_there_is_not_overwritten_by_a_recovery(tmp_path: Path, own_temp: Path):
    file, recording = graph(tmp_path, TICKS), tmp_path / "r.mcap"
    run = start("run", file, "--engine", "local", "--record", recording)
    while not _parts_of(own_temp, 1_000):
        assert run.poll() is None
        time.sleep(0.02)
    kill(run)
    recording.write_bytes(b"mine")
    said = omnistream("record", "recover")
    assert said.code == 2
    assert "is there already" in said.err
    assert recording.read_bytes() == b"mine"
    recording.unlink()
    assert omnistream("record", "recover").code == 0


def test_a_run_that_failed_or_could_not_begin(tmp_path: Path, own_temp: Path, caplog: pytest.LogCaptureFixture):
    """A run that ends in an error keeps what it recorded; one that never began leaves nothing."""
    recording = tmp_path / "r.mcap"
    absent = graph(tmp_path, TICKS.replace("{use: tick, with: {rate_hz: 200}}", "{use: camera, with: {device: /dev/none}}"))
    assert omnistream("run", absent, "--engine", "local", "--record", recording).code == 2
    assert not list(own_temp.glob("omnistream-*"))

    file = graph(tmp_path, TICKS)
    with disk(own_temp / "disk", "16k") as small:
        full = omnistream("run", file, "--engine", "local", "--for", "2s", "--record", small / "r.mcap")
        assert full.code == 2
        assert "No space left" in full.err
        assert "record recover" in caplog.text
        assert omnistream("record", "recover", "--to", recording).code == 0
    assert omnistream("replay", recording, file, "--as-recorded").summary["outputs"]["shown"] > 300


def test_the_end_of_the_terminal_is_an_end_like_any_other(tmp_path: Path, own_temp: Path):
    file, summary = graph(tmp_path, TICKS), tmp_path / "s.json"
    run = start("run", file, "--engine", "local", "--summary", summary)
    assert run.stdout is not None
    run.stdout.readline()
    os.kill(run.pid, signal.SIGHUP)
    run.communicate(timeout=20)
    assert '"stopped_by": "SIGHUP"' in summary.read_text()
    assert not list(own_temp.glob("omnistream-*"))


def test_a_recording_is_overwritten_only_by_whom_it_is_said_and_by_one_at_a_time(tmp_path: Path):
    recording = tmp_path / "r.mcap"
    file = graph(tmp_path, TICKS)
    words = ("run", file, "--engine", "local", "--record", recording)
    assert omnistream(*words, "--for", "100ms").code == 0
    data = recording.read_bytes()
    said = omnistream(*words)
    assert said.code == 2
    assert "r.mcap is there already; add --overwrite to replace it, or name another file" in said.err
    assert recording.read_bytes() == data
    run = start(*words, "--overwrite")
    while recording.read_bytes() == data:
        assert run.poll() is None
        time.sleep(0.02)
    said = omnistream(*words, "--overwrite", "--for", "100ms")
    assert said.code == 2
    assert "a run is recording into r.mcap" in said.err
    os.kill(run.pid, signal.SIGINT)
    out, err = run.communicate(timeout=30)
    assert f"messages in {recording}" in out, err
    assert run_of(recording)
    with Recording(recording) as again:
        assert not again.notice


def test_a_time_in_the_name_gives_each_run_a_file_of_its_own(tmp_path: Path):
    file = graph(tmp_path, TICKS + f"record: {tmp_path}/r-{{time}}.mcap\n")
    assert omnistream("run", file, "--engine", "local", "--for", "100ms").code == 0
    (made,) = tmp_path.glob("*.mcap")
    assert re.fullmatch(r"r-\d{8}-\d{6}\.mcap", made.name)


def test_a_second_interrupt_leaves_a_file_that_is_finished(tmp_path: Path, own_temp: Path):
    recording = tmp_path / "r.mcap"
    run = start("run", graph(tmp_path, TICKS), "--engine", "local", "--record", recording)
    while not recording.exists() or recording.stat().st_size < 20_000:
        assert run.poll() is None
        time.sleep(0.02)
    os.kill(run.pid, signal.SIGINT)
    time.sleep(0.05)
    os.kill(run.pid, signal.SIGINT)
    run.communicate(timeout=30)
    with Recording(recording) as file:
        was_whole = file.metadata["run"].get("last") == "yes"
    before = recording.read_bytes()
    said = omnistream("record", "recover")
    assert said.code == 0, said.err
    with Recording(recording) as file:
        assert not file.notice
        assert file.metadata["run"].get("last") == "yes"
    if was_whole:
        assert recording.read_bytes() == before


def test_a_damaged_file_is_copied_up_to_the_damage(tmp_path: Path):
    whole, damaged = tmp_path / "whole.mcap", tmp_path / "damaged.mcap"
    file = graph(tmp_path, TICKS.replace("rate_hz: 200", "rate_hz: 400, count: 600"))
    run = omnistream("run", file, "--engine", "local", "--record", whole)
    assert run.code == 0, run.err
    data = whole.read_bytes()
    with whole.open("rb") as opened:
        last = make_reader(opened).get_summary().chunk_indexes[-1]  # of several: they end by age, too
    cut = last.chunk_start_offset + last.chunk_length // 2
    damaged.write_bytes(data[:cut])
    said = omnistream("record", "recover", damaged)
    assert said.code == 0, said.err
    made = tmp_path / "damaged.recovered.mcap"
    assert damaged.read_bytes() == data[:cut]
    with Recording(whole) as a, Recording(made) as b:
        assert not b.notice
        before = [encode_record(m) for m in a.messages("t.out")]
        found = [encode_record(m) for m in b.messages("t.out")]
    assert 0 < len(found) < len(before)
    assert f"recovered {len(found)} messages in {made}" in said.out
    assert found == before[: len(found)]
    assert "is there already" in omnistream("record", "recover", damaged).err
    assert "is whole" in omnistream("record", "recover", whole).out
    bit = bytearray(data)
    bit[cut] ^= 4
    damaged.write_bytes(bit)  # its index is as it was
    made.unlink()
    said = omnistream("record", "recover", damaged)
    assert said.code == 0, said.err
    at = last.chunk_start_offset
    assert "damaged.mcap is damaged (" in said.err.replace("\n", " ")
    assert f"at byte {at} of {len(data)}: what comes behind was left out" in said.err.replace("\n", " ")
    with Recording(made) as b:
        assert [encode_record(m) for m in b.messages("t.out")] == found
    damaged.write_bytes(b"no recording")
    assert omnistream("record", "recover", damaged, "--to", tmp_path / "x.mcap").code == 2
    assert not (tmp_path / "x.mcap").exists()
