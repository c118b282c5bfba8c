"""Speech on people's and synthetic voices: what is understood, when, and that only the sound decides.

The figures (accuracy by voice, latency): .venv/bin/python launch/measure_speech.py
"""

from __future__ import annotations

import asyncio
import itertools
import random
from pathlib import Path

import numpy as np
import pytest

from omnistream.errors import GraphError
from omnistream.message import MS, SECOND, Command, Transcript
from omnistream.record import Recording
from omnistream.testing import context
from omnistream_nodes.command_parser import CommandParser
from omnistream_nodes.grammar_file import find_grammar, load_grammar
from omnistream_nodes.speech_recognizer import SpeechRecognizer

RECORDING = Path(__file__).resolve().parents[2] / "graphs" / "recordings" / "voice_robot.mcap"


def _finals(found: list[tuple[int, Transcript]]) -> list[Transcript]:
    return [t for _, t in found if t.final]


@pytest.fixture(scope="module")
def parse():
    """Transcripts -> the commands among them."""
    node, ctx = CommandParser(), context("parse")
    asyncio.run(node.open(ctx))

    async def commands(found: list[tuple[int, Transcript]]) -> list[Command]:
        out: list[Command] = []
        for now, transcript in found:
            ctx.now = now
            command = await node.step(transcript)
            if command is not None and command.intent != "none":
                out.append(command)
        return out

    return commands


async def test_a_person_says_go_forward_ten_meters(human, room, fed, parse) -> None:
    heard = await fed(SpeechRecognizer())
    found = await heard.hear(room(human("goforward.raw")))
    (final,) = _finals(found)
    assert final.text == "go forward ten meters"
    assert final.confidence > 0.9
    start, end = ((t - heard.start_ns) / SECOND - 0.5 for t in (final.start_ns, final.end_ns))
    assert 0.4 < start < 0.6
    assert 2.0 < end < 2.4  # by eye the "s" ends at 2.09 s, and a breath follows
    when = next(now for now, t in found if t.final)
    assert 104 * MS <= when - final.end_ns <= 130 * MS  # of silence, and the rest of a chunk
    (command,) = await parse(found)
    assert (command.intent, command.values) == ("move", {"distance_m": 10.0})
    assert (command.start_ns, command.end_ns) == (final.start_ns, final.end_ns)


async def test_partial_transcripts_rise_to_one_final(human, room, fed) -> None:
    found = [t for _, t in await (await fed(SpeechRecognizer())).hear(room(human("goforward.raw"), human("goforward.raw")))]
    for number, said in itertools.groupby(found, key=lambda t: t.utterance):
        revisions = list(said)
        assert [t.rev for t in revisions] == list(range(len(revisions)))
        assert [t.final for t in revisions] == [False] * (len(revisions) - 1) + [True]
        assert len({t.start_ns for t in revisions}) == 1
        assert len(revisions) > 2
        assert number in (0, 1)
    quiet = await fed(SpeechRecognizer(partial_ms=0))
    assert [t.final for _, t in await quiet.hear(room(human("goforward.raw")))] == [True]


@pytest.mark.parametrize("activity", ["silero", "webrtc"])
async def test_in_pieces_equals_whole(activity, human, say, room, fed) -> None:
    sound = room(say("turn left", "flite slt"), human("cards/001.wav"), say("take the cup", "espeak-ng en-us"))
    whole = [t for _, t in await (await fed(SpeechRecognizer(activity=activity))).hear(sound, len(sound))]
    assert len([t for t in whole if t.final]) == 3
    for sizes in (itertools.repeat(320), map(random.Random(1).randint, itertools.repeat(1), itertools.repeat(5000))):
        assert [t for _, t in await (await fed(SpeechRecognizer(activity=activity))).hear(sound, sizes)] == whole


async def test_the_future_does_not_change_the_past(human, room, fed) -> None:
    sound = room(human("cards/001.wav"), human("goforward.raw"))
    for cut_s in (1.7, 3.4, 4.3):  # in the silence, early and late in the second sentence
        cut = round(cut_s * 16000)
        other = np.concatenate([sound[:cut], np.random.default_rng(3).integers(-9000, 9000, 16000).astype(np.int16)])
        past = 100 * SECOND + cut * SECOND // 16000
        one, two = [
            [(now, t) for now, t in await (await fed(SpeechRecognizer())).hear(s) if now <= past]
            for s in (sound[: cut + 320], other)
        ]
        assert one == two != []


