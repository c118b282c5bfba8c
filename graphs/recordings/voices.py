"""Spoken clips at 16 kHz: a person's from a Debian package, and synthesized ones; and where speech ends in each."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from omnistream.errors import RecordingError
from omnistream_models.ears.speech import RATE_HZ, level, resample, voiced_span

__all__ = ["HUMAN", "RATE_HZ", "Clip", "say", "voiced_span"]

HUMAN = "human (pocketsphinx-testdata: goforward.raw)"
_GOFORWARD = Path("/usr/share/pocketsphinx/test/data/goforward.raw")


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """`samples` (N,) int16 at 16 kHz; speech lies in [first, last), as `voiced_span` measures it."""

    samples: np.ndarray
    first: int
    last: int


def say(text: str, voice: str) -> Clip:
    """`text` in `voice`: "flite NAME", "espeak-ng NAME", or `HUMAN`, who says only "go forward ten meters".

    Raises RecordingError where the program or the package that it needs is missing.
    """
    if voice == HUMAN:
        if not _GOFORWARD.exists():
            raise RecordingError(f"{_GOFORWARD} is missing; install the Debian package pocketsphinx-testdata")
        samples = np.fromfile(_GOFORWARD, "<i2")
    else:
        program, name = voice.split(" ", 1)
        samples = _synthesize(text, program, name)
    first, last = voiced_span(samples)
    if not last:
        raise RecordingError(f"'{text}' in the voice '{voice}' holds no speech")
    return Clip(level(samples, first, last), first, last)


def _synthesize(text: str, program: str, name: str) -> np.ndarray:
    path = shutil.which(program)
    if path is None:
        raise RecordingError(f"'{program}' is not installed; on Debian or Ubuntu: apt-get install {program}")
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "a.wav")
        flite = [path, "-voice", name, "-t", text, "-o", out]
        espeak = [path, "-v", name, "-s", "150", "-w", out, text]
        subprocess.run(flite if program == "flite" else espeak, check=True, capture_output=True)
        with wave.open(out) as f:
            rate, raw = f.getframerate(), f.readframes(f.getnframes())
    return resample(np.frombuffer(raw, "<i2"), rate)
