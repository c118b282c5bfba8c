"""What ears learn from: no reserved voice, no sentence of the tests, and labels where phrases end, wherever that is."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ears_parts import need_flite, small_grammar, tone

from omnistream.errors import ModelError
from omnistream_models.ears import kokoro, synthesis, vocabulary, voices
from omnistream_models.ears.augment import masked, paced
from omnistream_models.ears.features import STEP
from omnistream_models.ears.kept import NEAR_MISSES, NO_COMMANDS, PARAPHRASES, Kept
from omnistream_models.ears.scenes import IGNORED, Scenes, label_span
from omnistream_models.ears.sentences import Sentences
from omnistream_models.ears.speakers import Speakers
from omnistream_models.ears.speech import Clip, last_sound, voiced_span
from omnistream_models.ears.synthesis import AMOUNTS, Amount, make_clips, plan
from omnistream_models.ears.voices import held_out, installed_programs, may_train, missing_programs, voices_of
from omnistream_models.registry import Package
from omnistream_nodes.grammar_file import find_grammar, load_grammar

SHIPPED = load_grammar(find_grammar("commands.yaml"), {"default_distance_m": 1.0})


@pytest.mark.parametrize("seed", [1, 3])
def test_no_plan_names_a_reserved_voice_or_a_sentence_that_is_kept_for_tests(seed: int) -> None:
    if not shutil.which("espeak-ng"):
        pytest.skip("espeak-ng is missing: apt-get install espeak-ng")
    kept = Kept(SHIPPED)
    for program in AMOUNTS:
        jobs = plan(SHIPPED, [program], seed)
        assert not [j.text for j in jobs if j.text in kept]
        assert {j.phrase for j in jobs} == {-1, *range(len(SHIPPED.phrases))}
        assert not [j.voice for j in jobs if held_out(j.voice, SHIPPED.reserved)]
    assert held_out("flite rms", SHIPPED.reserved)
    assert held_out("espeak-ng en-gb+linda", SHIPPED.reserved)
    assert held_out("espeak-ng en-gb-scotland+f1", SHIPPED.reserved)
    assert held_out("hibari heart", SHIPPED.reserved)
    assert not may_train("espeak-ng en-us+belinda", SHIPPED.reserved)  # it chooses thresholds
    assert not may_train("kokoro am_puck", SHIPPED.reserved)
    assert may_train("kokoro bm_george", SHIPPED.reserved)
    assert "kokoro af_heart" not in voices_of("kokoro")  # whom hibari imitates
    assert may_train("flite awb", SHIPPED.reserved)
    assert voices_of("rhvoice") == ["rhvoice alan", "rhvoice bdl", "rhvoice clb"]  # not slt, whom tests hear from flite
    assert len([v for v in voices_of("espeak-ng") if may_train(v, SHIPPED.reserved)]) > 400


def test_a_program_whose_every_voice_is_reserved_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="every voice of flite is reserved"):
        plan(small_grammar(tmp_path), ["flite"], 1, allowed=lambda _: False)


def test_other_sentences_are_never_commands_nor_those_of_the_tests() -> None:
    rng, sentences = np.random.default_rng(5), Sentences(SHIPPED)
    made = [sentences.near(rng) if n % 2 else sentences.everyday(rng) for n in range(3000)]
    kept = {" ".join(SHIPPED.words(t)) for t in SHIPPED.confusable}
    assert not [t for t in made if SHIPPED.find(t) or " ".join(SHIPPED.words(t)) in kept]
    assert len(set(made)) > 2000
    for phrase in ("stop", "go forward", "pick up the red cup"):
        for around, has in ((sentences.going_on, str.startswith), (sentences.led_up_to, str.endswith)):
            some = [around(phrase, rng) for _ in range(100)]
            assert not [t for t in some if SHIPPED.find(t) or " ".join(SHIPPED.words(t)) in kept]
            assert sum(has(t, phrase) for t in some) > 90  # another where that would be one of the tests


def test_what_is_kept_for_tests_is_no_command_and_keeps_longer_sentences_too() -> None:
    kept = Kept(SHIPPED)
    others = [t for texts in PARAPHRASES.values() for t in texts.split(",")]
    none = (*NEAR_MISSES, *NO_COMMANDS, *SHIPPED.confusable)
    assert all(text in kept for text in (*none, *others))
    assert not [text for text in none if SHIPPED.find(text)]
    assert "and then Go home, and sleep well!" in kept
    assert not [t for t in ("go home", "go home and sleepy", "open the gripper", "stop it now and then") if t in kept]


def test_what_tells_the_tests_sentences_from_commands_is_in_no_list_of_words() -> None:
    commands = {word for p in SHIPPED.phrases for word in p.text.split()} | {"for", "with"}
    told_by = {word for text in NEAR_MISSES for word in text.split()} - commands
    for words in (vocabulary.NOUNS, vocabulary.ADJECTIVES, vocabulary.PLAIN, vocabulary.SWAPS):
        assert not told_by & {word for item in words for word in item.split()}


def test_a_phrase_goes_on_in_another_way_each_time() -> None:
    rng, sentences = np.random.default_rng(6), Sentences(SHIPPED)
    assert len({sentences.going_on("go home", rng) for _ in range(500)}) > 450


def test_parts_of_sentences_are_heard_often_though_few_clips_are_such() -> None:
    sound = np.full(8000, 900, np.int16)
    stop = next(n for n, p in enumerate(SHIPPED.phrases) if p.text == "stop")
    said = {"stop": stop, "stop by the river": -1, "she said stop": -1} | {f"other{n}": -1 for n in range(40)}
    clips = [Clip(sound, 0, len(sound), text, "flite awb", phrase) for text, phrase in said.items()]
    scenes = Scenes(clips, SHIPPED, 1)
    heard = " ".join(text for n in range(30) for text in scenes.batch(n, 2).texts)
    assert heard.count("river") + heard.count("she said") > heard.count("other") / 4


def test_sentences_around_the_phrases_of_rare_intents_are_said_and_heard_more_often() -> None:
    jobs = plan(SHIPPED, ["flite"], 1, {"flite": Amount(1, 0, going_on=20)})
    rare = [j for j in jobs if j.phrase < 0 and j.text.startswith("go home ")]
    assert len(rare) > 20 + 10
    sound = np.full(8000, 900, np.int16)
    said = {f"pick up the red cup {n}": -1 for n in range(40)} | {"go home and sleepy": -1, "take that": 1}
    scenes = Scenes([Clip(sound, 0, len(sound), text, "flite awb", phrase) for text, phrase in said.items()], SHIPPED, 1)
    heard = " ".join(text for n in range(30) for text in scenes.batch(n, 2).texts)
    assert heard.count("go home") > heard.count("pick up") / 20  # it would be a fortieth


def test_labels_begin_when_a_phrase_has_ended() -> None:
    begin, end = label_span(16000, goes_on=False)
    assert 16000 <= begin * STEP <= 16000 + 320
    assert (end - begin) * STEP == pytest.approx(280 * 16, abs=STEP)
    assert label_span(16000, goes_on=True)[0] * STEP >= 16000 + 40 * 16


def test_scenes_place_ends_anywhere_and_are_the_same_again(tmp_path: Path) -> None:
    grammar = small_grammar(tmp_path)
    clips = [tone(p, s, seed) for p in (-1, 0, 1, 2) for s in (0.3, 0.6) for seed in range(3)]
    scenes = Scenes(clips, grammar, seed=1, seconds=4)
    batch = scenes.batch(0, 40)
    assert batch.mels.shape == (40, 400, 40)
    assert batch.labels.shape == (40, 200)
    assert set(np.unique(batch.labels)) == {IGNORED, 0, 1, 2, 3}
    starts = [n for row in batch.labels for n in np.flatnonzero((row[1:] > 0) & (row[:-1] == 0))]
    assert np.std(starts) > 25  # of 200 steps: a fixed place would teach the time since the start
    again = Scenes(clips, grammar, seed=1, seconds=4)
    again.batch(7, 2)
    assert np.array_equal(again.batch(0, 40).mels, batch.mels)
    assert not np.array_equal(scenes.batch(1, 40).labels, batch.labels)


def test_the_span_of_speech_is_found() -> None:
    clip = tone(1)
    assert abs(clip.first - voiced_span(clip.samples)[0]) <= 160
    assert abs(clip.last - voiced_span(clip.samples)[1]) <= 160
    assert voiced_span(np.zeros(1600, np.int16)) == (0, 0)
    assert voiced_span(np.zeros(10, np.int16)) == (0, 0)


def test_the_release_of_a_last_sound_is_still_of_the_command() -> None:
    clip = tone(1)
    release = np.zeros(2400, np.int16)
    release[1600:1760] = 60 * (-1) ** np.arange(160)  # 30 to 40 dB below the tone
    samples = np.concatenate([clip.samples[: clip.last], release])
    assert abs(voiced_span(samples)[1] - clip.last) <= 160
    assert abs(last_sound(samples) - clip.last - 1760) <= 160
    assert last_sound(np.zeros(1600, np.int16)) == last_sound(np.zeros(10, np.int16)) == 0


def test_clips_are_made_once(tmp_path: Path) -> None:
    need_flite()
    jobs = plan(small_grammar(tmp_path), ["flite"], 1, {"flite": Amount(1, 1)})
    told: list[int] = []
    made = make_clips(jobs, tmp_path / "clips", told.append)
    assert sum(told) == len(jobs) == 6
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "clips").iterdir()}
    again = make_clips(jobs, tmp_path / "clips")
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "clips").iterdir()} == stamps
    assert [(c.text, c.voice, c.last) for c in again] == [(c.text, c.voice, c.last) for c in made]
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(made, again, strict=True))
    assert all(0 < c.first < c.last <= len(c.samples) for c in made)


def test_every_core_says_what_one_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_flite()
    jobs = plan(small_grammar(tmp_path), ["flite"], 1, {"flite": Amount(2, 1)})
    monkeypatch.setattr(synthesis.os, "sched_getaffinity", lambda _: {0, 1})
    alone = make_clips(jobs, tmp_path / "alone")
    monkeypatch.setattr(synthesis, "_MANY", 1)
    together = make_clips(jobs, tmp_path / "together")
    assert [c.text for c in together] == [c.text for c in alone]
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(alone, together, strict=True))


def test_another_package_of_speakers_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNISTREAM_CACHE", str(tmp_path))

    def other(package: Package, folder: Path) -> Path:
        (folder / "other.tgz").write_bytes(b"something else")
        return folder / "other.tgz"

    monkeypatch.setattr(kokoro, "download", other)
    with pytest.raises(ModelError, match=r"out of kokoro-js 1\.2\.1 \(npm\) has sha256 .* not the one that was tried"):
        kokoro.english_styles()
    assert not list(tmp_path.rglob("*.tgz"))


def test_at_another_pace_no_frame_is_a_mixture_of_others() -> None:
    mels = np.random.default_rng(1).normal(size=(400, 40)).astype(np.float32)
    heard, _ = paced(mels, np.zeros(200, np.int64), 1.07, IGNORED)
    frames = {row.tobytes() for row in mels}
    assert all(row.tobytes() in frames for row in heard)


def test_a_voice_that_is_not_there_is_a_sentence() -> None:
    need_flite()
    with pytest.raises(ModelError, match="no synthesizer is called 'gramophone'"):
        Speakers().say("stop", "gramophone his-master")


#: Stands in for a synthesizer that no registry of Python has: writes down what it is asked, and hums.
ASKED = """#!{python}
import json, sys, wave
out = sys.argv[max(sys.argv.index(o) for o in ("-o", "-w") if o in sys.argv) + 1]
with open(__file__ + ".json", "w") as f:
    json.dump([sys.argv[1:], sys.stdin.read()], f)
