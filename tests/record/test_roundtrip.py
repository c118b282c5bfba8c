"""What is written is read: every payload, every field, in order; and Foxglove's own reader understands the rest."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from omnistream.errors import PayloadError, RecordingError
from omnistream.link.wire import encode_payload
from omnistream.message import SECOND, AudioChunk, Command, Event, Features, Gesture, Message, Text, Transcript, VideoFrame
from omnistream.record import RecordedMessage, Recording, RecordingWriter
from omnistream.record.codec import PackedFrame, decode_record, encode_record
from omnistream.record.delta import DeltaDecoder, DeltaEncoder, is_key_image

T0 = 1_800_000_000 * SECOND

payloads = st.one_of(
    st.builds(Text, st.text(max_size=20)),
    st.builds(
        Event, st.text(max_size=5), st.dictionaries(st.text(max_size=5), st.none() | st.integers(-9, 9) | st.text(max_size=3))
    ),
    st.builds(AudioChunk, hnp.arrays("<i2", st.integers(0, 400))),
    st.builds(VideoFrame, hnp.arrays("u1", st.tuples(st.integers(1, 6), st.integers(1, 6), st.just(3)))),
    st.builds(Features, hnp.arrays("<f4", st.tuples(st.integers(0, 4), st.just(8)), elements=st.floats(-1, 1, width=32))),
    st.builds(Command, st.just("move"), st.text(max_size=9), st.just({"number": "ten"}), st.just({"distance_m": 10.0})),
    st.builds(Transcript, st.text(max_size=9), st.booleans()),
    st.builds(Gesture, st.just("none")),
)
origins = (
    st.none() | st.tuples(st.text(max_size=4), st.integers(0, 9), st.integers(0, 9)) | st.just(("drive.out", ("a", 0, 1), 3))
)
records = st.builds(
    RecordedMessage,
    st.integers(0, 1 << 61),
    st.none() | st.integers(0, 1 << 61),
    payloads,
    st.none() | st.integers(0, 1 << 62),
    st.integers(0, 99),
    st.integers(0, 1 << 40),
    st.sampled_from(["host", "arrival", "rtcp"]),
    origins,
)


def same(a: RecordedMessage, b: RecordedMessage) -> bool:
    pairs = [(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a) if f.name != "payload"]
    return all(x == y for x, y in pairs) and encode_payload(a.payload) == encode_payload(b.payload)


@given(records)
def test_a_message_comes_back_whole(record: RecordedMessage) -> None:
    assert same(record, decode_record(encode_record(record), record.stamp_ns))


@given(st.binary(max_size=200))
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(PayloadError):
        decode_record(data, 0)


@given(records, st.integers(0, 10_000), st.integers(0, 255))
def test_changed_bytes_are_refused_or_a_message(record: RecordedMessage, at: int, value: int) -> None:
    data = bytearray(encode_record(record))
    data[at % len(data)] = value
    try:
        decode_record(bytes(data), record.stamp_ns)
    except PayloadError:
        pass


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["mic.out", "typed.out", "x"]), records), min_size=1, max_size=30))
def test_a_file_gives_each_stream_in_order(
    tmp_path_factory: pytest.TempPathFactory, items: list[tuple[str, RecordedMessage]]
) -> None:
    path = tmp_path_factory.mktemp("r") / "a.mcap"
    written: dict[str, list[RecordedMessage]] = {}
    with RecordingWriter(path, start_ns=T0) as w:
        for i, (topic, record) in enumerate(items):
            stamped = dataclasses.replace(record, stamp_ns=T0 + i * 50_000_000)
            w.write(topic, stamped)
            written.setdefault(topic, []).append(stamped)
    with Recording(path) as r:
        assert r.start_ns == T0
        assert not r.notice
        assert set(r.streams()) == set(written)
        for topic, wanted in written.items():
            found = list(r.messages(topic))
            assert len(found) == len(wanted) == r.count(topic, 1 << 62)
            assert all(map(same, found, wanted))
            assert r.streams()[topic] == {type(m.payload) for m in wanted}
            assert r.is_lossless(topic)
            cut = T0 + len(items) * 25_000_000
            assert [m.stamp_ns for m in r.messages(topic, since_ns=cut)] == [m.stamp_ns for m in wanted if m.stamp_ns >= cut]
            assert r.count(topic, cut) == sum(m.stamp_ns < cut for m in wanted)


def test_a_message_of_a_run_keeps_its_stream_origin_bound_and_clock(tmp_path) -> None:
    message = Message("typed.out", 2, 7, ("phone", 1, 5), T0, T0, T0 + 9, {}, Text("stop"), None)
    with RecordingWriter(tmp_path / "a.mcap", start_ns=T0) as w:
        w.write_message(message, bound_ns=T0 + 5, clock_source="arrival")
    with Recording(tmp_path / "a.mcap") as r:
        (found,) = r.messages("typed.out")
    assert same(found, RecordedMessage(T0, None, Text("stop"), T0 + 5, 2, 7, "arrival", ("phone", 1, 5)))


def test_attachments_metadata_and_truth(tmp_path) -> None:
    with RecordingWriter(tmp_path / "a.mcap", start_ns=T0, metadata={"graph": "g"}) as w:
        w.write("a", RecordedMessage(T0, None, Text("x")))
        w.truth(T0 + 5, {"text": "stop", "start_ns": T0, "end_ns": T0 + 5})
        w.attach("graph.yaml", b"graph: g\n", "application/yaml")
        w.attach("journal/mind", bytes(range(256)) * 300)
        w.metadata("versions", {"omnistream": "0.1.0"})
    with Recording(tmp_path / "a.mcap") as r:
        assert r.attachments == {"graph.yaml": b"graph: g\n", "journal/mind": bytes(range(256)) * 300}
        assert r.metadata["omnistream"]["graph"] == "g"
        assert r.metadata["versions"] == {"omnistream": "0.1.0"}
        assert r.truth() == [{"text": "stop", "start_ns": T0, "end_ns": T0 + 5}]
        assert set(r.streams()) == {"a"}
        assert r.end_ns == T0 + 5


def frames(n: int) -> list[np.ndarray]:
    """A bright square that moves over a gradient."""
    y, x = np.mgrid[0:48, 0:64]
    out = []
    for i in range(n):
        image = np.stack([x * 3, y * 4, np.full_like(x, 90)], -1).astype(np.uint8)
        image[10:26, 2 * i : 2 * i + 16] = (230, 40, 60)
        out.append(image)
    return out


def test_video_and_audio_that_foxglove_plays(tmp_path) -> None:
    path = tmp_path / "a.mcap"
    images, rng = frames(20), np.random.default_rng(1)
    chunks = [rng.integers(-30000, 30000, 320).astype(np.int16) for _ in range(20)]
    with RecordingWriter(path, start_ns=T0, video="foxglove", audio="foxglove", fps=10, crf=12) as w:
        for i in range(20):
            w.write("camera", RecordedMessage(T0 + (i + 1) * 100_000_000, None, VideoFrame(images[i]), seq=i))
            start = T0 + i * 20_000_000
            w.write("mic", RecordedMessage(start + 20_000_000, start, AudioChunk(chunks[i]), seq=i))
    with Recording(path) as r:
        assert r.streams() == {"camera": {VideoFrame}, "mic": {AudioChunk}}
        assert r.is_lossless("mic")
        assert not r.is_lossless("camera")
        video = list(r.messages("camera"))
        audio = list(r.messages("mic"))
        again = list(r.messages("camera"))
    assert [m.stamp_ns for m in video] == [T0 + (i + 1) * 100_000_000 for i in range(20)]
    assert max(np.abs(m.payload.image.astype(int) - i).mean() for m, i in zip(video, images, strict=True)) < 6
    assert all(np.array_equal(a.payload.image, b.payload.image) for a, b in zip(video, again, strict=True))
    assert all(np.array_equal(m.payload.samples, c) for m, c in zip(audio, chunks, strict=True))
    assert [m.start_ns for m in audio] == [T0 + i * 20_000_000 for i in range(20)]
    with Recording(path) as r:  # from the middle of a group of pictures: the same pixels
        late = list(r.messages("camera", since_ns=T0 + 1_450_000_000))
    assert [np.array_equal(a.payload.image, b.payload.image) for a, b in zip(late, video[14:], strict=True)] == [True] * 6


def test_what_foxglove_reads_with_its_own_decoder(tmp_path) -> None:
    from mcap.reader import make_reader
    from mcap_protobuf.decoder import DecoderFactory

    path = tmp_path / "a.mcap"
    with RecordingWriter(path, start_ns=T0, video="foxglove", audio="foxglove") as w:
        for i, image in enumerate(frames(3)):
            w.write("camera", RecordedMessage(T0 + i * 33_000_000, None, VideoFrame(image)))
        w.write("mic", RecordedMessage(T0 + 20_000_000, None, AudioChunk(np.arange(320, dtype=np.int16))))
    with path.open("rb") as f:
        decoded = [(s.name, m) for s, _, _, m in make_reader(f, decoder_factories=[DecoderFactory()]).iter_decoded_messages()]
    videos = [m for n, m in decoded if n == "foxglove.CompressedVideo"]
    (sound,) = [m for n, m in decoded if n == "foxglove.RawAudio"]
    assert [v.format for v in videos] == ["h264"] * 3
    assert videos[0].data.startswith(b"\0\0\0\1") or videos[0].data.startswith(b"\0\0\1")
    assert videos[0].timestamp.ToNanoseconds() == T0
    assert (sound.sample_rate, sound.number_of_channels, sound.format) == (16000, 1, "pcm-s16")
    assert sound.timestamp.ToNanoseconds() == T0
    assert np.array_equal(np.frombuffer(sound.data, "<i2"), np.arange(320))


@pytest.mark.parametrize("video", ["lossless", "exact", "foxglove"])
def test_frames_of_all_kinds_in_one_stream(tmp_path, video) -> None:
    """Another size, an odd side, grey and depth: each is kept, and but for compact video pixel by pixel."""
    rng = np.random.default_rng(0)
    shapes = [
        ((48, 64, 3), "u1"),
        ((48, 64, 3), "u1"),
        ((50, 64, 3), "u1"),
        ((49, 63, 3), "u1"),
        ((48, 64), "u1"),
        ((9, 7), "<u2"),
    ]
    images = [rng.integers(0, 255, shape).astype(kind) for shape, kind in shapes]
    sent = [RecordedMessage(T0 + i, None, VideoFrame(x), T0 + i + 1, 2, i, "rtcp", ("a", 1, i)) for i, x in enumerate(images)]
    with RecordingWriter(tmp_path / "a.mcap", start_ns=T0, video=video) as w:
        for record in sent:
            w.write("camera", record)
    with Recording(tmp_path / "a.mcap") as r:
        found = list(r.messages("camera"))
        late = list(r.messages("camera", since_ns=T0 + 1))
        assert r.is_lossless("camera") == (video != "foxglove")
    if video == "foxglove":
        assert [m.payload.image.shape[:2] for m in found] == [x.shape[:2] for x in images]
        blank = [dataclasses.replace(m, payload=s.payload) for m, s in zip(found, sent, strict=True)]
        assert all(map(same, blank, sent)), "bounds, origins and clocks are kept"
    else:
        assert all(map(same, found, sent))
    assert all(map(same, late, found[1:]))


def test_video_that_decodes_to_other_pixels_is_refused(tmp_path) -> None:
    image = VideoFrame(np.zeros((16, 16, 3), np.uint8))
    with RecordingWriter(tmp_path / "a.mcap", start_ns=T0, video="exact") as w:
        w.write("camera", RecordedMessage(T0, None, image))
        data = encode_record(RecordedMessage(T0 + 1, None, PackedFrame(DeltaEncoder().encode(image.image), "rgb8", 7)))
        w.write_record("camera", "VideoFrame", T0 + 1, 1, data)
    with Recording(tmp_path / "a.mcap") as r, pytest.raises(RecordingError, match="does not decode to the pixels"):
        list(r.messages("camera"))


images = hnp.arrays("u1", hnp.array_shapes(min_dims=2, max_dims=2, max_side=9)) | hnp.arrays(
    "u1", st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))
)


@given(st.lists(images | hnp.arrays("<u2", (3, 5)), min_size=1, max_size=9), st.integers(0, 1))
def test_images_come_back_from_their_differences_whatever_their_sizes(stream, repeat) -> None:
    encoder, decoder = DeltaEncoder(), DeltaDecoder()
    for image in [x for x in stream for _ in range(1 + repeat)]:
        found = decoder.decode(encoder.encode(image))
        assert found.dtype == image.dtype
        assert np.array_equal(found, image)


def test_a_key_image_comes_every_two_seconds_and_needs_no_other() -> None:
    rng, encoder = np.random.default_rng(0), DeltaEncoder()
    still = rng.integers(0, 255, (40, 40, 3)).astype(np.uint8)
    coded = [encoder.encode(still) for _ in range(130)]
    keys = [i for i, data in enumerate(coded) if is_key_image(data)]
    assert keys == [0, 60, 120]
    assert np.array_equal(DeltaDecoder().decode(coded[60]), still)
    with pytest.raises(PayloadError, match="the image before this one"):
        DeltaDecoder().decode(coded[61])


@given(
    st.binary(max_size=60)
    | st.builds(lambda a, b: b"\0\0\2\0" + a + b, st.binary(min_size=12, max_size=12), st.binary(max_size=30))
)
def test_other_bytes_are_no_image(data) -> None:
    with pytest.raises(PayloadError):
        DeltaDecoder().decode(data)
