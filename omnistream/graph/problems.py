"""Every error of one graph file, each with its line and its place, told together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from omnistream.errors import GraphError

__all__ = ["Place", "Problems"]

#: The keys that lead to a value: ``("nodes", "camera", "with", "fps")``.
Place = tuple[str | int, ...]
_MAX_PROBLEMS = 40


@dataclass(slots=True)
class Problems:
    """Collects every error of one file, each with its line and place, and raises them as one `GraphError`."""

    file: str
    lines: Mapping[Place, int] = field(default_factory=dict)
    sets: dict[Place, str] = field(default_factory=dict)
    found: list[tuple[int, str]] = field(default_factory=list)

    def add(self, place: Place, sentence: str) -> None:
        """An error at a place in the file; the line is that of the nearest key that was written.

        A value that came from the command line is named by its flag instead.
        """
        for length in range(len(place), 0, -1):
            if place[:length] in self.sets:
                self.found.append((0, f"{self.sets[place[:length]]}: {sentence}"))
                return
        line = next((self.lines[place[:n]] for n in range(len(place), 0, -1) if place[:n] in self.lines), 1)
        dotted = ".".join(str(p) for p in place)
        self.at(line, f"{dotted}: {sentence}" if dotted else sentence)

    def at(self, line: int, sentence: str) -> None:
        self.found.append((line, f"{self.file}:{line}: {sentence}"))

    def without_line(self, sentence: str) -> None:
        """An error that no line is to blame for, such as one in a flag of the command line."""
        self.found.append((0, sentence))

    def raise_any(self) -> None:
        """Raise GraphError with one line per problem, in the order of the file, if there is one."""
        if not self.found:
            return
        lines = list(dict.fromkeys(_in_a_line(text) for _, text in sorted(self.found, key=lambda f: f[0])))
        more = len(lines) - _MAX_PROBLEMS
        raise GraphError("\n".join(lines[:_MAX_PROBLEMS] + ([f"{self.file}: and {more} more"] if more > 0 else [])))


def _in_a_line(text: str) -> str:
    """Without what would end the line or change the screen: a name may hold anything."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
