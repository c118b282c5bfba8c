"""The recording source: one time line for all streams of a file, live and replayed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from omnistream.clock import ManualClock, SystemClock
from omnistream.errors import RecordingError
from omnistream.message import MS, SECOND, AudioChunk, Text, VideoFrame
from omnistream.node import Emit, ports_of
from omnistream.record import RecordedMessage, RecordingWriter
from omnistream.record import Recording as Reader
from omnistream.testing import context
from omnistream_drivers.recording import LEAD_NS, Recording

T0 = 1_800_000_000 * SECOND
RUN = 5_000 * SECOND


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "a.mcap"
    with RecordingWriter(path, start_ns=T0, audio="foxglove", video="foxglove", fps=10) as w:
        for i in range(1, 101):
            stamp = T0 + i * 20 * MS
            w.write("mic", RecordedMessage(stamp, stamp - 20 * MS, AudioChunk(np.full(320, i, np.int16)), seq=i))
            if i % 5 == 0:
                image = np.full((16, 16, 3), i, np.uint8)
                w.write("camera", RecordedMessage(T0 + i * 20 * MS, None, VideoFrame(image)))
            if i % 50 == 0:
                w.write("typed.out", RecordedMessage(T0 + i * 20 * MS, None, Text(str(i)), origin=("phone", 0, i)))
    return str(path)


async def play(source: Recording, ctx) -> list[Emit]:
    await source.open(ctx)
    try:
        return [e async for e in source.run(ctx)]
    finally:
        await source.close()


async def test_a_replay_has_the_recorded_stamps_and_does_not_wait(file: str) -> None:
    got = await play(Recording(path=file, stream="mic"), context("ears", live=False, start_ns=RUN))
    assert [e.stamp_ns for e in got] == [T0 + i * 20 * MS for i in range(1, 101)]
    assert [e.start_ns for e in got] == [T0 + i * 20 * MS for i in range(100)]
    assert [e.bound_ns for e in got] == [e.stamp_ns for e in got[1:]] + [None]
    assert [int(e.payload.samples[0]) for e in got] == list(range(1, 101))


@pytest.mark.parametrize("speed", [1.0, 2.0, 0.5])
async def test_live_all_streams_share_one_time_line(file: str, speed: float) -> None:
    clock = ManualClock(RUN)
    late: list[int] = []

    async def collect(stream: str) -> list[Emit]:
        ctx, got = context(stream, clock=clock, start_ns=RUN), []
        source = Recording(path=file, speed=speed)
        await source.open(ctx)
        async for e in source.run(ctx):
            late.append(clock.now() - e.stamp_ns)
            got.append(e)
        await source.close()
        return got

    tasks = [asyncio.create_task(collect(s)) for s in ("mic", "camera")]
    while not all(t.done() for t in tasks):
        await asyncio.sleep(0.0005)
        clock.advance(5 * MS)
    mic, camera = (t.result() for t in tasks)
    assert [e.stamp_ns for e in mic] == [RUN + LEAD_NS + int(i * 20 * MS / speed) for i in range(1, 101)]
    assert [e.stamp_ns for e in camera] == [e.stamp_ns for e in mic[4::5]]
    assert min(late) >= 0  # nothing before its time
    bounds = [e.bound_ns for e in mic[:-1]]
    assert bounds == [e.stamp_ns for e in mic[1:]]


async def test_a_restarted_source_goes_on_where_it_would_be(file: str) -> None:
    """1 s late: the first half of 2 s is gone, and said so."""
    clock = ManualClock(RUN + LEAD_NS + SECOND)
    for stream, skipped in (("mic", 49), ("camera", 9), ("typed.out", 0)):
        ctx = context(stream, clock=clock, start_ns=RUN, incarnation=1)
        source = Recording(path=file, stream=stream)
        await source.open(ctx)
        first = await anext(source.run(ctx))
        await source.close()
        assert first.stamp_ns == RUN + LEAD_NS + SECOND
        if stream == "camera":
            assert abs(int(first.payload.image.mean()) - 50) < 4
        assert ctx.report.rows == (
            [("recording_skipped", f"{skipped} messages of '{stream}' were due before '{stream}' was up")] if skipped else []
        )


async def test_real_time(file: str) -> None:
    clock = SystemClock()
    ctx = context("mic", clock=clock, start_ns=clock.now() - LEAD_NS)
    source = Recording(path=file, speed=10)
    await source.open(ctx)
    waits = [clock.now() - e.stamp_ns async for e in source.run(ctx)]
    await source.close()
    assert len(waits) >= 95
    assert min(waits) >= 0
    assert sorted(waits)[len(waits) // 2] < 50 * MS


async def test_a_clients_origin_is_kept(file: str) -> None:
    got = await play(Recording(path=file, stream="typed.out"), context("typed", live=False))
    assert [e.origin for e in got] == [("phone", 0, 50), ("phone", 0, 100)]


async def test_a_stream_recorded_by_a_run_gets_new_origins(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "a.mcap", start_ns=T0) as w:
        w.write("typed.out", RecordedMessage(T0, None, Text("a"), origin=("typed.out", 0, 0)))
    (e,) = await play(Recording(path=str(tmp_path / "a.mcap")), context("typed", live=False))
    assert e.origin is None


async def test_errors_are_sentences(file: str, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no stream 'nose'; it has"):
        await Recording(path=file, stream="nose").open(context())
    with pytest.raises(RecordingError, match="several streams"):
        await Recording(path=file).open(context("nose"))
    with pytest.raises(RecordingError, match="cannot be opened"):
        await Recording(path=str(tmp_path / "no.mcap")).open(context())
    with pytest.raises(RecordingError, match="speed"):
        await Recording(path=file, speed=0).open(context())


async def test_a_broken_file_is_played_as_far_as_it_goes(file: str) -> None:
    data = Path(file).read_bytes()
    Path(file).write_bytes(data[: len(data) // 2])
    ctx = context("mic", live=False)
    got = await play(Recording(path=file), ctx)
    assert 0 < len(got) < 100
    assert [r for r, _ in ctx.report.rows] == ["recording_broken"]


async def test_damage_met_later_ends_the_stream(file: str) -> None:
    with Reader(file) as reader:
        chunk = reader._index.chunks[2].offset
    data = bytearray(Path(file).read_bytes())
    data[chunk + 80] ^= 255
    Path(file).write_bytes(data)
    ctx = context("mic", live=False)
    got = await play(Recording(path=file), ctx)
    assert 0 < len(got) < 100
    assert [r for r, _ in ctx.report.rows] == ["recording_damaged"]


def test_its_output_can_be_any_payload() -> None:
    assert {VideoFrame, AudioChunk, Text} <= ports_of(Recording).outputs["out"]
