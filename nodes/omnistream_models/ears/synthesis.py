"""Clips for training: planned from a seed, spoken once, kept in the cache in shards, so that a stopped run goes on."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from omnistream.errors import ModelError
from omnistream_models.child import serve_parent
from omnistream_models.ears.chance import one_of
from omnistream_models.ears.kept import Kept
from omnistream_models.ears.sentences import Sentences
from omnistream_models.ears.speakers import Speakers
from omnistream_models.ears.speech import Clip
from omnistream_models.ears.voices import may_train, voices_of
from omnistream_nodes.grammar import Grammar

__all__ = ["Amount", "Job", "make_clips", "plan"]

_SHARD = 400
#: From so many clips on, processes speak: starting them takes a second or two.
_MANY = 200
#: So many commands begin with a word that changes nothing ("please stop").
_WITH_FILLER = 0.12


@dataclass(frozen=True, slots=True)
class Amount:
    """How often each phrase is said by a program's voices, and for each phrase how many other sentences, such that begin
    with it and go on, and such that end with it; of these two half as many again, of which each intent has as many as another.
    """

    renderings: float
    others: float
    going_on: float = 0.0
    led_up_to: float = 0.0

    def times(self, by: float) -> Amount:
        return Amount(self.renderings * by, self.others * by, self.going_on * by, self.led_up_to * by)


#: Natural voices teach more but take longer: of a core of 256-bit vectors a clip of kokoro takes 3 s (0.6 of one of 512 bits),
#: of festival 0.4, of rhvoice 0.2, of the others 0.1 or less.
AMOUNTS: Mapping[str, Amount] = {
    "espeak-ng": Amount(30, 30, 40, 20),
    "flite": Amount(20, 20, 20, 10),
    "joe": Amount(12, 12, 12, 6),
    "kokoro": Amount(10, 5, 7, 3),
    "rhvoice": Amount(20, 20, 20, 10),
    "pico": Amount(14, 14, 14, 7),
    "festival": Amount(6, 6, 6, 3),
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
                text = f"{one_of(rng, fillers)} {p.text}" if fillers and rng.random() < _WITH_FILLER else p.text
                jobs.append(Job(one_of(rng, voices), text, phrase, int(rng.integers(1 << 31))))
        for n in range(round(amount.others * len(grammar.phrases))):
            text = sentences.near(rng) if n % 3 else sentences.everyday(rng)
            jobs.append(Job(one_of(rng, voices), text, -1, int(rng.integers(1 << 31))))
        often = {sentences.going_on: amount.going_on, sentences.led_up_to: amount.led_up_to}
        counts = {way: round(n * len(grammar.phrases)) for way, n in often.items()}
        of_phrases = [
            (way, grammar.phrases[n % len(grammar.phrases)].text) for way, count in counts.items() for n in range(count)
        ]
        of_intents = [(way, "") for way, count in counts.items() for _ in range(count // 2)]
        for way, part in of_phrases + of_intents:
            text = way(part or sentences.phrase(rng), rng)
            jobs.append(Job(one_of(rng, voices), text, -1, int(rng.integers(1 << 31))))
    return [_spared(job, kept, sentences) for job in jobs]


def _spared(job: Job, kept: Kept, sentences: Sentences) -> Job:
    """The job; another sentence in its place if its own is kept for tests."""
    if job.phrase >= 0 or job.text not in kept:
        return job
    rng = np.random.default_rng(job.seed)
    text = next(t for t in iter(lambda: sentences.everyday(rng), "") if t not in kept)
    return replace(job, text=text)


def make_clips(jobs: Sequence[Job], folder: Path, progress: Callable[[int], None] = lambda _: None) -> list[Clip]:
    """The clips of `jobs`, those that said something; `progress` is told how many more are done. Shards lie in `folder`.

    Every core speaks where there is much to say. Raises ModelError where one of those processes was killed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shards = [(part, folder / f"clips-{_digest(part)}.npz") for part in _parts(jobs)]
    missing = [(part, path) for part, path in shards if not path.exists()]
    progress(len(jobs) - sum(len(part) for part, _ in missing))
    with _together(sum(len(part) for part, _ in missing)) as speak:
        for part, path in missing:
            said: list[Clip] = []
            for clip in speak(part):
                said += [clip] if clip is not None else []
                progress(1)
            _write(path, said)
    return [clip for _, path in shards for clip in _read(path)]


def _parts(jobs: Sequence[Job]) -> Iterator[Sequence[Job]]:
    for begin in range(0, len(jobs), _SHARD):
        yield jobs[begin : begin + _SHARD]


@contextmanager
def _together(count: int) -> Generator[Callable[[Sequence[Job]], Iterator[Clip | None]]]:
    """What speaks jobs in their order: processes, as many as there are cores, where `count` jobs are worth starting them."""
    cores = len(os.sched_getaffinity(0))
    if cores == 1 or count < _MANY:
        speakers = Speakers()
        yield lambda jobs: (_said(speakers, job) for job in jobs)
        return
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn"), _begin) as pool:
        try:
            yield lambda jobs: pool.map(_said_here, jobs, chunksize=4)
        except BrokenProcessPool:
            raise ModelError(
                "a process that speaks was killed (is memory short?); run the same command again: it goes on where it stopped"
            ) from None
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


_here: list[Speakers] = []


def _begin() -> None:
    serve_parent()
    _here.append(Speakers())


def _said_here(job: Job) -> Clip | None:
    return _said(_here[0], job)


def _said(speakers: Speakers, job: Job) -> Clip | None:
    return speakers.say(job.text, job.voice, np.random.default_rng(job.seed), job.phrase)


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
