"""How well commands are heard, and how soon: recognizer and parser on synthesized voices, people, and what is no command.

Run: ``.venv/bin/python launch/measure_speech.py`` (about ten minutes of one core; ``--every 4`` a quarter of it).

Time is as in a live run on this machine with nothing else on it: a 20 ms chunk arrives when its last sample was heard,
and waits until the chunk before it is done. The latency of a command is from its last voiced sample (as the recordings'
truth has it, graphs/recordings/voices.py) to the parser's output. No random numbers but the noise, seed 0.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from omnistream.clock import perf_ns
from omnistream.message import SECOND, AudioChunk, Command, Text
from omnistream.testing import context
from omnistream_models.ears.kept import NEAR_MISSES, NO_COMMANDS, PARAPHRASES, listed
from omnistream_models.ears.speech import last_sound
from omnistream_nodes.command_parser import CommandParser
from omnistream_nodes.grammar import Grammar, Phrase
from omnistream_nodes.grammar_file import find_grammar, load_grammar
from omnistream_nodes.speech_recognizer import SpeechRecognizer
from omnistream_nodes.spoken_commands import SpokenCommands

sys.path.append(str(Path(__file__).resolve().parents[1] / "graphs" / "recordings"))
from voices import HUMAN, say  # pyright: ignore[reportMissingImports]

RATE_HZ = 16000
CHUNK = 320
_LEAD, _TAIL = round(0.6 * RATE_HZ), round(1.0 * RATE_HZ)
_NOISE_RMS = 8.0
_ASTERISK = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
_LIBRIVOX = Path("/usr/share/pocketsphinx/test/data/librivox")


#: Kept for tests by the commands file: no limit was chosen on them.
HELD_OUT = [
    "flite rms",
    "flite slt",
    *(f"espeak-ng en-us+{v}" for v in ("f2", "m3", "Annie", "Alex", "Michael", "linda", "steph", "klatt2")),
    "espeak-ng en-gb-scotland",
]


@dataclass
class Score:
    """What became of one voice's sentences."""

    said: int = 0
    right: int = 0
    wrong: list[str] = field(default_factory=list[str])
    rejected: list[str] = field(default_factory=list[str])
    late_ms: list[float] = field(default_factory=list[float])
    waited_ms: list[float] = field(default_factory=list[float])
    after_ms: list[float] = field(default_factory=list[float])
    seconds: float = 0.0
    busy_seconds: float = 0.0
    longest_ms: list[float] = field(default_factory=list[float])

    def add(self, other: Score) -> None:
        self.said += other.said
        self.right += other.right
        self.seconds += other.seconds
        self.busy_seconds += other.busy_seconds
        for name in ("wrong", "rejected", "late_ms", "waited_ms", "after_ms", "longest_ms"):
            getattr(self, name).extend(getattr(other, name))


class Ears:
    """Recognizer and parser, fed as in a live run."""

    def __init__(self, recognizer: SpeechRecognizer | SpokenCommands, variant: str = "") -> None:
        self.recognizer, self.parser = recognizer, CommandParser(embedding=True)
        self._heard, self._parsed = context("speech", variant=variant), context("parse")

    async def open(self) -> None:
        await self.recognizer.open(self._heard)
        await self.parser.open(self._parsed)
        self._now = SECOND
        self._free_at = 0

    async def hear(self, samples: np.ndarray, score: Score) -> list[tuple[int, int, Command]]:
        """Commands with the sample at which each was out: by event time, and with the time that computing took."""
        found: list[tuple[int, int, Command]] = []
        start = self._now
        for at in range(0, len(samples), CHUNK):
            chunk = samples[at : at + CHUNK]
            self._now += len(chunk) * SECOND // RATE_HZ
            self._heard.now = self._now
            begun, out = perf_ns(), False
            async for transcript in self.recognizer.step(AudioChunk(chunk)):
                self._parsed.now = self._now
                command = await self.parser.step(transcript)
                self._free_at = max(self._free_at, self._now)
                if command is not None:
                    done = self._free_at + perf_ns() - begun
                    found.append((_samples(self._now - start), _samples(done - start), command))
                out = out or not transcript.final  # one leaves with the look that made it
            took = perf_ns() - begun
            self._free_at = max(self._free_at, self._now) + took
            score.busy_seconds += took / SECOND
            if out:
                score.longest_ms.append(took / 1e6)
        score.seconds += len(samples) / RATE_HZ
        return found


