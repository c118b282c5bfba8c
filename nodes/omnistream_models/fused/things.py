"""Scenes about things: which one is meant by words, by a hand, by where it stands, or why none is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from omnistream_models.fused import phrases
from omnistream_models.fused.gesturing import Showing, point_at, point_to, show
from omnistream_models.fused.making import SIDES, Maker, Scene, camera, manner, state, told
from omnistream_models.fused.noise import blurred
from omnistream_models.fused.schema import KINDS, Decision
from omnistream_models.fused.world import BEYOND, Meant, Thing, detections, pairs, related, sprinkle, which

__all__ = ["thing"]

_ABSOLUTE, _RELATIVE = ("left", "right", "front", "back"), ("left_of", "right_of", "front_of", "behind", "next_to")


def thing(make: Maker, verb: str, *, own: bool) -> Scene | None:
    """A scene about a thing that is to be picked up or put something on; None where sixty tries led to none beyond doubt."""
    rng = make.rng
    shares = [0.8, 0.08, 0.06, 0.06] if make.test else [0.64, 0.17, 0.1, 0.09]  # what is rare is learned from more of it
    wanted = str(rng.choice(["", "contradiction", "ambiguous", "absent"], p=shares))
    sees = make.chance(0.82)
    for _ in range(60):
        made = _laid(make, verb, own, wanted, sees)
        if made is not None:
            return made
        wanted = ""
    return None


def _laid(make: Maker, verb: str, own: bool, wanted: str, sees: bool) -> Scene | None:
    """One try at a table, words and a hand that lead to the wanted outcome beyond doubt."""
    rng = make.rng
    meant, target = _meaning(make, own)
    things, seen_by = _table(make, meant, target, wanted), camera(make)
    things = [things[i] for i in rng.permutation(len(things))]
    alike = [n for n, t in enumerate(things) if meant.fits(t)]
    showing, pointed = Showing(), None
    points = make.chance(0.9 if meant.deictic else 1.0 if wanted == "contradiction" else 0.25 if wanted else 0.35)
    outcome = which(things, meant, None)
    if sees and points:
        one = outcome[0] if outcome is not None and outcome[0] >= 0 else None
        if wanted == "contradiction":
            others = [n for n in range(len(things)) if (n not in alike if one is None else n != one)]
        elif meant.deictic:
            others = list(range(len(things)))
        elif wanted == "ambiguous":
            others = []
        else:
            others = alike if one is None else [one]
        if others:
            pointed = int(rng.choice(others))
            found = point_at(rng, seen_by.boxes(things), pointed)
            if found is None:
                return None
            showing = found
    elif points and wanted != "absent":
        side = meant.relation if meant.relation in SIDES and wanted != "contradiction" else make.one(SIDES)
        showing = point_to(rng, side)
    elif make.chance(0.25):
        showing = show(rng, make.one(("thumb", "fist", "two")))
    if sees:
        result = which(things, meant, pointed)
        if result is None or (wanted and result[1] != wanted) or (not wanted and result[1] not in ("", "missing")):
            return None
        truth = Decision(verb, "on" if verb == "place" else "", "", "", meant.kind, meant.colour, result[0], result[1])
    else:
        truth = _by_words(verb, meant, showing.side)
        if wanted not in ("", truth.reason):
            return None
    said = _said(make, meant, verb, own)
    if said is None:
        return None
    holding, truth = state(make, truth, fits=verb == "place")
    words, truth = manner(make, said[0], truth)
    seen = None
    if sees:
        seen = blurred(rng, detections(things, seen_by, rng.uniform(0.45, 0.98, len(things))), truth.target, test=make.test)
    family = "deictic" if meant.deictic else meant.relation or ("coloured" if meant.colour else "plain")
    made = told(make, words, truth, showing, holding=holding, family=family, shipped=said[1] and words == said[0], seen=seen)
    return replace(made, things=tuple(things) if sees else (), meant=meant)


def _meaning(make: Maker, own: bool) -> tuple[Meant, tuple[str, str]]:
    """What is said of a thing, and a kind and colour that fit it."""
    rng = make.rng
    kind, colour = make.name()
    if make.chance(0.08) and not own:
        kind, colour = make.one(BEYOND[1 if make.test else 0]), ""
    u = rng.random()
    said = colour if make.chance(0.5) else ""
    if u < 0.3:
        return Meant(kind, colour), (kind, colour)
    if u < 0.42:
        return Meant(kind), (kind, colour)
    if u < 0.54:
        return Meant(deictic=True), (kind, colour)
    if u < 0.74 or own:
        relation = make.one(SIDES if own or make.chance(0.5) else _ABSOLUTE)
        return Meant(kind, "" if own else said, relation), (kind, colour)
    to_kind, to_colour = make.name(free=True)
    while to_kind == kind:
        to_kind, to_colour = make.name(free=True)
    return Meant(kind, said, make.one(_RELATIVE), (to_kind, to_colour if make.chance(0.4) else "")), (kind, colour)


def _table(make: Maker, meant: Meant, target: tuple[str, str], wanted: str) -> list[Thing]:
    """Things that suit: one that is meant, others like it where the words tell them apart, one it is told from, and more."""
    rng, kind, colour = make.rng, target[0], target[1]
    placed: list[Thing] = []
    like = 0
    if meant.to[0]:
        to_colour = meant.to[1] or make.one([c for k, c in pairs(test=False) + pairs(test=make.test) if k == meant.to[0]])
        anchor = Thing(meant.to[0], to_colour, float(rng.uniform(-0.3, 0.3)), float(rng.uniform(0.2, 0.8)))
        placed = [anchor]
        if wanted != "absent":
            placed += _placed_by(
                rng, anchor, meant.relation, target, 2 if wanted == "ambiguous" and meant.relation != "next_to" else 1
            )
        like = int(rng.integers(0, 3))
    elif meant.relation:
        like = int(rng.integers(1, 4)) if wanted != "absent" else 0
    elif wanted == "ambiguous" or (not meant.colour and not meant.deictic and make.chance(0.5)):
        like = int(rng.integers(1, 3))
    names = [target] * like
    if not meant.to[0] and wanted != "absent":
        names.append(target)
    if like and not meant.colour and meant.kind in KINDS:  # of the same kind, in any of its colours
        names = [_in_colour(make, kind, colour) for _ in names]
    for _ in range(int(rng.integers(1, 6))):
        other = make.name(free=True)
        if make.chance(0.08):
            other = (make.one(BEYOND[1 if make.test else 0]), "")
        spare = Thing(*other, 0, 0)
        if other[0] == meant.to[0] or (meant.fits(spare) and not meant.deictic):
            continue
        names.append(other)
    return sprinkle(rng, names, placed)


def _in_colour(make: Maker, kind: str, colour: str) -> tuple[str, str]:
    """The same kind in this colour or another of the same part."""
    options = [c for k, c in pairs(test=make.test) if k == kind]
    return kind, make.one(options) if options and make.chance(0.6) else colour


def _placed_by(rng: np.random.Generator, anchor: Thing, relation: str, name: tuple[str, str], count: int) -> list[Thing]:
    out: list[Thing] = []
    for _ in range(40):
        near = relation == "next_to"
        along, across = float(rng.uniform(0.16, 0.22 if near else 0.45)), float(rng.uniform(-0.6, 0.6))
        dx, dy = {"left_of": (-1, across), "right_of": (1, across), "front_of": (across, -1), "behind": (across, 1)}.get(
            relation, (float(rng.choice((-1, 1))), across)
        )
        thing = Thing(*name, anchor.x + dx * along, anchor.y + dy * along)
        apart = all((t.x - thing.x) ** 2 + (t.y - thing.y) ** 2 > 0.02 for t in out)
        if abs(thing.x) <= 0.5 and 0 <= thing.y <= 1 and apart and (near or related(thing, relation, anchor)):
            out.append(thing)
            if len(out) == count:
                break
    return out


def _by_words(verb: str, meant: Meant, side: str) -> Decision:
    """What can be known without seeing: kind, colour and side, as far as the words or the hand say them."""
    said = meant.relation if meant.relation in SIDES else ""
    decision = Decision(verb, "on" if verb == "place" else said or side, "", "", meant.kind, meant.colour)
    if meant.relation and not said:
        return replace(decision, reason="missing")
    if meant.kind not in KINDS:
        return replace(decision, kind="object", reason="absent")
    if said and side and said != side:
        return replace(decision, reason="contradiction")
    if verb == "place" and (meant.relation or meant.deictic):
        return replace(decision, reason="missing")
    if meant.kind == "object" and not (said or side):
        return replace(decision, reason="missing")
    return decision


def _said(make: Maker, meant: Meant, verb: str, own: bool) -> tuple[str, bool] | None:
    """A sentence for it, and whether it is one of the shipped grammar."""
    if own:
        if meant.kind not in ("object", "cup", "ball", "box", "block", "bottle") or meant.colour in ("white", "black"):
            return None
        if meant.deictic:
            return "take that", True
        if meant.colour:
            return f"pick up the {meant.colour} {meant.kind}", True
        return f"take the {meant.kind}" + (f" on the {meant.relation}" if meant.relation else ""), True
    if meant.deictic:
        words = make.phrase(phrases.DEICTIC)
    else:
        both = phrases.RELATIONS[meant.relation] if meant.relation else phrases.THING
        words = make.phrase(both).replace("{k}", " ".join(w for w in (meant.colour, meant.kind) if w))
        words = words.replace("{r}", "the " + " ".join(w for w in (meant.to[1], meant.to[0]) if w))
    return make.phrase(phrases.PICK if verb == "pick" else phrases.PLACE_ON).replace("{t}", words), False
