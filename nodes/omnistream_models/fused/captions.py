"""What is to be seen on a table, in a sentence: for the alignment of words with scenes, and for retrieval."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from omnistream_models.fused.phrases import Both
from omnistream_models.fused.scenes import Scene
from omnistream_models.fused.world import Thing, related

__all__ = ["caption", "is_true", "stated"]

_RELATIONS = ("left_of", "right_of", "front_of", "behind")
_AT = {"left_of": ("left of", "to the left of"), "right_of": ("right of", "to the right of"), "front_of": ("in front of",),
       "behind": ("behind",)}  # fmt: skip
_ON = {"left_of": "on the left of", "right_of": "on the right of"}
_SAID = {
    name: Both(
        tuple(form.format(at) for at in at_names for form in ("a {{a}} {} a {{b}}", "a {{a}} that is {} a {{b}}",
              "the {{a}} is {} the {{b}}", "there is a {{a}} standing {} a {{b}}", "a {{a}} lies {} the {{b}}")),
        (f"there is a {{a}} {_ON.get(name, at_names[0])} a {{b}}",),
    )
    for name, at_names in _AT.items()
} | {
    "": Both(("a {a} and a {b}", "there is a {a} and a {b}", "the {a} and the {b}", "there are a {a} and a {b} here",
              "a table with a {a} and a {b}"), ("on the table there is a {a} and a {b}",)),
}  # fmt: skip


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
