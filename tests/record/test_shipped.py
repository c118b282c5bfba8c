"""The recording that ships: what its truth says is what is heard and seen in it, and its maker makes it again."""

from __future__ import annotations

import importlib.util
import itertools
import shutil
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnistream.errors import OmniStreamError
from omnistream.message import MS, SECOND, AudioChunk, VideoFrame
from omnistream.record import Recording
from omnistream.testing import context
from omnistream_models import is_cached

HERE = Path(__file__).resolve().parents[2] / "graphs" / "recordings"
SHIPPED = HERE / "voice_robot.mcap"


def load(name: str) -> ModuleType:
    sys.path.insert(0, str(HERE))
    try:
        spec = importlib.util.spec_from_file_location(f"recordings_{name}", HERE / f"{name}.py")
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(HERE))


def test_what_ships() -> None:
    with Recording(SHIPPED) as r:
        assert not r.notice
        assert r.streams() == {"mic": {AudioChunk}, "camera": {VideoFrame}}
        chunks = list(r.messages("mic"))
        assert {len(m.payload.samples) for m in chunks} == {320}
        assert {b.start_ns - a.stamp_ns for a, b in itertools.pairwise(chunks)} == {0}
        assert chunks[0].start_ns == r.start_ns
        frame = next(r.messages("camera"))
        assert frame.payload.image.shape == (240, 320, 3)
        assert 60 * SECOND < r.end_ns - r.start_ns < 75 * SECOND
    assert SHIPPED.stat().st_size < 6_000_000


def test_its_truth_is_what_is_heard() -> None:
    """Loud just before an utterance's end; from 0.5 s after it on, as quiet as the room."""
    with Recording(SHIPPED) as r:
        sound = np.concatenate([m.payload.samples for m in r.messages("mic")]).astype(float)
        said = [t for t in r.truth() if t["kind"] == "utterance"]
        at = lambda ns: (ns - r.start_ns) * 16000 // SECOND  # noqa: E731
    assert len(said) == 14
    assert "human" in said[0]["voice"]
    assert said[0]["text"] == "go forward ten meters"
    assert [t["intent"] for t in said].count("none") == 1
    for t in said:
        end = at(t["end_ns"])
        assert np.sqrt((sound[end - 480 : end] ** 2).mean()) > 200
        later = sound[end + 8000 : end + 12000]
        assert np.sqrt((later**2).mean()) < 60
        assert 200 * MS < t["end_ns"] - t["start_ns"] < 3 * SECOND


@pytest.mark.skipif(
    not (is_cached("palm_detection_lite") and is_cached("hand_landmark_lite")), reason="model files have not been pulled"
)
async def test_its_truth_is_what_is_seen() -> None:
    from omnistream_nodes.hand_gesture import HandGesture

    with Recording(SHIPPED) as r:
        shown = [t for t in r.truth() if t["kind"] == "gesture"]
        assert [t["name"] for t in shown] == ["point_left", "open_palm", "thumbs_up"]
        for t in shown:
            node, ctx = HandGesture(), context("hands")
            await node.open(ctx)
            seen: list[str] = []
            for m in r.messages("camera", since_ns=t["start_ns"] - SECOND):
                if m.stamp_ns > t["end_ns"] + SECOND:
                    break
                ctx.now = m.stamp_ns
                out = await node.step(m.payload)
                name = out.out.name if out and out.out else "none"
                if not t["start_ns"] <= m.stamp_ns < t["end_ns"]:
                    assert name in ("none", t["name"])  # the vote may lag by a frame
                elif t["start_ns"] + 400 * MS < m.stamp_ns < t["end_ns"] - 400 * MS:
                    seen.append(name)
            assert seen.count(t["name"]) > 0.95 * len(seen)
            await node.close()


@pytest.mark.skipif(not (shutil.which("flite") and shutil.which("npm")), reason="flite and npm are not both installed")
def test_it_is_made_again_byte_for_byte(tmp_path: Path) -> None:
    make = load("make")
    script = ([make.Said(0.3, "stop", "stop", "flite slt")], [make.Gesture(0.5, 1.2, "point_left")], 1.5)
    try:
        for name in ("a.mcap", "b.mcap"):
            make.make(tmp_path / name, script)
    except OmniStreamError as e:
        pytest.skip(str(e))
    assert (tmp_path / "a.mcap").read_bytes() == (tmp_path / "b.mcap").read_bytes()
    with Recording(tmp_path / "a.mcap") as r:
        assert [t["kind"] for t in r.truth()] == ["utterance", "gesture"]


def test_the_bench_has_at_least_100_commands_in_varied_voices() -> None:
    said, shown, length_s = load("make").bench_script()
    assert len(said) >= 100
    assert len({s.voice for s in said}) >= 5
    assert all(b.at_s - a.at_s > 2.5 for a, b in itertools.pairwise(said))
    assert 300 < length_s < 480
    assert shown


@given(st.integers(0, 4000), st.integers(800, 8000), st.integers(0, 8000), st.floats(0, 20))
def test_where_speech_ends_is_found_to_a_frame(before: int, long: int, after: int, noise: float) -> None:
    """A tone amid near silence: found to 10 ms on either side."""
    rng = np.random.default_rng(0)
    tone = 8000 * np.sin(np.arange(long) * 0.2)
    clip = np.concatenate([np.zeros(1600 + before), tone, np.zeros(1600 + after)])
    clip += rng.normal(0, noise, len(clip))
    first, last = load("voices").voiced_span(clip.astype(np.int16))
    assert abs(first - 1600 - before) <= 160
    assert abs(last - 1600 - before - long) <= 160
