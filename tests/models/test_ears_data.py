"""What ears learn from: no reserved voice, no sentence of the tests, and labels where phrases end, wherever that is."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from ears_parts import need_flite, small_grammar, tone

from omnistream.errors import ModelError
from omnistream_models.ears.around import Around
from omnistream_models.ears.augment import by_another
from omnistream_models.ears.features import STEP
from omnistream_models.ears.kept import NEAR_MISSES, NO_COMMANDS, PARAPHRASES, Kept
from omnistream_models.ears.onward import Onward
from omnistream_models.ears.scenes import IGNORED, Scenes, label_span
from omnistream_models.ears.sentences import Sentences
from omnistream_models.ears.speakers import Speakers
from omnistream_models.ears.speech import Clip, voiced_span
from omnistream_models.ears.synthesis import AMOUNTS, Amount, make_clips, plan
from omnistream_models.ears.voices import held_out, may_train, voices_of
from omnistream_nodes.grammar_file import find_grammar, load_grammar

SHIPPED = load_grammar(find_grammar("commands.yaml"), {"default_distance_m": 1.0})


def test_no_plan_names_a_reserved_voice_or_a_sentence_that_is_kept_for_tests() -> None:
    if not shutil.which("espeak-ng"):
        pytest.skip("espeak-ng is missing: apt-get install espeak-ng")
    kept = Kept(SHIPPED)
    for program in AMOUNTS:
        jobs = plan(SHIPPED, [program], seed=3)
        assert not [j.text for j in jobs if j.text in kept]
        assert {j.phrase for j in jobs} == {-1, *range(len(SHIPPED.phrases))}
        assert not [j.voice for j in jobs if held_out(j.voice, SHIPPED.reserved)]
    assert held_out("flite rms", SHIPPED.reserved)
    assert held_out("espeak-ng en-gb+linda", SHIPPED.reserved)
    assert held_out("espeak-ng en-gb-scotland+f1", SHIPPED.reserved)
    assert held_out("hibari heart", SHIPPED.reserved)
    assert not may_train("espeak-ng en-us+belinda", SHIPPED.reserved)  # it chooses thresholds
    assert may_train("flite awb", SHIPPED.reserved)
    assert len([v for v in voices_of("espeak-ng") if may_train(v, SHIPPED.reserved)]) > 400


def test_a_program_whose_every_voice_is_reserved_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="every voice of flite is reserved"):
        plan(small_grammar(tmp_path), ["flite"], 1, allowed=lambda _: False)


def test_other_sentences_are_never_commands_nor_those_of_the_tests() -> None:
    rng, sentences = np.random.default_rng(5), Sentences(SHIPPED)
    made = [sentences.near(rng) if n % 2 else sentences.everyday(rng) for n in range(3000)]
    kept = {" ".join(SHIPPED.words(t)) for t in SHIPPED.confusable}
    assert not [t for t in made if SHIPPED.find(t) or " ".join(SHIPPED.words(t)) in kept]
    assert len(set(made)) > 1200
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


def test_sentences_that_go_on_hold_their_phrase_and_are_no_commands() -> None:
    rng, onward, kept = np.random.default_rng(5), Onward(SHIPPED), Kept(SHIPPED)
    for phrase in SHIPPED.phrases:
        on = [onward.after(phrase.text, rng) for _ in range(20)]
        before = [onward.before(phrase.text, rng) for _ in range(20)]
        instead = [onward.instead(phrase.text, rng) for _ in range(20)]
        assert not [t for t in (*on, *before, *instead) if SHIPPED.find(t) or t in kept]
        assert all(t.startswith(phrase.text + " ") for t in on)
        assert all(f" {phrase.text}" in t for t in before)
        begun = " ".join(phrase.text.split()[:-1])
        assert all(t.startswith(begun or phrase.text + " ") for t in instead)
    assert len({onward.any(rng) for _ in range(1000)}) > 950
    intents = [onward.phrase(rng).intent for _ in range(3000)]
    assert min(intents.count(p.intent) for p in SHIPPED.phrases) > 3000 / 15 / 3  # half of 1 in 15, less chance


def test_the_longest_phrase_that_a_sentence_holds_is_found() -> None:
    around = Around(SHIPPED)

    def of(text: str) -> tuple[str, bool] | None:
        found = around.find(text)
        return None if found is None else (SHIPPED.phrases[found[0]].text, found[1])

    assert of("go forward ten meters at the end") == ("go forward ten meters", True)
    assert of("go forward to the end") == ("go forward", True)
    assert of("they take the cup on the left") == ("take the cup on the left", False)
    assert of("stop") is of("go home") is of("homes go far") is None  # a phrase is no part of itself


@pytest.mark.parametrize("sayings", [(1, 30), (30, 1)])
def test_a_phrase_is_heard_in_sentences_about_as_often_as_alone_however_many_clips_there_are(sayings: tuple[int, int]) -> None:
    sound = np.full(8000, 900, np.int16)
    texts: list[tuple[str, int]] = []
    for n, p in enumerate(SHIPPED.phrases):
        few = p.text == "go home"
        texts += [(p.text, n)] * 3 + [(f"{p.text} with them", -1), (f"they never {p.text}", -1)] * sayings[few]
    clips = [Clip(sound, 0, len(sound), text, "flite awb", phrase) for text, phrase in [*texts, ("good morning", -1)]]
    scenes, rng = Scenes(clips, SHIPPED, 1), np.random.default_rng(0)
    heard = [scenes._clip(rng).text for _ in range(8000)]
    for phrase in ("go home", "turn around", "stop"):
        alone, on, after = (heard.count(t) for t in (phrase, f"{phrase} with them", f"they never {phrase}"))
        assert 0.35 < on / alone < 0.85
        assert 0.2 < after / alone < 0.65


def test_another_voice_changes_each_frame_by_itself_and_not_beyond_measure() -> None:
    mels = np.random.default_rng(1).standard_normal((50, 40)).astype(np.float32)
    moved = 0
    for seed in range(20):
        whole = by_another(mels, np.random.default_rng(seed))
        assert whole.dtype == np.float32
        assert np.allclose(whole[7:9], by_another(mels[7:9], np.random.default_rng(seed)))
        flat = by_another(np.ones((1, 40), np.float32), np.random.default_rng(seed))
        assert np.abs(flat - 1).max() <= 0.5
        moved += not np.array_equal(whole, mels)
    assert 10 <= moved <= 19  # three in four


def test_parts_of_sentences_are_heard_often_though_few_clips_are_such() -> None:
    sound = np.full(8000, 900, np.int16)
    stop = next(n for n, p in enumerate(SHIPPED.phrases) if p.text == "stop")
    said = {"stop": stop, "stop by the river": -1, "she said stop": -1} | {f"other{n}": -1 for n in range(40)}
    clips = [Clip(sound, 0, len(sound), text, "flite awb", phrase) for text, phrase in said.items()]
    scenes = Scenes(clips, SHIPPED, 1)
    heard = " ".join(text for n in range(30) for text in scenes.batch(n, 2).texts)
    assert heard.count("river") + heard.count("she said") > heard.count("other") / 4


def test_labels_begin_when_a_phrase_has_ended() -> None:
    begin, end = label_span(16000, goes_on=False)
    assert 16000 <= begin * STEP < 16000 + STEP
    assert (end - begin) * STEP == pytest.approx(280 * 16, abs=STEP)
    assert label_span(16000, goes_on=True)[0] * STEP >= 16000 + 80 * 16


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


def test_a_voice_that_is_not_there_is_a_sentence() -> None:
    need_flite()
    with pytest.raises(ModelError, match="no synthesizer is called 'gramophone'"):
        Speakers().say("stop", "gramophone his-master")
