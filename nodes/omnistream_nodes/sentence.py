"""Sentence embeddings: all-MiniLM-L6-v2 (6 layers of BERT, 384-d; Reimers & Gurevych 2019, Wang et al. 2020) in numpy.

A sentence of ten tokens is 0.1 GFLOP: too little to load torch for into a worker that has no other use for it.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np

from omnistream.errors import ModelError
from omnistream_models import model_path
from omnistream_nodes.wordpiece import WordPiece

__all__ = ["SentenceModel"]

_HEADS = 12
_MOST_TOKENS = 64
_EPSILON = 1e-12


class SentenceModel:
    """Text -> a (384,) float32 unit vector; the dot product of two is their similarity in meaning."""

    def __init__(self) -> None:
        self._pieces = WordPiece(model_path("minilm_tokenizer"))
        path = model_path("minilm")
        self._weights = _read_safetensors(path)
        self._layers = sum(name.endswith("attention.self.query.weight") for name in self._weights)
        if not self._layers or "embeddings.word_embeddings.weight" not in self._weights:
            raise ModelError(f"{path}: these are not the weights of MiniLM; 'omnistream models pull' fetches the right ones")

    def embed(self, text: str) -> np.ndarray:
        """The embedding of one sentence; of a long one, of its first 62 tokens."""
        w = self._weights
        ids = self._pieces.encode(text, _MOST_TOKENS)
        x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][: len(ids)]
        x = self._norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for layer in range(self._layers):
            x = self._layer(x, f"encoder.layer.{layer}")
        mean = x.mean(axis=0)
        return mean / np.linalg.norm(mean)

    def _layer(self, x: np.ndarray, name: str) -> np.ndarray:
        q, k, v = (self._heads(self._linear(x, f"{name}.attention.self.{part}")) for part in ("query", "key", "value"))
        scores = q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1])
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = (scores / scores.sum(axis=-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(x.shape)
        x = self._norm(x + self._linear(mixed, f"{name}.attention.output.dense"), f"{name}.attention.output.LayerNorm")
        inner = _gelu(self._linear(x, f"{name}.intermediate.dense"))
        return self._norm(x + self._linear(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm")

    def _linear(self, x: np.ndarray, name: str) -> np.ndarray:
        return x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]

    def _norm(self, x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(axis=-1, keepdims=True)
        scale = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + np.float32(_EPSILON))
        return centred / scale * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]

    @staticmethod
    def _heads(x: np.ndarray) -> np.ndarray:
        return x.reshape(len(x), _HEADS, -1).transpose(1, 0, 2)


def _gelu(x: np.ndarray) -> np.ndarray:
    """x times the normal distribution function of x; erf by Abramowitz & Stegun 7.1.26 (error below 2e-7)."""
    z = np.abs(x) * np.float32(1 / math.sqrt(2))
    t = 1 / (1 + np.float32(0.3275911) * z)
    tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * np.float32(1.061405429)))))
    tail *= np.exp(-z * z) * np.float32(0.5)
    return x * np.where(x < 0, tail, 1 - tail)


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """The float32 tensors of a safetensors file, mapped: eight bytes of header length, a JSON header, raw data."""
    size = path.stat().st_size
    with path.open("rb") as f:
        length = int.from_bytes(f.read(8), "little")
        if not 0 < length <= size - 8:
            raise ModelError(f"{path}: this is no safetensors file; 'omnistream models pull' fetches it again")
        header = json.loads(f.read(length))
    data = np.memmap(path, np.uint8, "r", offset=8 + length)
    tensors: dict[str, np.ndarray] = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            begin, end = entry["data_offsets"]
            tensors[name] = np.frombuffer(data[begin:end], "<f4").reshape(entry["shape"])
    return tensors
