"""The shape of each kind of thing, another one for each draw: what is turned, cut and joined, and which parts bear its colour.

Tests have other proportions and details than training: curved cups with other handles, round bottles, open boxes, deep plates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from omnistream_models.tabletop.solids import Solid, cuboid, joined, pipe, prism, turned

__all__ = ["SHAPES", "Part", "shape"]

_METAL, _PAPER, _DARK = (0.7, 0.71, 0.73), (0.93, 0.91, 0.85), (0.12, 0.12, 0.13)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A solid in a colour of its own, or, where `rgb` is None, in the thing's."""

    solid: Solid
    rgb: tuple[float, float, float] | None = None


Parts = tuple[Part, ...]


def _hollow(outside: list[tuple[float, float]], wall: float) -> Solid:
    """A vessel, open above: `outside` goes from the foot to the rim."""
    floor = outside[0][1] + wall
    inside = [(max(0.002, r - wall), max(z, floor)) for r, z in reversed(outside)]
    return turned([(0, outside[0][1]), *outside, *inside, (0, floor)])


def _cup(rng: np.random.Generator, test: bool) -> Parts:
    h, top = rng.uniform(0.075, 0.105), rng.uniform(0.036, 0.048)
    foot = top * (rng.uniform(0.6, 0.72) if test else rng.uniform(0.74, 1.0))
    bulge = rng.uniform(1.06, 1.2) if test else 1.0
    outside = [(foot, 0.0), ((foot + top) / 2 * bulge, h * 0.45), (top, h)]
    parts = [_hollow([(float(r), float(z)) for r, z in outside], 0.004)]
    if rng.random() < 0.85:
        reach = rng.uniform(0.022, 0.032)
        if test and rng.random() < 0.5:
            path = [(0.0, h * 0.78), (reach, h * 0.78), (reach, h * 0.28), (0.0, h * 0.28)]
        else:
            t = np.linspace(np.pi / 2, -np.pi / 2, 9)
            path = list(zip(reach * np.cos(t), h * (0.53 + 0.27 * np.sin(t)), strict=True))
        start = (foot + top) / 2 * bulge - 0.004
        parts.append(pipe([(start + x, 0.0, z) for x, z in path], float(rng.uniform(0.004, 0.0065))))
    return (Part(joined(*parts)),)


def _ball(rng: np.random.Generator, test: bool) -> Parts:
    r = rng.uniform(0.04, 0.052) if test else rng.uniform(0.032, 0.046)
    t = np.linspace(-np.pi / 2, np.pi / 2, 17)
    return (Part(turned(list(zip(r * np.cos(t), r + r * np.sin(t), strict=True)))),)


def _box(rng: np.random.Generator, test: bool) -> Parts:
    w, d, h = rng.uniform(0.115, 0.165), rng.uniform(0.08, 0.11), rng.uniform(0.06, 0.1)
    if test and rng.random() < 0.6:  # an open one
        wall = 0.006
        sides = [cuboid(w, wall, h).moved(y=s * (d - wall) / 2) for s in (-1, 1)]
        sides += [cuboid(wall, d, h).moved(x=s * (w - wall) / 2) for s in (-1, 1)]
        return (Part(joined(cuboid(w, d, wall), *sides)),)
    lid = cuboid(w * 1.05, d * 1.06, h * rng.uniform(0.16, 0.3)).moved(z=h)
    if rng.random() < 0.5:
        return (Part(joined(cuboid(w, d, h), lid)),)
    tape = cuboid(w * 1.006, d * 0.14, h * 1.006)
    return (Part(cuboid(w, d, h)), Part(tape, (0.72, 0.6, 0.42)))


def _block(rng: np.random.Generator, test: bool) -> Parts:
    side = rng.uniform(0.048, 0.066)
    w, d, h = side * rng.uniform(0.93, 1.07, 3)
    return (Part(cuboid(w, d, h, bevel=side * (0.12 if test else rng.uniform(0.0, 0.06)))),)


