"""Voice activity on people's voices, noise, gaps, and sound cut into any pieces."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from omnistream.errors import GraphError
from omnistream.message import MS, SECOND, Event
from omnistream_nodes.voice_activity import VoiceActivity

MODELS = ["silero", "webrtc"]


def _rows(found: list[tuple[int, Event]]) -> list[tuple[str, int]]:
    return [(e.kind, e.data["at_ns"]) for _, e in found]


@pytest.mark.parametrize("model", MODELS)
async def test_a_person_is_heard_where_the_person_speaks(model, human, room, fed) -> None:
    heard = await fed(VoiceActivity(model=model))
    clip = human("goforward.raw")  # by eye: "go forward ten meters" from 0.50 to 2.09 s, breath until 2.4 s
    found = await heard.hear(room(clip))
    assert [e.kind for _, e in found] == ["speech_start", "speech_end"]
    start, end = ((e.data["at_ns"] - heard.start_ns) / SECOND - 0.5 for _, e in found)
    assert (0.4 if model == "silero" else 0.0) <= start <= 0.62  # WebRTC's is taken in by the breath before
    assert 1.95 <= end <= 2.5
    assert found[1][1].data["start_ns"] == found[0][1].data["at_ns"]
    assert not heard.reports


@pytest.mark.parametrize("model", MODELS)
async def test_in_pieces_equals_whole(model, human, room, fed) -> None:
    sound = room(human("cards/005.wav"), human("goforward.raw"))
    whole = _rows(await (await fed(VoiceActivity(model=model))).hear(sound, len(sound)))
    assert len(whole) >= 4
    for sizes in (
        itertools.repeat(1000),
        itertools.repeat(320),
        map(random.Random(1).randint, itertools.repeat(1), itertools.repeat(700)),
    ):
        assert _rows(await (await fed(VoiceActivity(model=model))).hear(sound, sizes)) == whole


@pytest.mark.parametrize("model", MODELS)
async def test_the_future_does_not_change_the_past(model, human, room, fed) -> None:
    sound = room(human("cards/001.wav"), human("goforward.raw"))
    other = sound.copy()
    cut = len(sound) // 2
    other[cut:] = np.random.default_rng(3).integers(-9000, 9000, len(sound) - cut)
    one, two = [await (await fed(VoiceActivity(model=model))).hear(s) for s in (sound, other)]
    past = 100 * SECOND + cut * SECOND // 16000
    assert [(t, e) for t, e in one if t <= past] == [(t, e) for t, e in two if t <= past] != []


@pytest.mark.parametrize("model", MODELS)
async def test_silence_and_a_hiss_are_no_speech(model, fed) -> None:
    heard = await fed(VoiceActivity(model=model))
    assert await heard.hear(np.zeros(32000, np.int16)) == []
    assert await heard.hear(np.random.default_rng(0).normal(0, 30, 32000).astype(np.int16)) == []


async def test_a_gap_ends_speech_at_its_edge(human, fed) -> None:
    heard = await fed(VoiceActivity())
    clip = human("goforward.raw")
    first = await heard.hear(clip[: 16000 + 3200])  # in the middle of "forward"
    edge = heard.now
    heard.now += 2 * SECOND
    second = await heard.hear(clip[16000:])
    assert [e.kind for _, e in first + second] == ["speech_start", "speech_end", "speech_start", "speech_end"]
    assert edge - 64 * MS <= second[0][1].data["at_ns"] <= edge
    assert second[1][1].data["at_ns"] >= edge + 2 * SECOND
    assert heard.reports == ["audio_gap"]


async def test_behind_a_gap_all_is_as_in_the_beginning(human, room, fed) -> None:
    sound = room(human("goforward.raw"))
    torn = await fed(VoiceActivity())
    await torn.hear(sound[:32000])
    torn.now += 3 * SECOND
    fresh = await fed(VoiceActivity(), start_ns=torn.now)
    assert [e for _, e in await torn.hear(sound)][1:] == [e for _, e in await fresh.hear(sound)] != []


async def test_a_few_ms_of_jitter_are_no_gap(human, room, fed) -> None:
    sound = room(human("cards/001.wav"))
    steady = _rows(await (await fed(VoiceActivity())).hear(sound))
    heard = await fed(VoiceActivity())
    jitter = random.Random(0)
    shaken: list[tuple[str, int]] = []
    for at in range(0, len(sound), 320):
        true = heard.now
        heard.now = true + jitter.randint(-3, 3) * MS if at else true
        shaken += _rows(await heard.hear(sound[at : at + 320]))
        heard.now = true + len(sound[at : at + 320]) * SECOND // 16000
    assert shaken == steady
    assert not heard.reports


async def test_other_sound_is_left_out_and_said_once(human, fed) -> None:
    heard = await fed(VoiceActivity())
    assert await heard.hear(human("goforward.raw"), rate_hz=8000) == []
    assert await heard.hear(np.zeros((3200, 2), np.int16)) == []
    assert heard.reports == ["audio_rate"]
    assert "8000 Hz" in heard.ctx.report.rows[0][1]


@pytest.mark.parametrize("options", [{"threshold": 0.0}, {"threshold": 1.5}, {"min_speech_ms": -1}, {"end_silence_ms": 99_999}])
def test_options_that_cannot_be_are_refused(options) -> None:
    with pytest.raises(GraphError, match=next(iter(options))):
        VoiceActivity(**options)
