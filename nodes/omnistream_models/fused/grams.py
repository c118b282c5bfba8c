"""Words as bags of letter groups, so that a misheard or unknown word still resembles what it is near to.

After Bojanowski et al., Enriching Word Vectors with Subword Information (2017), arXiv:1607.04606: all groups of 2 to 4 letters
of "<word>", and the whole, each hashed into one of `BUCKETS` rows of a table.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from functools import lru_cache

import numpy as np

__all__ = ["BUCKETS", "GRAMS", "grams", "split_words"]

BUCKETS = 2048
#: Of a word so many groups are kept: all of "backward", the beginning of what is longer.
GRAMS = 20
_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:'[^\W\d_]+)*")


def split_words(text: str) -> list[str]:
    """Lower-case words and numbers of a text, punctuation left out."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).lower().replace("’", "'"))


@lru_cache(maxsize=65536)
def grams(word: str) -> np.ndarray:
    """(GRAMS,) int32 rows of the table, from 1; 0 fills up."""
    marked = f"<{word[:24]}>"
    parts = [marked] + [marked[i : i + n] for n in (3, 2, 4) for i in range(len(marked) - n + 1)]
    rows = [1 + zlib.crc32(part.encode()) % (BUCKETS - 1) for part in dict.fromkeys(parts)][:GRAMS]
    out = np.zeros(GRAMS, np.int32)
    out[: len(rows)] = rows
    out.flags.writeable = False
    return out