def _bottle(rng: np.random.Generator, test: bool) -> Parts:
    h, r, neck = rng.uniform(0.17, 0.23), rng.uniform(0.028, 0.038), rng.uniform(0.01, 0.014)
    shoulder = h * (rng.uniform(0.42, 0.52) if test else rng.uniform(0.55, 0.68))
    bend = [(r * 0.8, shoulder + h * 0.09), (neck * 1.2, shoulder + h * 0.2)] if test else [(neck, shoulder + h * 0.13)]
    body = turned([(0, 0), (r * 0.95, 0), (r, h * 0.03), (r, shoulder), *bend, (neck, h * 0.93), (0, h * 0.93)])
    cap = turned([(0, h * 0.91), (neck * 1.3, h * 0.91), (neck * 1.3, h), (0, h)], 16)
    lids = (None, _DARK, (0.9, 0.9, 0.9), _METAL)
    return Part(body), Part(cap, lids[int(rng.integers(len(lids)))])


def _plate(rng: np.random.Generator, test: bool) -> Parts:
    r, h = rng.uniform(0.075, 0.1), rng.uniform(0.012, 0.02)
    flat = r * (rng.uniform(0.5, 0.58) if test else rng.uniform(0.6, 0.75))
    return (Part(turned([(0, 0), (flat, 0), (r, h), (r, h + 0.003), (flat * 0.97, 0.005), (0, 0.005)], 36)),)


def _bowl(rng: np.random.Generator, test: bool) -> Parts:
    r, h = rng.uniform(0.06, 0.078), rng.uniform(0.045, 0.065)
    bend = rng.uniform(0.4, 0.55) if test else rng.uniform(0.55, 0.8)
    t = np.linspace(0.25, 1, 7)
    outside = [(float(r * 0.42), 0.0), *((float(r * s**bend * 1.0), float(h * (0.08 + 0.92 * s**1.7))) for s in t)]
    return (Part(_hollow(outside, 0.004)),)


def _can(rng: np.random.Generator, test: bool) -> Parts:
    r, h = rng.uniform(0.028, 0.034), rng.uniform(0.095, 0.125)
    edge = 0.006 if test else 0.003
    body = turned([(0, edge), (r, edge), (r, h - 1.5 * edge), (0, h - 1.5 * edge)])
    ends = [turned([(0, 0), (r * 0.92, 0), (r * 0.97, edge), (0, edge)])]
    ends.append(turned([(0, h - 1.5 * edge), (r * 0.98, h - 1.5 * edge), (r * 0.86, h), (r * 0.8, h - 0.002), (0, h - 0.002)]))
    return Part(body), Part(joined(*ends), _METAL)


def _book(rng: np.random.Generator, test: bool) -> Parts:
    w, d, h = rng.uniform(0.14, 0.18), rng.uniform(0.1, 0.13), rng.uniform(0.018, 0.036)
    cover = 0.004 if test else 0.0025
    spine = cuboid(cover * 1.5, d, h).moved(x=-w / 2)
    covers = joined(cuboid(w, d, cover), cuboid(w, d, cover).moved(z=h - cover), spine)
    return Part(covers), Part(cuboid(w * 0.96, d * 0.95, h - 2 * cover).moved(z=cover), _PAPER)


def _object(rng: np.random.Generator, test: bool) -> Parts:
    """What is none of them."""
    h, r = rng.uniform(0.06, 0.14), rng.uniform(0.03, 0.05)
    which = int(rng.integers(2))
    if test:
        corners = [(r * x, r * y) for x, y in _round(3)]
        return (
            (Part(prism(corners, h * 0.7)),) if which else (Part(turned([(0, 0), (r, 0), (r * 0.3, h / 2), (r, h), (0, h)])),)
        )
    if which:
        return (Part(turned([(0, 0), (r, 0), (0.003, h), (0, h)])),)  # a cone
    t = np.linspace(0, 2 * np.pi, 20)
    return (Part(pipe([(float(r * np.cos(a)), 0.0, float(r * np.sin(a) + r + 0.01)) for a in t], 0.009)),)  # a ring


def _round(sides: int) -> list[tuple[float, float]]:
    t = np.arange(sides) * 2 * np.pi / sides
    return list(zip(np.cos(t).tolist(), np.sin(t).tolist(), strict=True))


SHAPES: Mapping[str, Callable[[np.random.Generator, bool], Parts]] = {
    "object": _object, "cup": _cup, "ball": _ball, "box": _box, "block": _block, "bottle": _bottle, "plate": _plate,
    "bowl": _bowl, "can": _can, "book": _book,
}  # fmt: skip


def shape(rng: np.random.Generator, kind: str, *, test: bool) -> Parts:
    """The parts of a thing of a kind, standing at the origin."""
    return SHAPES[kind](rng, test)
