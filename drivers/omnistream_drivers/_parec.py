"""PulseAudio's `parec` as a microphone: a process that writes samples to a pipe."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
from typing import Any

import numpy as np

from omnistream.errors import DeviceError

__all__ = ["Parec"]

_END_SECONDS = 1.0


class Parec:
    """Records mono int16 at `rate_hz` from one source; the server resamples and mixes. Close it to end the process.

    Raises DeviceError where `parec` is not installed.
    """

    def __init__(self, source: str, rate_hz: int, latency_ms: int) -> None:
        if shutil.which("parec") is None:
            raise DeviceError("PulseAudio's 'parec' is missing; install the package pulseaudio-utils, or use an alsa: device")
        command = ["parec", "--raw", "--format=s16le", "--channels=1", f"--rate={rate_hz}", f"--latency-msec={latency_ms}"]
        command += ["--client-name=omnistream"] + ([] if source == "default" else [f"--device={source}"])
        self._process: subprocess.Popen[bytes] = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._odd = b""

    def __enter__(self) -> Parec:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def read(self, patience_s: float) -> np.ndarray | None:
        """Samples as soon as there are some; empty after `patience_s` without any; None when the process has ended."""
        pipe = self._process.stdout
        assert pipe is not None
        poll = select.poll()
        poll.register(pipe, select.POLLIN | select.POLLHUP)
        if not poll.poll(patience_s * 1000):
            return np.empty(0, np.int16)
        data = os.read(pipe.fileno(), 1 << 16)
        if not data:
            return None
        data = self._odd + data
        whole = len(data) // 2 * 2
        self._odd = data[whole:]
        return np.frombuffer(data[:whole], "<i2").astype(np.int16)

    def why(self) -> str:
        """What the process complained of; ends it."""
        assert self._process.stderr is not None
        self._process.terminate()
        lines = self._process.stderr.read().decode(errors="replace").strip().splitlines()
        return lines[-1].rstrip(".") if lines else "parec ended without a word"

    def close(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