@pytest.mark.parametrize("voice", ["flite slt", "espeak-ng en-us+f2"])
async def test_confusable_sentences_trigger_nothing_when_spoken(voice, say, room, fed, parse) -> None:
    sentences = load_grammar(find_grammar("commands.yaml"), {"default_distance_m": 1.0}).confusable[:6]
    heard = await fed(SpeechRecognizer())
    assert await parse(await heard.hear(room(*(say(s, voice) for s in sentences)))) == []


async def test_people_who_say_no_command_trigger_nothing(human, room, fed, parse) -> None:
    names = [f"sense_and_sensibility_01_austen_64kb-0{n}" for n in (870, 880, 890)]
    clips = [human(f"librivox/{n}.wav") for n in names] + [human(n) for n in ("something.raw", "numbers.raw", "cards/001.wav")]
    heard = await fed(SpeechRecognizer())
    found = await heard.hear(room(*clips))
    assert len(_finals(found)) >= len(clips)
    assert await parse(found) == []


@pytest.mark.parametrize(
    ("text", "least_ms", "most_ms"), [("turn left", 104, 130), ("take the cup", 240, 270), ("stop", 152, 180)]
)
async def test_the_silence_waited_for_depends_on_the_words(text, least_ms, most_ms, say, room, fed) -> None:
    heard = await fed(SpeechRecognizer())
    found = await heard.hear(room(say(text, "flite rms")))
    (final,) = _finals(found)
    assert final.text == text
    waited = next(now for now, t in found if t.final) - final.end_ns
    assert least_ms * MS <= waited <= most_ms * MS


async def test_final_only_says_the_same_finals_and_no_partials(human, room, fed) -> None:
    sound = room(human("goforward.raw"))
    full = await (await fed(SpeechRecognizer())).hear(sound)
    node = await fed(SpeechRecognizer())
    node.ctx.variant = "final_only"
    found = await node.hear(sound)
    assert [(t.text, t.start_ns, t.end_ns, t.confidence) for t in _finals(found)] == [
        (t.text, t.start_ns, t.end_ns, t.confidence) for t in _finals(full)
    ]
    assert len(found) == len(_finals(found)) < len(full)


async def test_variants_that_change_all_the_time_say_the_same_finals(human, room, fed) -> None:
    sound = room(human("goforward.raw"), human("goforward.raw"))
    full = _finals(await (await fed(SpeechRecognizer())).hear(sound))
    node, choice = await fed(SpeechRecognizer()), random.Random(2)
    found = []
    for part in np.array_split(sound, 60):
        node.ctx.variant = choice.choice(SpeechRecognizer.variants)
        found += await node.hear(part)
    assert [(t.text, t.start_ns, t.end_ns) for t in _finals(found)] == [(t.text, t.start_ns, t.end_ns) for t in full]
    revs = [(t.utterance, t.rev) for _, t in found]
    assert revs == sorted(set(revs))


async def test_what_goes_on_after_a_pause_is_one_command(say, room, fed) -> None:
    """ "take the cup", 0.2 s, "on the left"."""
    first, second = say("take the cup", "flite slt"), say("on the left", "flite slt")
    voiced = np.flatnonzero(np.abs(first) > 300), np.flatnonzero(np.abs(second) > 300)
    clip = np.concatenate([first[: voiced[0][-1]], np.zeros(2400, np.int16), second[voiced[1][0] :]])
    (final,) = _finals(await (await fed(SpeechRecognizer())).hear(room(clip)))
    assert final.text == "take the cup on the left"


async def test_a_beginning_is_not_taken_for_another_phrase(say, room, fed) -> None:
    """This voice closes its lips for 0.1 s after "pick up", which sounds a little like "take that"."""
    found = _finals(await (await fed(SpeechRecognizer())).hear(room(say("pick up the yellow ball", "flite slt"))))
    assert [t.text for t in found] == ["pick up the yellow ball"]


async def test_free_dictation_writes_what_a_person_reads(human, room, fed) -> None:
    heard = await fed(SpeechRecognizer(grammar="none", partial_ms=0))
    found = _finals(await heard.hear(room(human("librivox/sense_and_sensibility_01_austen_64kb-0880.wav"))))
    words = set(" ".join(t.text for t in found).lower().replace(".", "").replace(",", "").split())
    truth = {"he", "was", "not", "an", "young", "man"}  # "he was not an ill-disposed young man", and something after it
    assert len(words & truth) >= 5


