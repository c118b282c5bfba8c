"""The ledger: one row per message lost, and per refusal or fault that a node reports. Nothing is lost in silence."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["NOT_LOST", "Ledger", "Row"]

#: The fates of a message that are no loss (rule 19).
NOT_LOST = ("consumed", "read", "superseded")

_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class Row:
    """`where` is an edge ("camera.out->hands.frame") or a node; `age_ns` is how long after its cause it was lost."""

    at_ns: int
    where: str
    reason: str
    stream: str = ""
    seq: int = -1
    age_ns: int = 0
    detail: str = ""
    count: int = 1

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Ledger:
    """Counts by reason, and by (where, reason), for ever; rows, the newest 20,000."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.where: Counter[tuple[str, str]] = Counter()
        self.rows: deque[Row] = deque(maxlen=_ROWS)
        self.total = 0

    def add(self, row: Row) -> None:
        self.counts[row.reason] += row.count
        self.where[row.where, row.reason] += row.count
        self.total += 1
        self.rows.append(row)

    def since(self, total: int) -> list[Row]:
        """The rows added after the ledger held `total` of them, as far as they are still kept."""
        new = self.total - total
        return list(self.rows)[-new:] if new > 0 else []
