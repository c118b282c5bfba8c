"""BERT's WordPiece, lower-case: text -> token ids (Devlin et al. 2018; Wu et al. 2016, section 4.1)."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

from omnistream.errors import ModelError

__all__ = ["WordPiece"]

_WORD = re.compile(r"[^\W_]+|[^\w\s]|_")
_MAX_WORD = 100


class WordPiece:
    """The vocabulary has one token a line; a token that goes on a word begins with ``##``."""

    def __init__(self, path: Path) -> None:
        self._ids = {token: i for i, token in enumerate(path.read_text(encoding="utf-8").splitlines())}
        try:
            self._begin, self._end, self._unknown = (self._ids[t] for t in ("[CLS]", "[SEP]", "[UNK]"))
        except KeyError as e:
            raise ModelError(f"{path}: this is no vocabulary of BERT; 'omnistream models pull' fetches the right one") from e

    def encode(self, text: str, most: int) -> list[int]:
        """[CLS] text [SEP], at most `most` ids."""
        plain = "".join(c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")
        ids = [i for word in _WORD.findall(plain) for i in self._pieces(word)]
        return [self._begin, *ids[: most - 2], self._end]

    def _pieces(self, word: str) -> list[int]:
        """The longest piece first, each time; a word that cannot be made of pieces is unknown."""
        ids: list[int] = []
        begin = 0
        while begin < len(word):
            for end in range(len(word), begin, -1):
                piece = self._ids.get(("##" if begin else "") + word[begin:end])
                if piece is not None:
                    ids.append(piece)
                    begin = end
                    break
            else:
                return [self._unknown]
            if begin > _MAX_WORD:
                return [self._unknown]
        return ids