async def test_the_shipped_recording_is_understood(fed, parse) -> None:
    if not RECORDING.exists():
        pytest.skip("the recording is not there")
    recording = Recording(RECORDING)
    chunks = list(recording.messages("mic"))
    heard = await fed(SpeechRecognizer(partial_ms=0), start_ns=chunks[0].stamp_ns - chunks[0].payload.duration_ns)
    commands = await parse(await heard.hear(np.concatenate([c.payload.samples for c in chunks])))
    truth = [t for t in recording.truth() if t["kind"] == "utterance" and t["intent"] != "none"]
    assert [c.text for c in commands] == [t["text"] for t in truth]
    for command, said in zip(commands, truth, strict=True):
        assert abs(command.start_ns - said["start_ns"]) < 200 * MS
        assert abs(command.end_ns - said["end_ns"]) < 260 * MS  # the truth leaves weak endings out


async def test_nothing_is_heard_in_silence_noise_and_clicks(fed) -> None:
    heard = await fed(SpeechRecognizer())
    clicks = np.zeros(48000, np.int16)
    clicks[::4000] = 20000
    for sound in (np.zeros(32000, np.int16), np.random.default_rng(0).normal(0, 100, 48000).astype(np.int16), clicks):
        assert await heard.hear(sound) == []
    assert not heard.reports


async def test_a_lost_chunk_is_patched(human, room, fed) -> None:
    heard = await fed(SpeechRecognizer(partial_ms=0))
    sound = room(human("goforward.raw"))
    cut = 320 * 78  # in the vowel of "forward"
    found = await heard.hear(sound[:cut])
    heard.now += 20 * MS
    found += await heard.hear(sound[cut + 320 :])
    (final,) = _finals(found)
    assert final.text == "go forward ten meters"
    assert heard.reports == ["audio_gap"]


@pytest.mark.parametrize("jump_ms", [500, 60_000, -700])
async def test_an_utterance_torn_by_a_gap_commands_nothing(jump_ms, human, room, fed, parse) -> None:
    """Half of "go forward", a gap, and the rest, which begins with the gap and so lacks its beginning."""
    heard = await fed(SpeechRecognizer(partial_ms=0))
    sound = room(human("goforward.raw"))
    cut = 320 * 78
    found = await heard.hear(sound[:cut])
    torn_ns = heard.now
    heard.now += jump_ms * MS
    found += await heard.hear(sound[cut:])
    assert [(t.text, t.confidence) for t in _finals(found)] == [("", 0.0), ("", 0.0)]
    assert _finals(found)[0].end_ns <= torn_ns
    assert _finals(found)[1].start_ns >= torn_ns + jump_ms * MS
    assert await parse(found) == []
    assert heard.reports == ["audio_gap"]
    (final,) = _finals(await heard.hear(room(human("goforward.raw"))))  # and all is well again
    assert final.text == "go forward ten meters"


async def test_an_endless_utterance_is_cut(human, fed) -> None:
    heard = await fed(SpeechRecognizer(max_utterance_s=2, partial_ms=0))
    clip = human("librivox/sense_and_sensibility_01_austen_64kb-0870.wav")
    found = _finals(await heard.hear(np.concatenate([clip, clip, np.zeros(16000, np.int16)])))
    assert len(found) >= 4
    for one, two in itertools.pairwise(found):
        assert one.end_ns <= two.start_ns
    assert all(t.end_ns - t.start_ns <= 2 * SECOND for t in found)


async def test_other_sound_is_left_out_and_said_once(human, fed) -> None:
    heard = await fed(SpeechRecognizer())
    assert await heard.hear(human("goforward.raw"), rate_hz=8000) == []
    assert await heard.hear(np.zeros(3200, np.float32)) == []
    assert heard.reports == ["audio_rate"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"commit_ms": 600}, "commit_ms"),
        ({"probe_ms": 0}, "probe_ms"),
        ({"partial_ms": 10}, "partial_ms"),
        ({"max_utterance_s": 0.1}, "max_utterance_s"),
        ({"threshold": 1.0}, "threshold"),
    ],
)
def test_options_that_cannot_be_are_refused(options, says) -> None:
    with pytest.raises(GraphError, match=says):
        SpeechRecognizer(**options)
