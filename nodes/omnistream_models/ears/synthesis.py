"""Clips for training: planned from a seed, spoken once, kept in the cache in shards, so that a stopped run goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from omnistream.errors import ModelError
from omnistream_models.ears.kept import Kept
from omnistream_models.ears.sentences import Sentences
from omnistream_models.ears.speakers import Speakers
from omnistream_models.ears.speech import Clip
from omnistream_models.ears.voices import may_train, voices_of
from omnistream_nodes.grammar import Grammar

__all__ = ["Amount", "Job", "make_clips", "plan"]

_SHARD = 400
#: So many commands begin with a word that changes nothing ("please stop").
_WITH_FILLER = 0.12


@dataclass(frozen=True, slots=True)
class Amount:
    """How often each phrase is said by a program's voices, and for each phrase how many other sentences, such that begin
    with it and go on, and such that end with it."""

    renderings: float
    others: float
    going_on: float = 0.0
    led_up_to: float = 0.0

    def times(self, by: float) -> Amount:
        return Amount(self.renderings * by, self.others * by, self.going_on * by, self.led_up_to * by)


#: Natural voices teach more but take longer: a clip of kokoro is 1.3 s of a core, of joe 0.08, of espeak-ng 0.03.
AMOUNTS: Mapping[str, Amount] = {
    "espeak-ng": Amount(30, 28, 20, 14),
    "flite": Amount(20, 15, 10, 8),
    "joe": Amount(12, 11, 8, 6),
    "kokoro": Amount(4, 2, 1.5, 1),
}


@dataclass(frozen=True, slots=True)
class Job:
    """One clip to make; `seed` fixes how it is spoken. `phrase` is its number in the grammar, or -1."""

    voice: str
    text: str
    phrase: int
    seed: int


def plan(
    grammar: Grammar, programs: Sequence[str], seed: int, amounts: Mapping[str, Amount] = AMOUNTS,
    allowed: Callable[[str], bool] | None = None,
) -> list[Job]:  # fmt: skip
    """What is to be said, by whom; never a sentence that is kept for tests. `allowed` says which voices may speak: those that
    training may use, if it is left out.

    Raises ModelError where no voice of a program may.
    """
    sentences, kept = Sentences(grammar), Kept(grammar)
    fillers = [" ".join(f) for f in grammar.fillers]
    jobs: list[Job] = []
    for program in programs:
        rng = np.random.default_rng([seed, *program.encode()])
        may = allowed or (lambda voice: may_train(voice, grammar.reserved))
        voices = [v for v in voices_of(program) if may(v)]
        if not voices:
            raise ModelError(f"every voice of {program} is reserved for tests; leave one to train with in 'reserved_for_tests'")
        amount = amounts[program]
        for phrase, p in enumerate(grammar.phrases):
            for _ in range(max(1, round(amount.renderings))):
                text = f"{_any(rng, fillers)} {p.text}" if fillers and rng.random() < _WITH_FILLER else p.text
                jobs.append(Job(_any(rng, voices), text, phrase, int(rng.integers(1 << 31))))
        for n in range(round(amount.others * len(grammar.phrases))):
            text = sentences.near(rng) if n % 3 else sentences.everyday(rng)
            jobs.append(Job(_any(rng, voices), text, -1, int(rng.integers(1 << 31))))
        for often, around in ((amount.going_on, sentences.going_on), (amount.led_up_to, sentences.led_up_to)):
            for n in range(round(often * len(grammar.phrases))):
                text = around(grammar.phrases[n % len(grammar.phrases)].text, rng)
                jobs.append(Job(_any(rng, voices), text, -1, int(rng.integers(1 << 31))))
    return [_spared(job, kept, sentences) for job in jobs]


def _spared(job: Job, kept: Kept, sentences: Sentences) -> Job:
    """The job; another sentence in its place if its own is kept for tests."""
    if job.phrase >= 0 or job.text not in kept:
        return job
    rng = np.random.default_rng(job.seed)
    text = next(t for t in iter(lambda: sentences.everyday(rng), "") if t not in kept)
    return replace(job, text=text)


def make_clips(jobs: Sequence[Job], folder: Path, progress: Callable[[int], None] = lambda _: None) -> list[Clip]:
    """The clips of `jobs`, those that said something; `progress` is told how many more are done. Shards lie in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    speakers = Speakers()
    clips: list[Clip] = []
    for begin in range(0, len(jobs), _SHARD):
        part = jobs[begin : begin + _SHARD]
        path = folder / f"clips-{_digest(part)}.npz"
        if not path.exists():
            _write(path, [c for c in _speak(speakers, part, progress) if c is not None])
        else:
            progress(len(part))
        clips += _read(path)
    return clips


def _speak(speakers: Speakers, jobs: Sequence[Job], progress: Callable[[int], None]) -> Iterator[Clip | None]:
    for job in jobs:
        yield speakers.say(job.text, job.voice, np.random.default_rng(job.seed), job.phrase)
        progress(1)


def _digest(jobs: Sequence[Job]) -> str:
    said = json.dumps([[j.voice, j.text, j.phrase, j.seed] for j in jobs])
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _write(path: Path, clips: Sequence[Clip]) -> None:
    part = path.with_suffix(".part")
    about = json.dumps([[c.text, c.voice, c.phrase, c.first, c.last, len(c.samples)] for c in clips])
    sound = np.concatenate([c.samples for c in clips]) if clips else np.zeros(0, np.int16)
    with part.open("wb") as f:
        np.savez(f, sound=sound, about=np.frombuffer(about.encode(), np.uint8))
    part.replace(path)


def _read(path: Path) -> list[Clip]:
    with np.load(path) as shard:
        sound, about = shard["sound"], json.loads(shard["about"].tobytes())
    clips: list[Clip] = []
    at = 0
    for text, voice, phrase, first, last, length in about:
        clips.append(Clip(sound[at : at + length], first, last, text, voice, phrase))
        at += length
    return clips


def _any(rng: np.random.Generator, items: Sequence[str]) -> str:
    return items[int(rng.integers(len(items)))]