with wave.open(out, "wb") as f:
    f.setparams((1, 2, 16000, 0, "NONE", ""))
    f.writeframes(bytes(3200) + b"\\x00\\x20\\x00\\xe0" * 4000 + bytes(3200))
"""


@pytest.mark.parametrize(
    ("voice", "program", "plain"),
    [
        ("rhvoice bdl", "RHVoice-test", "-p bdl -r 100 -t 100"),
        ("pico en-GB", "pico2wave", "-l en-GB"),
        ("festival ked", "text2wave", "-eval (begin (voice_ked_diphone))"),
    ],
)
def test_programs_are_asked_for_a_voice_and_for_another_pace_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, voice: str, program: str, plain: str
) -> None:
    (tmp_path / program).write_text(ASKED.format(python=sys.executable))
    (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    def asked(rng: np.random.Generator | None) -> str:
        clip = Speakers().say("stop & go", voice, rng, 4)
        assert clip is not None
        assert (clip.voice, clip.phrase, clip.last - clip.first) == (voice, 4, 8000)
        arguments, given = json.loads((tmp_path / f"{program}.json").read_text())
        assert (given == "stop & go") != ("stop &amp; go" in arguments[-1])
        return " ".join(a for a in arguments if not a.endswith("a.wav"))

    assert plain in asked(None)
    assert len({asked(np.random.default_rng(seed)) for seed in range(5)}) == 5


def test_what_is_missing_is_named_with_what_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "flite").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = missing_programs()
    assert set(missing) == set(AMOUNTS) - {"flite"}
    assert "rhvoice-english" in missing["rhvoice"]
    assert installed_programs() == ["flite"]
    (tmp_path / "text2wave").touch(0o755)
    for folder, found in ((tmp_path, True), (tmp_path / "no voices", False)):
        festival = replace(voices._PROGRAMS["festival"], folder=str(folder))
        monkeypatch.setitem(voices._PROGRAMS, "festival", festival)
        assert ("festival" in installed_programs()) == found


def test_bands_are_silenced_in_half_of_the_scenes_and_no_more_than_twice_six() -> None:
    mels = np.random.default_rng(0).normal(size=(50, 40)).astype(np.float32)
    before = mels.copy()
    silenced: list[int] = []
    for seed in range(200):
        out = masked(mels, np.random.default_rng(seed))
        changed = (out != mels).any(axis=0)
        assert (out[:, changed] == out[:1, changed]).all()
        silenced.append(int(changed.sum()))
    assert np.array_equal(mels, before)
    assert 70 < silenced.count(0) < 130
    assert 6 < max(silenced) <= 12


@pytest.mark.parametrize("times", [0.88, 1.0, 1.12])
def test_at_another_pace_labels_stay_with_what_they_name(times: float) -> None:
    mels = np.zeros((400, 40), np.float32)
    mels[160:] = 1
    labels = np.zeros(200, np.int64)
    labels[80:94] = 3
    heard, told = paced(mels, labels, times, IGNORED)
    assert heard.shape == mels.shape
    assert told.shape == labels.shape
    assert abs(int(heard[:, 0].argmax()) - 160 / times) <= 1
    assert abs(int((told == 3).argmax()) - 80 / times) <= 1
    assert (told == IGNORED).sum() == max(0, 200 - int(np.ceil(200 / times)))
