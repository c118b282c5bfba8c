"""Which phrase a sentence holds that is none: the longest one that it begins with, or that it ends with."""

from __future__ import annotations

from omnistream_nodes.grammar import Grammar

__all__ = ["Around"]


class Around:
    """Looks for the phrases of `grammar` at the ends of sentences."""

    def __init__(self, grammar: Grammar) -> None:
        self._number = {p.text: n for n, p in enumerate(grammar.phrases)}
        self._longest = max((len(text.split()) for text in self._number), default=0)

    def find(self, text: str) -> tuple[int, bool] | None:
        """The number of the phrase and whether the sentence goes on after it; None where it holds none, or is one."""
        words = text.split()
        for n in range(min(self._longest, len(words) - 1), 0, -1):
            for goes_on, part in ((True, words[:n]), (False, words[-n:])):
                number = self._number.get(" ".join(part))
                if number is not None:
                    return number, goes_on
        return None
