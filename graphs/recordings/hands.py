"""Pictures of a person and of that person's hand, 320x240 RGB, out of fingerpose 0.1.0 (npm, MIT, Andreas Schallwig).

From its film: a man who shows a thumb up, or two fingers. From its photograph: a hand that points up. Changed here, all
else is as filmed: the emoji in the corner is painted over; without a gesture the arm is painted over, too; the
photograph is turned to point left and laid over the film; the open palm is the hand with two fingers, with copies of the
middle finger where ring and little finger are folded. The coloured dots on the hand are in the film.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from omnistream_models import Package, cached_files, fetch

__all__ = ["GESTURES", "frame"]

WIDTH, HEIGHT = 320, 240
GESTURES = ("none", "thumbs_up", "point_left", "open_palm")
_PACKAGE = Package("npm", "fingerpose", "0.1.0", "MIT")
_MEDIA = {
    "fingers-lq.gif": "1452516bb43bf19702f93ca796bba635d708fdc57607597b1e207e9d3e039bbe",
    "nocurl.jpg": "5c4fff4ce6629b6add336c908abce0a3e73d32aa6eee6927aab2da8fc27cb380",
}
_THUMBS, _TWO_FINGERS = range(16, 23), range(5, 11)  # frames of the film in which the hand keeps still
#: In those with two fingers: knuckle and tip of the middle finger, knuckle of the little finger, in pixels.
_MIDDLE, _MIDDLE_TIP, _LITTLE = complex(216.5, 150), complex(225, 102.5), complex(238, 164)


def frame(gesture: str, count: int, shift: float = 0.0) -> np.ndarray:
    """The `count`th picture (H, W, 3) of a gesture; `shift` 0..1 moves a hand that points out of the picture."""
    pictures = _pictures()
    if gesture == "point_left":
        image, hand, mask = pictures["none"][0].copy(), *_pointing()
        x = WIDTH - hand.shape[1] + round(shift * hand.shape[1]) + (count // 5) % 2
        y, seen = 70 + (count // 7) % 2, max(0, WIDTH - x)
        part = mask[:, :seen, None]
        area = image[y : y + hand.shape[0], x:]
        area[:] = (area * (1 - part) + hand[:, :seen] * part).astype(np.uint8)
        return image
    choice = pictures[gesture]
    return choice[count % len(choice)]


@cache
def _files() -> tuple[list[np.ndarray], np.ndarray]:
    """The film's pictures and the photograph. Raises ModelError where npm cannot fetch the package."""
    import av

    def fetched(folder: Path) -> Iterator[tuple[str, bytes]]:
        archive = fetch.download(_PACKAGE, folder)
        return ((name, fetch.read_member(archive, f"package/assets/{name}", 4 << 20)) for name in _MEDIA)

    paths = cached_files("media", _MEDIA, str(_PACKAGE), fetched)
    found: list[list[np.ndarray]] = []
    for path in paths.values():
        with av.open(str(path)) as media:
            found.append([_rgb(f) for f in media.decode(video=0)])
    return found[0], found[1][0]


def _rgb(picture: Any) -> np.ndarray:
    return picture.to_ndarray(format="rgb24")


@cache
def _pictures() -> dict[str, list[np.ndarray]]:
    film = [_without_emoji(f) for f in _files()[0]]
    return {
        "none": [_without_arm(film[16])],
        "thumbs_up": [film[i] for i in _THUMBS],
        "open_palm": [_two_more_fingers(film[i]) for i in _TWO_FINGERS],
    }


def _without_emoji(image: np.ndarray) -> np.ndarray:
    """The wall's colours left and right of the corner picture, joined."""
    out = image.astype(np.float64)
    left, right = out[8:70, 246:250].mean(1), out[8:70, 312:316].mean(1)
    t = np.linspace(0, 1, 312 - 250)[None, :, None]
    out[8:70, 250:312] = left[:, None] * (1 - t) + right[:, None] * t
    return out.round().astype(np.uint8)


