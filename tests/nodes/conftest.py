"""Sound for the tests of speech: a person's voice out of Debian packages, synthesized ones, and nodes fed with them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnistream.message import SECOND, AudioChunk
from omnistream.testing import context

sys.path.insert(0, str(Path(__file__).parent))  # hand_pictures is imported by name

RATE_HZ = 16000
TESTDATA = Path("/usr/share/pocketsphinx/test/data")


@pytest.fixture(scope="session")
def human() -> Callable[[str], np.ndarray]:
    """A recording of a person by its name in pocketsphinx-testdata, int16 at 16 kHz."""

    def read(name: str) -> np.ndarray:
        path = TESTDATA / name
        if not path.exists():
            pytest.skip(f"{path} is missing: apt-get install pocketsphinx-testdata")
        return np.fromfile(path, "<i2")[22 if path.suffix == ".wav" else 0 :]

    return read


@pytest.fixture(scope="session")
def say(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], np.ndarray]:
    """A sentence by "flite VOICE" or "espeak-ng VOICE", int16 at 16 kHz."""
    folder = tmp_path_factory.mktemp("voices")

    def speak(text: str, voice: str) -> np.ndarray:
        program, name = voice.split()
        if not shutil.which(program) or not shutil.which("sox"):
            pytest.skip(f"{program} or sox is missing: apt-get install {program} sox")
        raw, out = folder / "raw.wav", folder / "out.wav"
        flite, espeak = ["flite", "-voice", name, "-t", text, "-o", raw], ["espeak-ng", "-v", name, "-w", raw, text]
        subprocess.run(flite if program == "flite" else espeak, check=True, capture_output=True)
        subprocess.run(["sox", raw, "-r", str(RATE_HZ), "-c", "1", "-b", "16", out], check=True, capture_output=True)
        with wave.open(str(out)) as file:
            return np.frombuffer(file.readframes(file.getnframes()), "<i2")

    return speak


@pytest.fixture(scope="session")
def room() -> Callable[..., np.ndarray]:
    """Clips one after the other in a quiet room: 0.5 s before each, 0.9 s after it."""

    def mix(*clips: np.ndarray, lead_s: float = 0.5, tail_s: float = 0.9, noise_rms: float = 8.0) -> np.ndarray:
        quiet = [np.zeros(round(s * RATE_HZ)) for s in (lead_s, tail_s)]
        sound = np.concatenate([part for clip in clips for part in (quiet[0], clip, quiet[1])])
        noise = np.random.default_rng(0).normal(0, noise_rms, len(sound))
        return np.clip(sound + noise, -32768, 32767).astype(np.int16)

    return mix


class Fed:
    """An opened node with its context, and what it said: (time of the chunk's end, output)."""

    def __init__(self, node: Any, ctx: Any, start_ns: int = 100 * SECOND) -> None:
        self.node, self.ctx, self.now = node, ctx, start_ns
        self.start_ns = start_ns

    async def hear(self, samples: np.ndarray, size: int | Iterator[int] = 320, rate_hz: int = RATE_HZ) -> list[tuple[int, Any]]:
        """Feed the samples in chunks of `size`, or of the sizes that come."""
        out: list[tuple[int, Any]] = []
        at = 0
        while at < len(samples):
            n = size if isinstance(size, int) else next(size)
            chunk = samples[at : at + n]
            at += len(chunk)
            self.now += len(chunk) * SECOND // rate_hz
            self.ctx.now = self.now
            out += [(self.now, x) async for x in self.node.step(AudioChunk(chunk, rate_hz))]
        return out

    @property
    def reports(self) -> list[str]:
        return [reason for reason, _ in self.ctx.report.rows]


@pytest.fixture
def fed() -> Callable[..., Any]:
    """Open a node: ``await fed(node)``."""

    async def open_node(node: Any, start_ns: int = 100 * SECOND) -> Fed:
        ctx = context("heard")
        await node.open(ctx)
        return Fed(node, ctx, start_ns)

    return open_node
