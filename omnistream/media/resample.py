"""Any audio into mono 16-bit samples at one rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from av import AudioFrame

__all__ = ["MonoResampler"]


class MonoResampler:
    """Frames of any format, layout and rate in, (N,) int16 mono at `rate_hz` out; a frame may differ from the one before.

    A few ms stay inside until `flush`; in all, n samples at r Hz give n * rate_hz / r of them, to within 2 ms per change of
    format. FFmpeg's swresample mixes the channels down without clipping.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._form: tuple[str, str, int] | None = None
        self._resampler: Any = None

    def push(self, frame: AudioFrame) -> np.ndarray:
        from av import AudioResampler

        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        before = np.empty(0, np.int16)
        if form != self._form:
            before = self.flush()
            self._form, self._resampler = form, AudioResampler(format="s16", layout="mono", rate=self._rate_hz)
        frame.pts = None  # samples are counted here, and stamps that jump must not disturb it
        return np.concatenate([before, *(out.to_ndarray().reshape(-1) for out in self._resampler.resample(frame))])

    def flush(self) -> np.ndarray:
        """What is still inside; the next frame begins anew."""
        if self._resampler is None:
            return np.empty(0, np.int16)
        out = [f.to_ndarray().reshape(-1) for f in self._resampler.resample(None)]
        self._resampler = self._form = None
        return np.concatenate([np.empty(0, np.int16), *out])