def _samples(ns: int) -> int:
    return ns * RATE_HZ // SECOND


def _scene(
    clips: Iterable[np.ndarray], noise: np.random.Generator, noise_rms: float = _NOISE_RMS
) -> tuple[np.ndarray, list[int]]:
    """The clips one after the other with pauses between them over faint noise, and where each begins."""
    parts: list[np.ndarray] = []
    begins: list[int] = []
    at = 0
    for clip in clips:
        parts.append(np.concatenate([np.zeros(_LEAD), clip, np.zeros(_TAIL)]))
        begins.append(at + _LEAD)
        at += len(parts[-1])
    sound = np.concatenate(parts)
    return np.clip(sound + noise.normal(0, noise_rms, len(sound)), -32768, 32767).astype(np.int16), begins


async def commands(
    ears: Ears, grammar: Grammar, texts: Sequence[str], voice: str, noise_rms: float = _NOISE_RMS,
    speak: Callable[[str, str], Any] = say, seed: int = 0,
) -> Score:  # fmt: skip
    """Every text said once in `voice`."""
    clips: list[Any] = [speak(text, voice) for text in texts]
    sound, begins = _scene((c.samples for c in clips), np.random.default_rng(seed), noise_rms)
    score = Score(said=len(texts))
    found = await ears.hear(sound, score)
    for text, clip, begin in zip(texts, clips, begins, strict=True):
        meant = grammar.by_text.get(text)
        mine = [f for f in found if begin <= f[0] < begin + len(clip.samples) + _TAIL]
        got = [f for f in mine if f[2].intent != "none"]
        if meant is not None and got and all(_asks(c, meant) for *_, c in got):
            score.right += 1
            score.late_ms.append((got[0][1] - begin - clip.last) / RATE_HZ * 1000)
            score.after_ms.append((got[0][1] - begin - max(clip.last, last_sound(clip.samples))) / RATE_HZ * 1000)
            score.waited_ms.append((got[0][0] - begin - clip.last) / RATE_HZ * 1000)
        elif got:
            score.wrong.append(f"{text} -> {'; '.join(c.text for *_, c in got)}")
        else:
            score.rejected.append(f"{text} -> {'; '.join(c.text for *_, c in mine)}")
    return score


def _asks(command: Command, phrase: Phrase) -> bool:
    return (command.intent, command.slots, command.values) == (phrase.intent, phrase.slots, phrase.values)


def recordings(every: int) -> list[np.ndarray]:
    return [_read(f) for f in [*sorted(_LIBRIVOX.glob("*.wav")), *sorted(_ASTERISK.glob("*.g722"))[::every]]]


async def people(ears: Ears, clips: list[np.ndarray]) -> Score:
    """Real recordings of people who say no command, each by itself in a quiet room."""
    score = Score(said=len(clips))
    for clip in clips:
        sound, _ = _scene([clip], np.random.default_rng(0))
        score.wrong += [c.text for *_, c in await ears.hear(sound, score) if c.intent != "none"]
    return score


def _read(path: Path) -> np.ndarray:
    import av

    with av.open(str(path), format="g722" if path.suffix == ".g722" else None) as media:
        resampler = av.AudioResampler("s16", "mono", RATE_HZ)
        parts = [r.to_ndarray().ravel() for frame in media.decode(audio=0) for r in resampler.resample(frame)]
    return np.concatenate(parts).astype(np.int16)


