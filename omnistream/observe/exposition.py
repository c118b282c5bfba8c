"""The text that Prometheus reads (exposition format 0.0.4): families of samples, each with its labels.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Literal

__all__ = ["CONTENT_TYPE", "Family", "exposed"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


class Family:
    """One metric: its name, kind and help, and a line for each set of labels."""

    def __init__(self, name: str, kind: Literal["counter", "gauge", "histogram"], text: str) -> None:
        self.name, self.kind = name, kind
        self.lines = [f"# HELP {name} {text.translate(_ESCAPES) if chr(92) in text else text}", f"# TYPE {name} {kind}"]

    def add(self, value: float, **labels: str) -> None:
        self.lines.append(f"{self.name}{_labels(labels)} {_number(value)}")

    def buckets(self, counts: Sequence[int], bounds_ns: Sequence[int], sum_ns: int | None, **labels: str) -> None:
        """A histogram of nanoseconds, in seconds. One whose samples may be negative has no sum, which could fall."""
        before = f"{self.name}_bucket" + (_labels(labels)[:-1] + "," if labels else "{")
        ends = _ends(tuple(bounds_ns))
        totals = list(accumulate(counts))
        self.lines += [f"{before}{end}{total}" for end, total in zip(ends, totals, strict=True)]
        seen = totals[-1]
        if sum_ns is not None:
            self.lines.append(f"{self.name}_sum{_labels(labels)} {_number(sum_ns / 1e9)}")
        self.lines.append(f"{self.name}_count{_labels(labels)} {seen}")


def exposed(families: Iterable[Family]) -> str:
    """All families that have a sample, as a page."""
    return "".join(line + "\n" for family in families if len(family.lines) > 2 for line in family.lines)


@lru_cache
def _ends(bounds_ns: tuple[int, ...]) -> list[str]:
    """How the line of each bucket goes on after its other labels."""
    return [f'le="{_number(bound / 1e9)}"}} ' for bound in bounds_ns] + ['le="+Inf"} ']


def _labels(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items()) + "}"


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else repr(value)
