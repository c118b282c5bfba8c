"""Of a spool, every frame that was appended is read again, up to the first that is damaged or cut."""

from __future__ import annotations

import io
from pathlib import Path

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnistream.message import Event, Message
from omnistream.record.part import PartRecorder
from omnistream.record.spool import Spool, read_frames

frames = st.lists(st.lists(st.binary(max_size=40), min_size=1, max_size=3).filter(any), min_size=1, max_size=8)


def spooled(path: Path, content: list[list[bytes]]) -> bytes:
    for old in path.parent.glob("*.part"):
        old.unlink()
    spool = Spool(path.parent, "w.0")
    for parts in content:
        spool.append(*parts)
    spool.close()
    spool.close()
    (one,) = path.parent.glob("*.part")
    return one.read_bytes()


@given(frames)
def test_what_was_appended_is_read(tmp_path_factory: pytest.TempPathFactory, content: list[list[bytes]]):
    data = spooled(tmp_path_factory.mktemp("s") / "x.part", content)
    assert [frame for _, frame in read_frames(io.BytesIO(data))] == [b"".join(parts) for parts in content]


@given(
    st.lists(st.tuples(st.sampled_from([b"?", b"M", b"J"]), st.binary(max_size=9)), min_size=1, max_size=8), st.integers(0, 9)
)
def test_of_a_kind_only_those_are_read(tmp_path_factory: pytest.TempPathFactory, content: list[tuple[bytes, bytes]], cut: int):
    data = spooled(tmp_path_factory.mktemp("s") / "x.part", [list(parts) for parts in content])
    data = data[: len(data) - cut]
    every = list(read_frames(io.BytesIO(data)))
    assert list(read_frames(io.BytesIO(data), b"J")) == [(at, frame) for at, frame in every if frame[:1] == b"J"]


@given(frames, st.data())
def test_a_cut_or_a_flipped_byte_leaves_the_frames_before_it(
    tmp_path_factory: pytest.TempPathFactory, content: list[list[bytes]], draw: st.DataObject
):
    data = spooled(tmp_path_factory.mktemp("s") / "x.part", content)
    at = draw.draw(st.integers(0, len(data) - 1))
    flipped = data[:at] + bytes([data[at] ^ draw.draw(st.integers(1, 255))]) + data[at + 1 :]
    whole = [b"".join(parts) for parts in content]
    ends = [sum(len(frame) + 8 for frame in whole[: n + 1]) for n in range(len(whole))]
    before = whole[: sum(end <= at for end in ends)]
    for damaged in (data[:at], flipped):
        assert [frame for _, frame in read_frames(io.BytesIO(damaged))] == before


def test_a_full_disk_holds_up_nobody_and_what_is_spooled_is_whole(small_disk: Path, caplog: pytest.LogCaptureFixture):
    recorder = PartRecorder(str(small_disk), "w", 0)

    def send(first: int, count: int) -> None:
        for seq in range(first, first + count):
            payload = Event("x", {"text": "y" * 2000})
            recorder.message(Message("s.out", 0, seq, ("s.out", 0, seq), seq, seq, seq, {"s.out": seq}, payload), None, "host")

    send(0, 60)
    (said,) = [r.getMessage() for r in caplog.records]
    assert "No space left on device" in said
    first, *_ = parts = sorted(small_disk.glob("w.0.*.part"))
    assert len(parts) == 2, "that it has ended is seen, so that it can be let go"
    with first.open("rb") as file:
        read = list(read_frames(file))
        assert file.tell() == first.stat().st_size
    assert 10 < len(read) < 60
    assert read[-1][1] == b"J" + msgpack.packb(("x", len(read) - 1))
    first.unlink()
    send(60, 2)
    with parts[1].open("rb") as file:
        rows = [frame for _, frame in read_frames(file)]
    assert rows[:2] == [b"J" + msgpack.packb(row) for row in (("c", {}), ("y", 60, 60 - len(read) + 1))]
    assert len(rows) == 4
