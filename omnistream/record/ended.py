"""How a run ended, as it stands in the run's directory until it is in the recording: for whoever has to finish that."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from omnistream.record.part import ENDED

__all__ = ["Ended"]


@dataclass(frozen=True, slots=True)
class Ended:
    """`rows` are the ledger's; `run` are words of the whole, such as its digest and `end_ns`."""

    start_ns: int = 0
    rows: Sequence[Mapping[str, Any]] = ()
    run: Mapping[str, str] = field(default_factory=dict)

    def leave(self, run_dir: str) -> None:
        """Raises OSError where there is no room for it."""
        Path(run_dir, ENDED).write_text(json.dumps(asdict(self)))

    @classmethod
    def found(cls, run_dir: Path) -> Self:
        """Empty where the run did not live to say it, or could not."""
        try:
            said: dict[str, Any] = json.loads((run_dir / ENDED).read_text())
            return cls(int(said["start_ns"]), [dict(row) for row in said["rows"]], {k: str(v) for k, v in said["run"].items()})
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return cls()
