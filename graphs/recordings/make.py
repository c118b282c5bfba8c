"""Makes the recordings: `voice_robot.mcap` beside this file, or a longer one for benchmarks in the cache.

    python graphs/recordings/make.py            # voice_robot.mcap, which is in the repository
    python graphs/recordings/make.py --bench    # prints the path of a recording of 128 commands, made at the first time

Needs flite, espeak-ng, pocketsphinx-testdata (Debian) and fingerpose (npm). The same versions of them give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # for being loaded by path, too

import hands  # noqa: E402
import voices  # noqa: E402

from omnistream.errors import OmniStreamError  # noqa: E402
from omnistream.message import MS, SECOND, AudioChunk, VideoFrame  # noqa: E402
from omnistream.record import RecordedMessage, RecordingWriter  # noqa: E402
from omnistream_models import cache_dir  # noqa: E402

__all__ = ["Gesture", "Said", "bench_recording", "bench_script", "make", "voice_robot_script"]

#: The recordings' time line begins here (run time, Unix ns): 2026-01-01 00:00 UTC.
START_NS = 1_767_225_600 * SECOND
FPS = 15
CHUNK = 320  # samples: 20 ms
NOISE = 12.0  # root mean square of the room's noise: -69 dB of full scale, 46 dB below speech
SLIDE_S = 0.3
_SPEAKERS = ("flite slt", "flite rms", "flite awb", "flite kal16", "espeak-ng en-us", "espeak-ng en-gb")
#: Goes into each file, for those who meet it without its README.
LICENCES = {
    "human voice": "pocketsphinx-testdata, BSD-2-Clause, Carnegie Mellon University",
    "synthesized voices": "flite (BSD-style, Carnegie Mellon University) and espeak-ng",
    "pictures": "fingerpose 0.1.0, MIT, (c) 2020 Andreas Schallwig; changed",
}


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence that begins `at_s`; `intent` is "none" where it is no command."""

    at_s: float
    text: str
    intent: str
    voice: str


@dataclass(frozen=True, slots=True)
class Gesture:
    """A gesture shown from `at_s` to `until_s`."""

    at_s: float
    until_s: float
    name: str


Script = tuple[list[Said], list[Gesture], float]


def voice_robot_script() -> Script:
    """What is said and shown in `voice_robot.mcap`, and for how long it goes on."""
    slt, rms, awb, english = "flite slt", "flite rms", "flite awb", "espeak-ng en-us"
    said = [
        Said(1.5, "go forward ten meters", "move", voices.HUMAN),
        Said(7.0, "turn left", "turn", slt),
        Said(11.5, "take the cup", "pick", rms),
        Said(16.0, "stop", "stop", slt),
        Said(19.5, "go forward", "move", rms),
        Said(27.0, "pick up the red cup", "pick", slt),
        Said(31.5, "turn around", "turn", rms),
        Said(35.5, "the cup was red before it fell", "none", awb),
        Said(40.0, "come here", "come", slt),
        Said(47.0, "look left", "look", slt),
        Said(50.5, "put it down", "place", rms),
        Said(54.5, "go home", "home", slt),
        Said(58.0, "slow down", "slow", rms),
        Said(61.5, "stop", "stop", english),
    ]
    shown = [Gesture(11.0, 14.0, "point_left"), Gesture(22.5, 24.5, "open_palm"), Gesture(43.0, 45.0, "thumbs_up")]
    return said, shown, 65.0


