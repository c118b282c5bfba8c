"""Did you mean: the nearest known name to one that a person wrote."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean", "nearest"]


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like `name` (letter case set aside), or None where nothing is near."""
    folded = {k.casefold(): k for k in known}
    close = difflib.get_close_matches(name.casefold()[:80], list(folded), n=1, cutoff=0.6)
    return folded[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "write one of") -> str:
    """The end of a sentence: a suggestion, or the whole choice where it is short, or nothing where there is none."""
    names = list(known)
    near = nearest(name, names)
    if near is not None:
        return f"; did you mean '{near}'?"
    if not names:
        return ""
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"; {otherwise} {shown}"
