"""What the shipped network of looks makes of rendered things: `fused/seen.safetensors`, vectors by kind and colour.

Run: ``.venv/bin/python launch/measure_looks.py`` (needs MuJoCo: pip install "omnistream[scenes]"; two minutes of one core).

Tables of training and of tests, whose shapes, patterns, shades, lamps and cameras are others, are kept apart; boxes are off by
as much as a detector's.
"""

from __future__ import annotations

import argparse
import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402

from omnistream_models.fused import tensors  # noqa: E402
from omnistream_models.fused.schema import COLOURS, KINDS  # noqa: E402
from omnistream_models.fused.seeing import FILE  # noqa: E402
from omnistream_models.tabletop.runtime import LooksNetwork  # noqa: E402
from omnistream_models.tabletop.scenes import Tabletops  # noqa: E402

#: Of the box's size.
OFF = 0.03


def vectors(network: LooksNetwork, seed: int, count: int, most: int, *, test: bool) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of kinds and colours (N, 2) uint8, and vectors (N, LOOKS) float16; at most so many of each name."""
    tabletops, rng = Tabletops(seed, test=test), np.random.default_rng((seed, int(test)))
    names, found, kept = list[tuple[int, int]](), list[np.ndarray](), dict[tuple[int, int], int]()
    for number in range(count):
        one = tabletops[number]
        sizes = np.tile(one.boxes[:, 2:] - one.boxes[:, :2], 2)
        looks = network.look(one.image, one.boxes + rng.normal(0, OFF, one.boxes.shape) * sizes).vectors
        for thing, vector in zip(one.things, looks, strict=True):
            name = KINDS.index(thing.kind), COLOURS.index(thing.colour)
            kept[name] = kept.get(name, 0) + 1
            if kept[name] <= most:
                names.append(name)
                found.append(vector)
    tabletops.close()
    return np.array(names, np.uint8), np.array(found).astype(np.float16)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scenes", type=int, default=1500, help="of each part")
    parser.add_argument("--most", type=int, default=40, help="vectors of one kind and colour")
    parser.add_argument("--seed", type=int, default=77)
    options = parser.parse_args()
    network, arrays = LooksNetwork(), dict[str, np.ndarray]()
    for part in ("train", "test"):
        names, found = vectors(network, options.seed, options.scenes, options.most, test=part == "test")
        arrays |= {f"{part}_names": names, f"{part}_vectors": found}
        print(f"{part}: {len(found)} vectors of {len(np.unique(names, axis=0))} kinds and colours")
    tensors.write(FILE, arrays, {"seed": str(options.seed), "looks": network.manifest.sha256["looks.onnx"]})


if __name__ == "__main__":
    main()
