"""The models give the same bits on any number of threads: a replay need not know on how many the run was."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import pytest

from omnistream_nodes.hand_gesture import _Model
from omnistream_nodes.moonshine import Moonshine
from omnistream_nodes.voice_model import open_voice_model


def _digest(arrays: Iterator[np.ndarray]) -> str:
    digest = hashlib.blake2b()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _speech(threads: int, sound: np.ndarray) -> Iterator[np.ndarray]:
    model = Moonshine(threads)
    for seconds in (1.0, 2.2):
        audio = sound[: int(seconds * 16000)].astype(np.float32) / 32768
        utterance = model.recognize(audio)
        yield utterance._start[0]
        free = utterance.free()
        yield np.array([*free.tokens, free.log_p])
    voice = open_voice_model("silero", threads)
    yield np.array([voice.step(sound[i : i + 512]) for i in range(0, 16000, 512)])


def _hands(threads: int) -> Iterator[np.ndarray]:
    palm, hand = _Model("palm_detection", threads), _Model("hand_landmark", threads)
    for seed in range(3):
        rng = np.random.default_rng(seed)
        yield from palm(rng.random((192, 192, 3), np.float32))
        yield from hand(rng.random((224, 224, 3), np.float32))


@pytest.mark.parametrize("threads", [2, 3, 4])
def test_speech_on_more_threads_is_the_same_to_the_bit(threads: int, human) -> None:
    sound = human("goforward.raw")
    assert _digest(_speech(threads, sound)) == _digest(_speech(1, sound))


@pytest.mark.parametrize("threads", [2, 3, 4])
def test_hands_on_more_threads_are_the_same_to_the_bit(threads: int) -> None:
    assert _digest(_hands(threads)) == _digest(_hands(1))
