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

__all__ = ["HUMAN", "RATE_HZ", "Clip", "say", "voiced_span"]

RATE_HZ = 16000
HUMAN = "human (pocketsphinx-testdata: goforward.raw)"
_GOFORWARD = Path("/usr/share/pocketsphinx/test/data/goforward.raw")
_FRAME = 160  # 10 ms
#: Every clip's voiced frames have this root mean square: -23 dB of full scale.
_LEVEL = 2300.0


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
    speech = samples[first:last].astype(np.float64)
    gain = _LEVEL / max(1.0, float(np.sqrt(np.mean(speech**2))))
    loud = np.clip(np.round(samples * gain), -32768, 32767).astype(np.int16)
    return Clip(loud, first, last)


def voiced_span(samples: np.ndarray) -> tuple[int, int]:
    """The first voiced sample and the one after the last, by the energy of 10 ms frames of the clean clip.

    A frame is voiced when it is less than 20 dB below the loudest frame and more than 12 dB above the clip's quietest tenth.
    Breath, room noise and the release of a final "t" or "p" do not count: latencies measured from here are not flattered.
    """
    count = len(samples) // _FRAME
    frames = samples[: count * _FRAME].astype(np.float64).reshape(count, _FRAME)
    rms = np.sqrt((frames**2).mean(1))
    voiced = np.flatnonzero(rms > max(rms.max() * 10 ** (-20 / 20), np.quantile(rms, 0.1) * 4, 1.0))
    if not len(voiced):
        raise RecordingError("a clip holds no speech")
    return int(voiced[0]) * _FRAME, int(voiced[-1] + 1) * _FRAME


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
    return _resample(np.frombuffer(raw, "<i2"), rate)


def _resample(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    if rate_hz == RATE_HZ:
        return samples
    import av

    frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
    frame.sample_rate = rate_hz
    resampler = av.AudioResampler("s16", "mono", RATE_HZ)
    parts = [f.to_ndarray()[0] for f in [*resampler.resample(frame), *resampler.resample(None)]]
    return np.concatenate(parts)
