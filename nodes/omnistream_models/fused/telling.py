"""A caption word by word: the first ones as soon as the words alone tell the verb, the others when all is decided."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from omnistream_models.fused.schema import VERBS

__all__ = ["growing", "opening"]

#: How an answer begins, whatever is done it to, by its verb.
_BEGINS = {
    "forward": "Going forward", "backward": "Going backward", "turn": "Turning", "come": "Coming.", "follow": "Following you.",
    "describe": "Let me", "pick": "Taking the", "place": "Putting it", "gripper": "Gripper:", "look": "Looking",
    "home": "Going home.", "wave": "Waving.", "slow": "Slowing down.", "wait": "Waiting here.", "give": "Here you",
}  # fmt: skip
_VERBS = tuple(VERBS)
_SURE = 0.9


def opening(said: Mapping[str, np.ndarray]) -> str:
    """How the answer begins, by what the heads say of the words alone; empty where that is not sure, or may be a refusal."""
    verb, reason = (_softmax(said[name]) for name in ("verb", "reason"))
    likely = int(verb.argmax())
    return _BEGINS.get(_VERBS[likely], "") if verb[likely] >= _SURE and reason[0] >= _SURE else ""


def growing(text: str, shown: str) -> Iterator[str]:
    """What is to be shown after `shown`, word by word, up to the whole of `text`; from its first word where they differ."""
    words, seen = text.split(), shown.split()
    begun = len(seen) if words[: len(seen)] == seen else 0
    for count in range(min(begun + 1, len(words)), len(words)):
        yield " ".join(words[:count])
    yield text


def _softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max())
    return e / e.sum()