def _without_arm(image: np.ndarray) -> np.ndarray:
    """Wall to the right of the man, and his other shoulder, mirrored, before it."""
    out = image.astype(np.float64)
    x0, y0 = 190, 84
    top, right = out[y0 - 10 : y0, x0:].mean(0), out[:, 308:].mean(1)
    right[176:] = right[166:176].mean(0)  # below it is the arm
    out[y0:, x0:] = top + (right[y0:] - right[y0])[:, None]
    axis = 273  # the man's middle, twice
    for x in range(x0, 232):
        column = image[:, axis - x].astype(np.float64)
        yellow = np.clip((column[:, 0] - column[:, 2] - 14) / 10, 0, 1)[:, None]
        yellow[:178] = 0
        out[:, x] = out[:, x] * (1 - yellow) + column * yellow
    return np.clip(out, 0, 255).round().astype(np.uint8)


def _two_more_fingers(image: np.ndarray) -> np.ndarray:
    out = image.astype(np.float64)
    mask = _capsule(_MIDDLE, _MIDDLE_TIP, 8.5, 6.5, 7) * np.clip((out[..., 0] - out[..., 2] - 22) / 12, 0, 1)
    for knuckle, turn_deg, size in ((_LITTLE, 32, 0.8), (_MIDDLE + 0.45 * (_LITTLE - _MIDDLE), 10, 0.95)):
        turned = size * complex(math.cos(math.radians(turn_deg)), math.sin(math.radians(turn_deg)))
        picture = _moved(np.dstack([image, mask * 255]), _MIDDLE, knuckle, turned)
        part = picture[..., 3:] / 255
        out = out * (1 - part) + picture[..., :3] * part
    return out.round().astype(np.uint8)


def _capsule(start: complex, end: complex, radius: float, end_radius: float, beyond: float) -> np.ndarray:
    """(H, W) in 0..1: near the way from `start` to `beyond` pixels past `end`."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    along = ((x + 1j * y) - start) / (end - start) * abs(end - start)
    t = np.clip(along.real, 0, abs(end - start) + beyond - end_radius)
    wide = radius + (end_radius - radius) * np.clip(along.real / abs(end - start), 0, 1)
    return np.clip((wide - np.abs(along - t)) / 1.5 + 0.5, 0, 1)


def _moved(image: np.ndarray, start: complex, to: complex, turn: complex) -> np.ndarray:
    """`image` turned and scaled by `turn` about `start`, and that point put at `to`; bilinear."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    source = ((x + 1j * y) - to) / turn + start
    sx, sy = np.clip(source.real, 0, WIDTH - 1.001), np.clip(source.imag, 0, HEIGHT - 1.001)
    ix, iy = sx.astype(int), sy.astype(int)
    fx, fy = (sx - ix)[..., None], (sy - iy)[..., None]
    top = image[iy, ix] * (1 - fx) + image[iy, ix + 1] * fx
    low = image[iy + 1, ix] * (1 - fx) + image[iy + 1, ix + 1] * fx
    return top * (1 - fy) + low * fy


@cache
def _pointing() -> tuple[np.ndarray, np.ndarray]:
    """The photographed hand, turned to point left and made small, and where it is skin: (h, w, 3) and (h, w) in 0..1."""
    photo = np.rot90(_files()[1]).astype(np.float64)
    height, width = photo.shape[0] // 3, photo.shape[1] // 3
    small = photo[: height * 3, : width * 3].reshape(height, 3, width, 3, 3).mean((1, 3))
    skin = np.clip((small[..., 0] - small[..., 2] - 40) / 20, 0, 1)
    sides = [np.flip(np.maximum.accumulate(np.flip(skin, f), a), f) for a in (0, 1) for f in ((), (a,))]
    return small, np.minimum.reduce(sides)  # a highlight is no skin by its colour, but lies in the midst of it
