"""A few things on photographs, boxed and named by eye: pictures of Debian's opencv-doc. Far too few to conclude from."""

from __future__ import annotations

from pathlib import Path

import numpy as np

__all__ = ["FOLDER", "boxes"]

FOLDER = Path("/usr/share/doc/opencv-doc/examples/data")
#: Colour ("" where it is none of the six) and box in pixels of each thing. What two people might name differently is left out.
_SEEN: dict[str, list[tuple[str, tuple[int, int, int, int]]]] = {
    "smarties.png": [
        ("blue", (350, 54, 404, 109)), ("green", (242, 91, 296, 145)), ("green", (361, 143, 413, 198)),
        ("red", (7, 203, 61, 255)), ("red", (72, 231, 127, 287)), ("", (179, 184, 232, 239)), ("red", (261, 187, 315, 240)),
        ("blue", (320, 211, 375, 266)), ("", (107, 299, 162, 355)), ("red", (192, 277, 247, 335)),
        ("blue", (267, 292, 322, 349)),
    ],
    "rubberwhale1.png": [
        ("", (218, 90, 318, 183)), ("", (149, 224, 302, 322)), ("yellow", (394, 252, 584, 388)), ("blue", (0, 243, 82, 388)),
    ],
    "stuff.jpg": [("black", (188, 18, 276, 102)), ("white", (334, 124, 466, 248))],
    "fruits.jpg": [("green", (344, 120, 512, 310)), ("yellow", (320, 244, 512, 474)), ("", (77, 40, 336, 470))],
    "messi5.jpg": [("yellow", (332, 288, 388, 339))],
}  # fmt: skip


def boxes(folder: Path) -> list[tuple[np.ndarray, np.ndarray, list[str]]]:
    """Of each picture that is there: the image (H, W, 3) uint8, boxes (N, 4), and the colours."""
    import av

    found = list[tuple[np.ndarray, np.ndarray, list[str]]]()
    for name, things in _SEEN.items():
        if (folder / name).exists():
            with av.open(str(folder / name)) as file:
                image = next(file.decode(video=0)).reformat(format="rgb24").to_ndarray()
            found.append((image, np.array([box for _, box in things], np.float32), [colour for colour, _ in things]))
    return found
