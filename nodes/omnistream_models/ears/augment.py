"""What happens to a voice on its way to the network: pace, pitch, tilt, a room, noise, level, bands. All from one rng."""

from __future__ import annotations

import numpy as np

from omnistream_models.ears.speech import RATE_HZ, Clip

__all__ = ["NoisePool", "in_room", "masked", "pace", "paced", "resampled", "tilted"]

#: Resampling by this much either way is another pace, pitch and length of the vocal tract at once.
_STRETCH = 0.2
#: And by this much another pace alone.
_PACE = 0.12
_MASKED = 6
_POOL_S = 40


def resampled(clip: Clip, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """(samples float32, last) of the clip played up to 20 % faster or slower."""
    factor = float(rng.uniform(1 - _STRETCH, 1 + _STRETCH))
    count = round(len(clip.samples) / factor)
    at = np.arange(count, dtype=np.float32) * np.float32(factor)
    sound = np.interp(at, np.arange(len(clip.samples), dtype=np.float32), clip.samples).astype(np.float32)
    return sound, round(clip.last / factor)


def tilted(sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The sound through a filter of one zero, duller or brighter, at its old level; sometimes as narrow as a telephone."""
    a = float(rng.uniform(-0.7, 0.5))
    out = sound.copy()
    out[1:] += np.float32(a) * sound[:-1]
    if rng.random() < 0.1:
        spectrum = np.fft.rfft(out)
        hz = np.fft.rfftfreq(len(out), 1 / RATE_HZ)
        spectrum[(hz < 200) | (hz > rng.uniform(3400, 5500))] *= 0.03
        out = np.fft.irfft(spectrum, len(out)).astype(np.float32)
    return out * np.float32(np.linalg.norm(sound) / max(1e-6, float(np.linalg.norm(out))))


def in_room(sound: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The sound with the reverberation of a room: exponentially decaying noise behind the direct sound (Polack 1988)."""
    decay_s = float(rng.uniform(0.1, 0.5))
    t = np.arange(round(decay_s * RATE_HZ)) / RATE_HZ
    tail = rng.standard_normal(len(t)) * np.exp(-6.9 * t / decay_s)
    tail[: round(rng.uniform(0.001, 0.008) * RATE_HZ)] = 0
    tail *= 10 ** (-rng.uniform(2, 14) / 20) / np.linalg.norm(tail)
    tail[0] = 1
    size = 1 << (len(sound) + len(tail) - 1).bit_length()
    wet = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(tail.astype(np.float32), size), size)
    return wet[: len(sound)].astype(np.float32)


def masked(mels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The log-mels, half of the time with one or two stretches of neighbouring bands silent (SpecAugment, Park 2019)."""
    if rng.random() < 0.5:
        return mels
    out = mels.copy()
    for _ in range(int(rng.integers(1, 3))):
        width = int(rng.integers(1, _MASKED + 1))
        begin = int(rng.integers(0, mels.shape[1] - width))
        out[:, begin : begin + width] = mels[:, begin : begin + width].min()
    return out


def pace(rng: np.random.Generator) -> float:
    """How many times as fast a scene is to be heard: half of the time as it was said."""
    return float(rng.uniform(1 - _PACE, 1 + _PACE)) if rng.random() < 0.5 else 1.0


def paced(mels: np.ndarray, labels: np.ndarray, times: float, ignored: int) -> tuple[np.ndarray, np.ndarray]:
    """Log-mels (2 steps, bands) and labels (steps,) `times` as fast, pitch as it was; what then lies beyond the end is silent
    of meaning: the last frame, labelled `ignored`.

    Frames are taken, never mixed: a mean of neighbours is smoother than noise is, and tells what was stretched."""
    frames = np.rint(np.arange(len(mels)) * times).astype(int)
    steps = (np.arange(len(labels)) * times).astype(int)
    told = np.where(steps < len(labels), labels[np.minimum(steps, len(labels) - 1)], ignored)
    return mels[np.minimum(frames, len(mels) - 1)], told


class NoisePool:
    """Long stretches of noise of several colours, and of hum and clatter, to cut from; each of root mean square 1."""

    def __init__(self, rng: np.random.Generator) -> None:
        count = _POOL_S * RATE_HZ
        hz = np.fft.rfftfreq(count, 1 / RATE_HZ)
        self._sounds: list[np.ndarray] = []
        for slope in (0.0, 0.5, 1.0, 1.5):
            spectrum = np.fft.rfft(rng.standard_normal(count)) / np.maximum(hz, 40) ** slope
            self._sounds.append(np.fft.irfft(spectrum, count))
        t = np.arange(count) / RATE_HZ
        for base in (50.0, 120.0):  # motors and fans
            hum = sum(np.sin(2 * np.pi * base * k * t + k) / k for k in range(1, 12))
            self._sounds.append(hum + 0.3 * self._sounds[2] / self._sounds[2].std())
        clatter = np.zeros(count)
        for at in rng.integers(0, count - 4000, _POOL_S * 4):
            length = int(rng.integers(80, 3000))
            clatter[at : at + length] += (
                rng.standard_normal(length) * np.exp(-np.arange(length) / length * 6) * rng.uniform(1, 8)
            )
        self._sounds.append(clatter + 0.2 * self._sounds[1] / self._sounds[1].std())
        self._sounds = [(s / s.std()).astype(np.float32) for s in self._sounds]

    def cut(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """(count,) float32 of one of them, or of two."""
        sound = self._one(count, rng)
        return (0.7 * sound + 0.7 * self._one(count, rng)).astype(np.float32) if rng.random() < 0.3 else sound

    def _one(self, count: int, rng: np.random.Generator) -> np.ndarray:
        sound = self._sounds[int(rng.integers(len(self._sounds)))]
        at = int(rng.integers(0, len(sound) - count))
        return sound[at : at + count]
