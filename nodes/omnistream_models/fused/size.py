"""How large the network is: the widths that its parts agree on. Nothing here needs torch."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from omnistream_models.fused.grams import BUCKETS

__all__ = ["FULL", "HEADS_OF_ATTENTION", "Size", "folded"]

HEADS_OF_ATTENTION = 4


@dataclass(frozen=True, slots=True)
class Size:
    """`rows` of the table of words, each `embedded` wide; `width` of all that is hidden.

    Within layers: `inner` of the reader's and the last ones, `adapter` of speech and keys, `sense` of things, hands and state,
    `named` of kind and colour, `counted` of what tells why a thing is meant. Raises ValueError where that is no network.
    """

    width: int = 80
    embedded: int = 48
    rows: int = BUCKETS
    inner: int = 160
    adapter: int = 24
    sense: int = 32
    named: int = 48
    counted: int = 48

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 1:
                raise ValueError(f"{field.name} is {getattr(self, field.name)}; write 1 or more")
        if self.width % HEADS_OF_ATTENTION or not 1 < self.rows <= BUCKETS:
            raise ValueError(
                f"width {self.width} and rows {self.rows}: write a multiple of {HEADS_OF_ATTENTION}, and 2 to {BUCKETS}"
            )


#: That of the network that ships.
FULL = Size()


def folded(rows: Any, count: int) -> Any:
    """Of rows of `grams` (an array of numpy or torch), those of a table that has only so many; nobody reads what 0 becomes."""
    return rows if count == BUCKETS else (rows - 1) % (count - 1) + 1