async def typed(grammar: Grammar) -> None:
    """The parser alone, on text."""
    for embedding in (False, True):
        parser, ctx = CommandParser(embedding=embedding), context("parse")
        await parser.open(ctx)

        async def ask(text: str, parser: CommandParser = parser) -> Command:
            command = await parser.step(Text(text))
            assert command is not None
            return command

        answers = [(grammar.by_text[want], await ask(text)) for want, texts in PARAPHRASES.items() for text in listed(texts)]
        right = sum(_asks(command, phrase) for phrase, command in answers)
        none = sum(command.intent == "none" for _, command in answers)
        others = [*NO_COMMANDS, *NEAR_MISSES, *grammar.confusable]
        taken = [f"{text} -> {c.text}" for text in others if (c := await ask(text)).intent != "none"]
        exact = sum([_asks(await ask(p.text), p) for p in grammar.phrases])
        print(f"\nparser on text, embedding {'on' if embedding else 'off'}: phrases {exact}/{len(grammar.phrases)}")
        print(f"  paraphrases ({len(answers)}): {right} right, {len(answers) - right - none} wrong, {none} rejected")
        print(f"  no commands ({len(others)}): {len(taken)} taken {taken or ''}")


def _row(name: str, s: Score) -> str:
    late = [f"{v:.0f}" for v in np.percentile(s.late_ms, [50, 95])] if s.late_ms else ["-", "-"]
    work = f"{np.median(s.longest_ms):.0f}" if s.longest_ms else "-"
    load = s.busy_seconds / s.seconds * 100
    return (
        f"{name:28} {s.said:5} {s.right / s.said:7.1%} {len(s.wrong) / s.said:6.1%} {len(s.rejected) / s.said:8.1%}"
        f" {late[0]:>8} {late[1]:>8} {work:>9} {load:6.0f}%"
    )


_HEAD = "voice                         said   right  wrong rejected late p50 late p95  work p50  a core"


async def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--every", type=int, default=1, help="take every so many sentences and recordings")
    options.add_argument("--voices", default=",".join(HELD_OUT), help="such as 'flite awb,espeak-ng en-us+m1'")
    options.add_argument("--activity", default="silero", choices=["silero", "webrtc"])
    options.add_argument("--commit-ms", type=int, default=SpeechRecognizer.commit_ms)
    options.add_argument("--show", action="store_true", help="name each sentence that went wrong")
    given = options.parse_args()
    grammar = load_grammar(find_grammar("commands.yaml"), {"default_distance_m": CommandParser.default_distance_m})
    ears = Ears(SpeechRecognizer(activity=given.activity, commit_ms=given.commit_ms))
    await ears.open()
    texts = [p.text for p in grammar.phrases][:: given.every]
    print("late: ms from the last voiced sample to the parser's output, computing included.")
    print(f"work: ms for one look at an utterance.\n\n{_HEAD}")
    sums: dict[str, Score] = {}
    for voice in given.voices.split(","):
        score = await commands(ears, grammar, texts, voice)
        sums.setdefault(voice.split()[0], Score()).add(score)
        print(_row(voice, score), flush=True)
        if given.show:
            print("\n".join([f"    wrong: {w}" for w in score.wrong] + [f"    rejected: {r}" for r in score.rejected]))
    for program, score in sums.items():
        print(_row(f"all {program}", score))
    print(_row("human 'go forward ten ...'", await commands(ears, grammar, ["go forward ten meters"], HUMAN)))
    print("\nno commands: triggers")
    others = [*NEAR_MISSES, *grammar.confusable][:: given.every]
    for voice in given.voices.split(","):
        print(_triggers(f"near misses, {voice}", await commands(ears, grammar, others, voice)), flush=True)
    print(_triggers("people", await people(ears, recordings(given.every))))
    await typed(grammar)


def _triggers(name: str, score: Score) -> str:
    rate = len(score.wrong) / score.seconds * 60
    return (
        f"  {name}: {len(score.wrong)} of {score.said} in {score.seconds / 60:.1f} min, {rate:.2f} a minute {score.wrong or ''}"
    )


if __name__ == "__main__":
    asyncio.run(main())
