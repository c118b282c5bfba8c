"""Is this frame speech? Two detectors behind one face: silero (a small recurrent network) and WebRTC's (lighter, coarser)."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import numpy as np

from omnistream_models.onnx_session import open_session

__all__ = ["RATE_HZ", "VoiceModel", "VoiceModelName", "open_voice_model"]

RATE_HZ = 16000
VoiceModelName = Literal["silero", "webrtc"]


class VoiceModel(Protocol):
    """`step` takes `frame` int16 samples at 16 kHz, the next of a stream, and gives the probability of speech in them."""

    frame: int

    def step(self, samples: np.ndarray) -> float: ...

    def reset(self) -> None: ...


def open_voice_model(name: VoiceModelName, threads: int) -> VoiceModel:
    """The detector of that name. Raises ModelError where its weights cannot be had."""
    return _Silero(threads) if name == "silero" else _WebRtc()


class _Silero:
    """silero-vad 6: each 512 samples are seen after the 64 before them; the state is (2, 1, 128) float32."""

    frame = 512
    _context = 64

    def __init__(self, threads: int) -> None:
        self._session: Any = open_session("silero_vad", threads)
        self._rate = np.array(RATE_HZ, np.int64)
        self._input = np.zeros((1, self._context + self.frame), np.float32)
        self._state = np.zeros((2, 1, 128), np.float32)

    def reset(self) -> None:
        self._input[:] = 0
        self._state = np.zeros((2, 1, 128), np.float32)

    def step(self, samples: np.ndarray) -> float:
        self._input[0, : self._context] = self._input[0, -self._context :]
        self._input[0, self._context :] = samples / np.float32(32768)
        out, self._state = self._session.run(None, {"input": self._input, "state": self._state, "sr": self._rate})
        return float(out[0, 0])


class _WebRtc:
    """WebRTC's detector on 10 ms frames: the share of speech among the last 5, so that one odd frame decides nothing."""

    frame = 160
    _smooth = 5

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        import webrtcvad

        self._vad: Any = webrtcvad.Vad(2)
        self._recent = [0.0] * self._smooth

    def step(self, samples: np.ndarray) -> float:
        self._recent = [*self._recent[1:], float(self._vad.is_speech(samples.astype("<i2").tobytes(), RATE_HZ))]
        return sum(self._recent) / self._smooth
