"""Sound -> 40 log-mels of 25 ms every 10 ms, in pieces as in one: the ears' only view of it.

Needs numpy alone, so that a node listens without torch. The filters are triangles on HTK's mel scale, 2595 log10(1 + f/700).
"""

from __future__ import annotations

import numpy as np

__all__ = ["HOP", "MELS", "STEP", "LogMel", "log_mel"]

RATE_HZ = 16000
HOP, WINDOW = 160, 400
MELS = 40
#: Samples of one step of the network: two frames, 20 ms.
STEP = 2 * HOP
_FFT = 512
_LOW_HZ, _HIGH_HZ = 60.0, 7600.0
#: Below this power a band is taken for silent: half of what the noise of a quiet room has.
_FLOOR = 1e-7
#: Brings the logarithms of speech and rooms near to zero mean and unit variance.
_CENTRE, _SCALE = -9.0, 4.0


def _filters() -> np.ndarray:
    """(257, 40) float32 triangles."""

    def mel(hz: np.ndarray) -> np.ndarray:
        return 2595 * np.log10(1 + hz / 700)

    low, high = mel(np.array([_LOW_HZ, _HIGH_HZ])).tolist()
    edges = np.linspace(low, high, MELS + 2)
    bins = mel(np.arange(_FFT // 2 + 1) * RATE_HZ / _FFT)[:, None]
    up = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    down = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(up, down)).astype(np.float32)


_MEL = _filters()
_HANN = np.hanning(WINDOW + 1)[:-1].astype(np.float32)


class LogMel:
    """A stream of sound. Frame n is of the 400 samples that end with sample 160 (n + 1); before the first there was silence."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget what was heard."""
        self._kept = np.zeros(WINDOW - HOP, np.float32)

    def step(self, samples: np.ndarray) -> np.ndarray:
        """(N,) samples of a whole number of hops, int16 or float32 of the same scale -> (N / 160, 40) float32."""
        if not len(samples):
            return np.zeros((0, MELS), np.float32)
        joined = np.concatenate([self._kept, samples.astype(np.float32) / np.float32(32768)])
        self._kept = joined[len(joined) - (WINDOW - HOP) :]
        return _log_mel(joined)


def log_mel(samples: np.ndarray) -> np.ndarray:
    """The frames of a whole sound at once, (N,) -> (N / 160, 40) float32; a last hop that is not full is left out."""
    return LogMel().step(samples[: len(samples) // HOP * HOP])


def _log_mel(joined: np.ndarray) -> np.ndarray:
    frames = np.lib.stride_tricks.sliding_window_view(joined, WINDOW)[::HOP] * _HANN
    spectrum = np.fft.rfft(frames, _FFT)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32) / WINDOW
    return (np.log(power @ _MEL + np.float32(_FLOOR)) - np.float32(_CENTRE)) / np.float32(_SCALE)
