"""A spoken clip at 16 kHz: where its speech begins and ends, and its level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["RATE_HZ", "Clip", "last_sound", "level", "resample", "voiced_span"]

RATE_HZ = 16000
_FRAME = 160  # 10 ms
#: Every clip's voiced frames are brought to this root mean square: -23 dB of full scale.
_LEVEL = 2300.0


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """`samples` (N,) int16 at 16 kHz; speech lies in [first, last). `phrase` is its number in the grammar, or -1."""

    samples: np.ndarray
    first: int
    last: int
    text: str
    voice: str
    phrase: int = -1


def voiced_span(samples: np.ndarray) -> tuple[int, int]:
    """The first voiced sample and the one after the last, by the energy of 10 ms frames of a clean clip; (0, 0): no speech.

    A frame is voiced when it is less than 20 dB below the loudest frame and more than 12 dB above the clip's quietest tenth.
    Breath, room noise and the release of a final "t" or "p" do not count: latencies measured from here are not flattered.
    """
    rms = _levels(samples)
    if not len(rms):
        return 0, 0
    voiced = np.flatnonzero(rms > max(rms.max() * 10 ** (-20 / 20), np.quantile(rms, 0.1) * 4, 1.0))
    return (int(voiced[0]) * _FRAME, int(voiced[-1] + 1) * _FRAME) if len(voiced) else (0, 0)


def last_sound(samples: np.ndarray) -> int:
    """The sample after the last sound of a clean clip, a release or a breath too: frames less than 40 dB below the loudest."""
    rms = _levels(samples)
    heard = np.flatnonzero(rms > max(rms.max(initial=0.0) * 10 ** (-40 / 20), 1.0))
    return int(heard[-1] + 1) * _FRAME if len(heard) else 0


def _levels(samples: np.ndarray) -> np.ndarray:
    """The root mean square of each frame; a last one that is not full is left out."""
    count = len(samples) // _FRAME
    return np.sqrt((samples[: count * _FRAME].astype(np.float64).reshape(count, _FRAME) ** 2).mean(1))


def level(samples: np.ndarray, first: int, last: int) -> np.ndarray:
    """The clip as int16 with its speech at -23 dB of full scale."""
    speech = samples[first:last].astype(np.float64)
    gain = _LEVEL / max(1e-9, float(np.sqrt(np.mean(speech**2))))
    return np.clip(np.round(samples * gain), -32768, 32767).astype(np.int16)


def resample(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """(N,) int16 at `rate_hz` -> at 16 kHz."""
    if rate_hz == RATE_HZ:
        return samples
    import av

    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), format="s16", layout="mono")
    frame.sample_rate = rate_hz
    resampler = av.AudioResampler("s16", "mono", RATE_HZ)
    parts = [f.to_ndarray()[0] for f in [*resampler.resample(frame), *resampler.resample(None)]]
    return np.concatenate(parts) if parts else np.zeros(0, np.int16)
