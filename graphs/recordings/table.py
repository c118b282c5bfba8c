"""Makes `table.mcap` beside this file: a rendered table of tests, what a detector that knows no colours finds, and a command.

python graphs/recordings/table.py        needs MuJoCo: pip install "omnistream[scenes]"
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from omnistream.errors import OmniStreamError
from omnistream.message import SECOND, Detections, Text, VideoFrame
from omnistream.record import RecordedMessage, RecordingWriter
from omnistream_models.tabletop.scenes import Tabletop, Tabletops

HERE = Path(__file__).resolve().parent
START_NS = 1_767_225_600 * SECOND
FPS, LENGTH_S, SAID_S = 5, 2, 0.9
SEED, WANTED, TEXT = 77, ("cup", "red"), "take the red cup"


def chosen() -> Tabletop:
    """The first table of a seed with one such thing, and another of its kind."""
    tabletops = Tabletops(SEED, test=True)
    try:
        for number in range(2000):
            one = tabletops[number]
            alike = [t.colour for t in one.things if t.kind == WANTED[0]]
            if alike.count(WANTED[1]) == 1 and len(alike) > 1 and all(alike):
                return one
    finally:
        tabletops.close()
    raise AssertionError(f"no table of seed {SEED} has a {' '.join(WANTED[::-1])} and another")


def make(path: Path) -> None:
    """Write topics `camera`, `boxes`, `typed` and `truth`."""
    one = chosen()
    found = Detections(one.boxes, tuple(t.kind for t in one.things), np.full(len(one.things), 0.8, np.float32))
    part = path.with_suffix(".part")
    with RecordingWriter(part, start_ns=START_NS, video="foxglove", fps=FPS, crf=18) as writer:
        for n in range(FPS * LENGTH_S):
            stamp = START_NS + (n + 1) * SECOND // FPS
            if n == int(FPS * SAID_S):
                typed = START_NS + round(SAID_S * SECOND)
                writer.write("typed", RecordedMessage(typed, None, Text(TEXT)))
            writer.write("camera", RecordedMessage(stamp, None, VideoFrame(one.image), seq=n))
            writer.write("boxes", RecordedMessage(stamp, None, found, seq=n))
        things = [f"{t.colour} {t.kind}".strip() for t in one.things]
        end = START_NS + LENGTH_S * SECOND
        writer.truth(end, {"kind": "things", "names": things, "start_ns": START_NS, "end_ns": end})
    part.replace(path)


if __name__ == "__main__":
    try:
        make(HERE / "table.mcap")
    except OmniStreamError as e:
        sys.exit(str(e))