def bench_script(commands: int = 128, seed: int = 7, speakers: Sequence[str] = _SPEAKERS) -> Script:
    """At least `commands` commands in varied voices, 2.6 to 3.4 s apart, with a hand that points where one takes something."""
    phrases = [
        ("stop", "stop"), ("go forward", "move"), ("go forward three meters", "move"), ("go backward", "move"),
        ("turn left", "turn"), ("turn right", "turn"), ("turn around", "turn"), ("come here", "come"), ("follow me", "follow"),
        ("what do you see", "describe"), ("pick up the red cup", "pick"), ("take the ball", "pick"), ("take the cup", "pick"),
        ("put it down", "place"), ("put it back", "place"), ("open the gripper", "gripper"), ("close the gripper", "gripper"),
        ("look up", "look"), ("look left", "look"), ("go home", "home"), ("wave your hand", "wave"), ("slow down", "slow"),
        ("wait here", "wait"), ("give it to me", "give"), ("stop now", "stop"),
    ]  # fmt: skip
    rng = np.random.default_rng(seed)
    order = [phrases[i] for _ in range(commands // len(phrases) + 1) for i in rng.permutation(len(phrases))][:commands]
    said: list[Said] = []
    shown: list[Gesture] = []
    at = 2.0
    for (text, intent), voice in zip(order, itertools.cycle(speakers), strict=False):
        said.append(Said(round(at, 2), text, intent, voice))
        if text.startswith("take"):
            shown.append(Gesture(round(at - 0.4, 2), round(at + 2.0, 2), "point_left"))
        at += 1.2 + float(rng.uniform(1.4, 2.2)) + 0.25 * len(text.split())
    return said, shown, at + 2.0


def make(path: Path, script: Script, seed: int = 1) -> None:
    """Write a script's recording: topics `mic`, `camera` and `truth`. Raises RecordingError where a tool is missing."""
    said, shown, length_s = script
    audio, truth = _sound(said, length_s, seed)
    for g in shown:
        truth.append((_ns(g.until_s), {"kind": "gesture", "name": g.name, "start_ns": _ns(g.at_s), "end_ns": _ns(g.until_s)}))
    events: list[tuple[int, str, object]] = [(stamp, "truth", entry) for stamp, entry in truth]
    chunks = audio[: len(audio) // CHUNK * CHUNK].reshape(-1, CHUNK)
    events += [(START_NS + (i + 1) * 20 * MS, "mic", AudioChunk(chunk)) for i, chunk in enumerate(chunks)]
    events += [(START_NS + (i + 1) * SECOND // FPS, "camera", i) for i in range(int(length_s * FPS))]
    counts = {"mic": 0, "camera": 0}
    part = path.with_suffix(".part")
    with RecordingWriter(part, start_ns=START_NS, video="foxglove", audio="foxglove", fps=FPS, crf=24) as writer:
        for stamp, topic, item in sorted(events, key=lambda e: (e[0], e[1])):
            if topic == "truth":
                writer.truth(stamp, item)  # type: ignore[arg-type]
                continue
            payload = VideoFrame(_picture(item, shown)) if isinstance(item, int) else item
            start = stamp - payload.duration_ns if isinstance(payload, AudioChunk) else None
            writer.write(topic, RecordedMessage(stamp, start, payload, seq=counts[topic]))  # type: ignore[arg-type]
            counts[topic] += 1
        writer.metadata("licence", LICENCES)
    part.replace(path)


def bench_recording() -> Path:
    """The recording for benchmarks, in the cache; made where it is not there yet, or this script has changed."""
    digest = hashlib.sha256(b"".join((HERE / n).read_bytes() for n in ("make.py", "voices.py", "hands.py"))).hexdigest()[:12]
    path = cache_dir() / "recordings" / f"bench-{digest}.mcap"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        own = path.with_name(f"{path.stem}-{os.getpid()}.mcap")
        make(own, bench_script(), seed=2)
        own.replace(path)
    return path


def _ns(at_s: float) -> int:
    return START_NS + round(at_s * SECOND)


def _sound(said: list[Said], length_s: float, seed: int) -> tuple[np.ndarray, list[tuple[int, dict[str, object]]]]:
    """All clips over a room's noise, and the truth of each: its span from the first to the last voiced sample."""
    rng = np.random.default_rng(seed)
    sound = rng.normal(0, NOISE, int(length_s * voices.RATE_HZ))
    truth: list[tuple[int, dict[str, object]]] = []
    for s in said:
        clip = voices.say(s.text, s.voice)
        at = round(s.at_s * voices.RATE_HZ)
        sound[at : at + len(clip.samples)] += clip.samples
        start, end = (START_NS + (at + n) * SECOND // voices.RATE_HZ for n in (clip.first, clip.last))
        entry: dict[str, object] = {"kind": "utterance", "text": s.text, "intent": s.intent, "voice": s.voice}
        entry |= {"start_ns": start, "end_ns": end}
        truth.append((end, entry))
    return np.clip(np.round(sound), -32768, 32767).astype(np.int16), truth


def _picture(count: int, shown: list[Gesture]) -> np.ndarray:
    now = (count + 1) / FPS
    for g in shown:
        if g.at_s <= now < g.until_s:
            away = max(0.0, 1 - (now - g.at_s) / SLIDE_S, 1 - (g.until_s - now) / SLIDE_S)
            return hands.frame(g.name, count, away)
    return hands.frame("none", count)


def main() -> None:
    parser = argparse.ArgumentParser(description="Makes OmniStream's recordings.")
    parser.add_argument("--bench", action="store_true", help="the long recording for benchmarks, into the cache")
    parser.add_argument("--out", type=Path, default=HERE / "voice_robot.mcap")
    options = parser.parse_args()
    try:
        if options.bench:
            print(bench_recording())
            return
        make(options.out, voice_robot_script())
        print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB")
    except OmniStreamError as e:
        sys.exit(str(e))


if __name__ == "__main__":
    main()
