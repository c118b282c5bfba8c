"""How long a step typically takes, told by each step in a few operations: a running median (rule 22)."""

from __future__ import annotations

__all__ = ["Typical"]

#: The estimate follows a step by one part in so many of itself.
_PART = 16
#: The first steps load and warm up; the quickest of them begins the estimate.
_FIRST = 4


class Typical:
    """`ns` goes up a little for every step that took longer, and down for every other: to where half of them are longer.

    Frugal streaming (Ma, Muthukrishnan, Sandler 2013), with steps in proportion. 0 until it is known.
    """

    __slots__ = ("_n", "ns")

    def __init__(self) -> None:
        self.ns = 0
        self._n = 0

    def took(self, ns: int) -> None:
        if self._n < _FIRST:
            self._n += 1
            self.ns = ns if self._n == 1 else min(ns, self.ns)
        elif ns > self.ns:
            self.ns += self.ns // _PART + 1
        else:
            self.ns -= self.ns // _PART

    def skipped(self) -> None:
        """A step was left out on the word of the estimate, which may be of a time that is over: it counts for less now."""
        self.ns -= self.ns // _PART

    def anew(self) -> None:
        """Steps are others from now on."""
        self._n = 0
