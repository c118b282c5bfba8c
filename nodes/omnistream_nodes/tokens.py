"""Moonshine's tokens: 32,768 pieces of text, those of Llama's SentencePiece model, in the order of its merges."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from omnistream.errors import ModelError

__all__ = ["BEGIN", "END", "Tokenizer"]

BEGIN, END = 1, 2
_SPACE = "▁"
#: Ids 3 to 258 are the 256 bytes, for what no piece spells; most of them have a piece of the same text, which counts.
_BYTES = 3


class Tokenizer:
    """Text <-> token ids.

    The file is, for each token, its length (one byte; from 128 on two, low seven bits first) and its UTF-8 text.
    """

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        self.pieces: list[bytes] = []
        i = 0
        try:
            while i < len(data):
                length = data[i]
                i += 1
                if length >= 128:
                    length += data[i] * 128 - 128
                    i += 1
                self.pieces.append(data[i : i + length])
                i += length
        except IndexError:
            i = -1
        if i != len(data) or len(self.pieces) <= END:
            raise ModelError(f"{path}: this is no tokenizer of Moonshine; 'omnistream models pull' fetches the right one")
        self._ids: dict[bytes, int] = {}
        for k, piece in enumerate(self.pieces):
            if not _BYTES <= k < _BYTES + 256:
                self._ids.setdefault(piece, k)

    def encode(self, text: str) -> list[int]:
        """The ids of `text` as a whole sentence: the pair with the lowest id is merged until none can be."""
        parts = [c.encode() for c in _SPACE + text.replace(" ", _SPACE)]
        while True:
            pairs = [(self._ids.get(a + b, len(self.pieces)), i) for i, (a, b) in enumerate(pairwise(parts))]
            best, i = min(pairs, default=(len(self.pieces), 0))
            if best == len(self.pieces):
                break
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        return [i for part in parts for i in ([self._ids[part]] if part in self._ids else [b + _BYTES for b in part])]

    def decode(self, ids: list[int]) -> str:
        """The text of `ids`, control tokens left out."""
        text = b"".join(self.pieces[i] for i in ids if i > END).decode("utf-8", "replace")
        return text.replace(_SPACE, " ").strip()
