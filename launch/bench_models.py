"""How good the models of OmniStream's own are, on data that they have not heard: `make bench-models`.

Ears (spoken_commands) beside the recognizer that waits for silence (speech_recognizer), both with the parser behind them:

- exact commands: intent, slots and values, each phrase of graphs/commands.yaml once per voice and noise. The voices are those
  that the commands file reserves for tests, and hibari, a synthesizer that no training heard; each apart, people apart.
- reaction: ms from the last voiced sample to the parser's output, so that finding the end of speech and computing are in it. A
  20 ms chunk arrives when its last sample was heard, and waits until the chunk before it is done. `wait` is without computing:
  what had to be heard before a decision, whatever else the host does. `after` is from the last sample of the command: the
  release of a final "t" or "p", some 100 ms after the last voiced one, is still of it.
- false triggers a minute: near misses in those voices, and recordings of people who say no command.
- CPU: seconds of one core for a second of sound.

Run: ``.venv/bin/python launch/bench_models.py`` (half an hour of one core; ``--every 4`` a quarter). Noise is white, seed 0.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any

import measure_speech as speech
import numpy as np
from bench import machine  # pyright: ignore[reportMissingImports]

from omnistream.errors import OmniStreamError
from omnistream_models.ears.speakers import Speakers
from omnistream_models.ears.voices import HELD_OUT_PROGRAMS
from omnistream_nodes.command_parser import CommandParser
from omnistream_nodes.grammar import Grammar
from omnistream_nodes.grammar_file import find_grammar, load_grammar
from omnistream_nodes.speech_recognizer import SpeechRecognizer
from omnistream_nodes.spoken_commands import SpokenCommands

#: Speech is at -23 dB of full scale, 2300 (graphs/recordings/voices.py): a quiet room, and noise 15 dB below speech.
NOISES = {"quiet": 8.0, "15 dB": 2300 * 10 ** (-15 / 20)}
#: hibari comes with `pip install "omnistream[train]"`.
VOICES = [*speech.HELD_OUT, *(f"{program} heart" for program in HELD_OUT_PROGRAMS if find_spec(program))]
SYSTEMS: dict[str, Callable[[], Any]] = {"spoken_commands": SpokenCommands, "speech_recognizer": SpeechRecognizer}


class Voices:
    """The voices of the recordings, and hibari where it is installed."""

    def __init__(self) -> None:
        self._speakers = Speakers()

    def __call__(self, text: str, voice: str) -> Any:
        if voice.split(" ")[0] not in HELD_OUT_PROGRAMS:
            return speech.say(text, voice)
        clip = self._speakers.say(text, voice)
        if clip is None:
            raise OmniStreamError(f"{voice} said nothing for '{text}'")
        return clip


def row(system: str, noise: str, who: str, s: speech.Score) -> str:
    """One line of the table of commands."""
    low, high = interval(s.right, s.said)
    times = [*_ms(s.late_ms, 50, 95, 99), *_ms(s.waited_ms, 50, 95), *_ms(s.after_ms, 50, 95)]
    return (
        f"{system:18} {noise:6} {who:26} {s.said:5} {s.right / s.said:7.1%} {low:6.1%} {high:6.1%} {len(s.wrong) / s.said:6.1%}"
        f" {' '.join(f'{t:>7}' for t in times)} {s.busy_seconds / s.seconds * 1000:8.0f}"
    )


def _ms(times: Sequence[float], *ranks: int) -> list[str]:
    """Percentiles of these ranks, if there are any."""
    return [f"{v:.0f}" for v in np.percentile(times, ranks)] if times else ["-"] * len(ranks)


HEAD = (
    "system             noise  who                            n   exact (95 % interval)  wrong  late50  late95  late99"
    "  wait50  wait95 after50 after95 cpu ms/s"
)


def interval(right: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval (1927) of a share."""
    z, p = 1.96, right / n
    middle, half = p + z * z / (2 * n), z * float(np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)))
    return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


async def commands(
    ears: speech.Ears, system: str, grammar: Grammar, texts: Sequence[str], voices: Sequence[str], say: Voices
) -> None:
    """Exact commands and reaction, voice by voice, summed by synthesizer."""
    for noise, rms in NOISES.items():
        sums: dict[str, speech.Score] = {}
        for voice in voices:
            score = await speech.commands(ears, grammar, texts, voice, rms, say)
            for who in (f"all {voice.split()[0]}", "all voices"):
                sums.setdefault(who, speech.Score()).add(score)
            print(row(system, noise, voice, score), flush=True)
        for who, score in sorted(sums.items()):
            print(row(system, noise, who, score), flush=True)
        human = await speech.commands(ears, grammar, ["go forward ten meters"], speech.HUMAN, rms)
        print(row(system, noise, "human 'go forward ten m.'", human), flush=True)


async def triggers(ears: speech.Ears, system: str, grammar: Grammar, voices: Sequence[str], every: int, say: Voices) -> None:
    """What is taken for a command and is none."""
    misses = [*speech.NEAR_MISSES, *grammar.confusable][::every]
    total = speech.Score()
    for voice in voices:
        total.add(await speech.commands(ears, grammar, misses, voice, NOISES["quiet"], say))
    for who, score in (("near misses", total), ("people (not commands)", await speech.people(ears, speech.recordings(every)))):
        minutes = score.seconds / 60
        print(f"{system:18} {who:24} {score.said:5} {minutes:8.1f} {len(score.wrong):6} {len(score.wrong) / minutes:10.2f}")
        for text in score.wrong[:40]:
            print(f"    {text}")


async def main() -> None:
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--every", type=int, default=1, help="take every so many phrases, sentences and recordings")
    options.add_argument("--voices", default="", help="such as 'flite rms,espeak-ng en-us+f2'")
    options.add_argument("--systems", default=",".join(SYSTEMS))
    options.add_argument("--ears", default="shipped", help="a folder of trained ears")
    options.add_argument("--ask", type=float, default=SpokenCommands.ask, help="how sure the ears of spoken_commands must be")
    options.add_argument("--ask-urgent", type=float, default=SpokenCommands.ask_urgent, help="the same of urgent intents")
    options.add_argument("--hear-out-ms", type=int, default=SpokenCommands.hear_out_ms, help="how much more of short commands")
    given = options.parse_args()
    grammar = load_grammar(find_grammar("commands.yaml"), {"default_distance_m": CommandParser.default_distance_m})
    texts = [p.text for p in grammar.phrases][:: given.every]
    voices = given.voices.split(",") if given.voices else VOICES
    print(f"{machine()}\n\ncommands\n{HEAD}")
    say = Voices()
    opened: dict[str, speech.Ears] = {}
    for system in given.systems.split(","):
        early = {n: getattr(given, n) for n in ("ears", "ask", "ask_urgent", "hear_out_ms")}
        node = SpokenCommands(**early) if system == "spoken_commands" else SYSTEMS[system]()
        opened[system] = speech.Ears(node)
        await opened[system].open()
        await commands(opened[system], system, grammar, texts, voices, say)
    print("\nno commands\nsystem             what                         n  minutes  taken   a minute")
    for system, ears in opened.items():
        await triggers(ears, system, grammar, voices, given.every, say)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except OmniStreamError as error:
        sys.exit(str(error))
