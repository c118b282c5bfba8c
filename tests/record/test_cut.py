"""A part of a recording gives what that part gave in the whole: the same messages, bit for bit, and the same digests."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from omnistream.errors import RecordingError
from omnistream.link.wire import encode_payload
from omnistream.message import MS, SECOND, Text, VideoFrame
from omnistream.record import RecordedMessage, Recording, RecordingWriter
from omnistream.record.cut import CUT, cut
from omnistream.record.playable import Playable, open_recording

SHIPPED = Path("graphs/recordings/voice_robot.mcap")
T0 = 1_800_000_000 * SECOND


def held(file: Playable, since: int, until: int) -> dict[str, list[tuple[int, bytes]]]:
    """Everything stamped in [since, until), by stream."""
    return {
        topic: [(m.stamp_ns, encode_payload(m.payload)) for m in file.messages(topic, since) if m.stamp_ns < until]
        for topic in file.streams()
    }


def times(seed: int) -> tuple[int, int]:
    chance = random.Random(seed)
    first = chance.randrange(0, 55 * SECOND)
    return first, first + chance.randrange(300 * MS, 4 * SECOND)


@pytest.mark.parametrize("seed", range(4))
def test_a_part_holds_the_same_messages_wherever_key_frames_lie(tmp_path: Path, seed: int) -> None:
    first, last = times(seed)
    out = tmp_path / "part.mcap"
    with Recording(SHIPPED) as whole:
        count = cut(whole, out, first, last)
        expected = held(whole, whole.start_ns + first, whole.start_ns + last)
        truth = [e for e in whole.truth() if first <= e["end_ns"] - whole.start_ns < last]
        start = whole.start_ns + first
    with Recording(out) as part:
        assert part.start_ns == start
        assert held(part, 0, 1 << 62) == expected
        assert count == sum(map(len, expected.values()))
        assert not part.notice
        assert all(e in part.truth() for e in truth)


def test_parts_put_together_are_the_whole(tmp_path: Path) -> None:
    """In a directory, as the pieces of a recording that goes on in the next file; a stream may begin or end in any of them."""
    pieces = tmp_path / "pieces"
    pieces.mkdir()
    with Recording(SHIPPED) as whole:
        for i, only in enumerate([(), ("mic",), ()]):
            cut(whole, pieces / f"run.{i:04d}.mcap", (20 + i) * SECOND, (21 + i) * SECOND, only)
        expected = held(whole, whole.start_ns + 20 * SECOND, whole.start_ns + 23 * SECOND)
        lacking = range(whole.start_ns + 21 * SECOND, whole.start_ns + 22 * SECOND)
    with open_recording(pieces) as together:
        assert held(together, 0, 1 << 62) == expected | {"camera": [m for m in expected["camera"] if m[0] not in lacking]}


def test_a_part_of_a_part_says_where_it_is_from(tmp_path: Path) -> None:
    with Recording(SHIPPED) as whole:
        cut(whole, tmp_path / "a.mcap", 10 * SECOND, 14 * SECOND)
        start, expected = whole.start_ns, held(whole, whole.start_ns + 11 * SECOND, whole.start_ns + 12 * SECOND)
    with Recording(tmp_path / "a.mcap") as a:
        cut(a, tmp_path / "b.mcap", SECOND, 2 * SECOND, only=["camera"])
    with Recording(tmp_path / "b.mcap") as b:
        assert held(b, 0, 1 << 62) == {"camera": expected["camera"]}
        said = b.metadata[CUT]
        assert said["file"] == "voice_robot.mcap"
        assert [int(said[k]) - start for k in ("start_ns", "from_ns", "to_ns")] == [0, 11 * SECOND, 12 * SECOND]


def test_origins_bounds_and_seqs_stay(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "a.mcap", start_ns=T0) as w:
        for i in range(10):
            said = RecordedMessage(
                T0 + i * MS, T0, Text(str(i)), T0 + i * MS + 5, 1, i, "rtcp", ("phone", 0, i), T0 - 1, {"x.out": 3}
            )
            w.write("typed.out", said)
    with Recording(tmp_path / "a.mcap") as a:
        cut(a, tmp_path / "b.mcap", 2 * MS, 7 * MS, only=["typed"])
        expected = [m for m in a.messages("typed.out") if 2 * MS <= m.stamp_ns - T0 < 7 * MS]
    with Recording(tmp_path / "b.mcap") as b:
        assert [str(m) for m in b.messages("typed.out")] == [str(m) for m in expected]
        assert len(expected) == 5


@pytest.mark.parametrize(
    ("first", "last", "only", "says"),
    [
        (2 * SECOND, SECOND, (), "no part of a recording"),
        (90 * SECOND, None, (), "ends 65.* after its start"),
        (0, SECOND, ("nose",), "no stream 'nose'; it has camera, mic"),
        (0, MS, (), "no message from 0 s to 0.001 s"),
    ],
)
def test_what_cannot_be_cut(tmp_path: Path, first: int, last: int | None, only: tuple[str, ...], says: str) -> None:
    with Recording(SHIPPED) as whole, pytest.raises(RecordingError, match=says):
        cut(whole, tmp_path / "part.mcap", first, last, only)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten_and_no_half_file_is_left(tmp_path: Path) -> None:
    data = bytearray(SHIPPED.read_bytes())
    with Recording(SHIPPED) as whole:
        middle = whole._index.chunks[len(whole._index.chunks) // 2].offset
        (tmp_path / "mine.mcap").write_bytes(b"mine")
        with pytest.raises(RecordingError, match="is there already"):
            cut(whole, tmp_path / "mine.mcap")
        with pytest.raises(RecordingError, match="cannot be written"):
            cut(whole, tmp_path / "no" / "part.mcap")
    assert (tmp_path / "mine.mcap").read_bytes() == b"mine"
    data[middle + 80] ^= 255
    (tmp_path / "damaged.mcap").write_bytes(data)
    with Recording(tmp_path / "damaged.mcap") as damaged, pytest.raises(RecordingError, match="is damaged at byte"):
        cut(damaged, tmp_path / "part.mcap")
    assert not (tmp_path / "part.mcap").exists()


def test_what_was_not_written_to_its_end_can_be_cut(tmp_path: Path) -> None:
    data = SHIPPED.read_bytes()
    (tmp_path / "broken.mcap").write_bytes(data[: len(data) // 3])
    with Recording(tmp_path / "broken.mcap") as broken:
        assert broken.notice
        cut(broken, tmp_path / "part.mcap", SECOND)
        expected = held(broken, broken.start_ns + SECOND, 1 << 62)
    with Recording(tmp_path / "part.mcap") as part:
        assert not part.notice
        assert held(part, 0, 1 << 62) == expected


@pytest.mark.parametrize("video", ["lossless", "foxglove"])
@pytest.mark.parametrize(("first", "last"), [(0, 40), (1, 40), (13, 29), (64, 66)])
def test_frames_keep_their_pixels_wherever_a_part_begins(
    tmp_path: Path, video: Literal["lossless", "foxglove"], first: int, last: int
) -> None:
    """However a run keeps its video: frames that depend on those before them begin anew."""
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    with RecordingWriter(tmp_path / "a.mcap", start_ns=T0, video=video, fps=25) as writer:
        for i in range(100):
            image = np.roll(image, 1, axis=1)
            image[i % 48] = rng.integers(0, 256, (64, 3))
            writer.write("eye.out", RecordedMessage(T0 + i * 40 * MS, None, VideoFrame(image.copy()), seq=i))
    with Recording(tmp_path / "a.mcap") as whole:
        cut(whole, tmp_path / "b.mcap", first * 40 * MS, last * 40 * MS)
        expected = held(whole, T0 + first * 40 * MS, T0 + last * 40 * MS)
    with Recording(tmp_path / "b.mcap") as part:
        assert held(part, 0, 1 << 62) == expected
        assert len(expected["eye.out"]) == last - first
        assert part.is_lossless("eye.out") == (video == "lossless")
