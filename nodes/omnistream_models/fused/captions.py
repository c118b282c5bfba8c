"""What is to be seen on a table, in a sentence: for the alignment of words with scenes, and for retrieval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from omnistream_models.fused.phrases import Both
from omnistream_models.fused.scenes import Scene
from omnistream_models.fused.world import Thing, related

__all__ = ["caption", "is_true", "stated"]

_RELATIONS = ("left_of", "right_of", "front_of", "behind")
_SAID = {
    "left_of": Both(("a {a} left of a {b}", "a {a} to the left of a {b}"), ("there is a {a} on the left of a {b}",)),
    "right_of": Both(("a {a} right of a {b}", "a {a} to the right of a {b}"), ("there is a {a} on the right of a {b}",)),
    "front_of": Both(("a {a} in front of a {b}", "a {a} that is in front of a {b}"), ("there is a {a} in front of a {b}",)),
    "behind": Both(("a {a} behind a {b}", "a {a} that is behind a {b}"), ("there is a {a} behind a {b}",)),
    "": Both(("a {a} and a {b}", "there is a {a} and a {b}"), ("on the table there is a {a} and a {b}",)),
}


def stated(made: Scene, rng: np.random.Generator) -> tuple[Thing, str, Thing] | None:
    """Two things of a scene and how the first stands to the second ("": in no clear way); None where there are not two."""
    things = [t for t in made.things if t.colour]
    if made.evidence.detections is None or len(things) < 2:
        return None
    one, other = (things[i] for i in rng.choice(len(things), 2, replace=False))
    relation = next((r for r in _RELATIONS if related(one, r, other)), "")
    return one, relation, other


def caption(made: Scene, rng: np.random.Generator, *, test: bool) -> str:
    """A sentence that is true of the scene; empty where there is nothing to say."""
    what = stated(made, rng)
    if what is None:
        return ""
    both = _SAID[what[1]]
    options: Sequence[str] = both.test if test else both.train
    template = options[int(rng.integers(len(options)))]
    return template.format(a=f"{what[0].colour} {what[0].kind}", b=f"{what[2].colour} {what[2].kind}")


def is_true(what: tuple[Thing, str, Thing], things: Sequence[Thing]) -> bool:
    """Whether the statement holds among these things, too; where people differ, it does not."""
    ones = [t for t in things if (t.kind, t.colour) == (what[0].kind, what[0].colour)]
    others = [t for t in things if (t.kind, t.colour) == (what[2].kind, what[2].colour)]
    return any(a is not b and (not what[1] or related(a, what[1], b) is True) for a in ones for b in others)
