"""Sound beside words: it is heard by the ears that ship, and what is learned of it changes nothing where none is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from omnistream.message import MS, Features, Message
from omnistream.node import Recent
from omnistream_models.ears.runtime import EarlyEars
from omnistream_models.ears.speakers import Speakers
from omnistream_models.fused import train as training
from omnistream_models.fused.data import make_data
from omnistream_models.fused.data import tensors as as_tensors
from omnistream_models.fused.evidence import HEARD, Evidence, Words
from omnistream_models.fused.scenes import scene
from omnistream_models.fused.sounding import heard, sounds_of
from omnistream_models.fused.sounds import Sounds
from omnistream_models.fused.tokens import SOUNDS, batch, other_tokens, tokens
from omnistream_models.fused.train import Trainer
from omnistream_nodes.gathering import sound_of


@pytest.fixture(autouse=True)
def _one_thread_and_small_batches(monkeypatch):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setattr(training, "BATCH", 32)
    yield
    torch.set_num_threads(before)


def test_a_sentence_sounds_like_itself_in_another_noise_and_unlike_another():
    ears, speakers = EarlyEars("shipped", 1), Speakers()
    clips = [speakers.say(text, "espeak-ng en-us+m1") for text in ("turn left", "take the red cup")]

    def sound(n: int, seed: int) -> np.ndarray:
        found = other_tokens(Evidence(speech=Words("x"), sound=heard(ears, clips[n], np.random.default_rng(seed))))
        assert found["sounds_on"].all()
        return found["sounds"].ravel()

    one, again, other = sound(0, 1), sound(0, 2), sound(1, 1)
    assert np.linalg.norm(one - again) < 0.5 * np.linalg.norm(one - other)


def test_scenes_are_spoken_by_voices_of_their_part_and_the_same_each_time(tmp_path: Path):
    made = {n: one for n in range(6) if (one := scene(5, n, test=True)).evidence.speech is not None}
    first, second = (sounds_of(made, ["espeak-ng"], tmp_path / str(k), seed=3, test=True) for k in range(2))
    assert set(first) == set(made)
    assert all(np.array_equal(first[n], second[n]) and first[n].shape[1] == HEARD for n in first)


def test_learning_what_is_heard_changes_nothing_where_nothing_is():
    rng, data = np.random.default_rng(0), make_data(3, 120)
    sounds = Sounds(np.arange(40), rng.normal(size=(40, SOUNDS, HEARD)).astype(np.float32), np.ones((40, SOUNDS), bool))
    trainer = Trainer(data, seed=0, stages=(1, 1, 1, 1, 12), sounds=sounds)
    trainer.run(4)
    items = as_tensors(batch([tokens(scene(4, n).evidence) for n in range(20)]))
    loud = items | {"sounds": torch.ones_like(items["sounds"]), "sounds_on": torch.ones_like(items["sounds_on"])}
    with torch.no_grad():
        before, louder = (trainer.model(x)[2] for x in (items, loud))
    trainer.run(16)
    with torch.no_grad():
        after, _, gates = trainer.model(items)[2:]
        learned = trainer.model(loud)[2]
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not gates[:, -1].any()
    assert not torch.equal(louder["verb"], learned["verb"])


def test_however_rows_come_those_of_the_words_are_taken():
    rows = np.random.default_rng(0).normal(size=(40, HEARD)).astype(np.float32)

    def told(size: int) -> Recent[Features]:
        parts = [rows[k : k + size] for k in range(0, 40, size)]
        return Recent(
            Message("e.out", 0, n, ("h", 0, n), at, at, at, {}, Features(part, 20 * MS))
            for n, part in enumerate(parts)
            if (at := (n + 1) * size * 20 * MS)
        )

    refused: list[str] = []
    found = [sound_of(told(size), 200 * MS, 500 * MS, refused.append) for size in (1, 5, 10, 40)]
    assert all(np.array_equal(f, found[0]) for f in found[1:])
    assert np.array_equal(found[0], rows[10:29])  # those that end after 200 ms, up to 80 ms behind the words
    assert sound_of(told(10), 2000 * MS, 2500 * MS, refused.append) is None
    narrow = replace(told(10)[0], payload=Features(np.zeros((10, 3), np.float32), 20 * MS))
    assert not refused
    assert sound_of(Recent([narrow]), 0, 500 * MS, refused.append) is None
    assert "192 channels" in refused[0]
