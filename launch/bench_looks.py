"""How well looks are read off rendered tables of which no part was trained on, and what that costs.

python launch/bench_looks.py [--scenes N] [--weights FOLDER]       one thread, some five minutes; prints tables with their seeds

Held out are: one pair of kind and colour in five, the tests' shapes, patterns, shades, lamps and cameras, and the tests'
sentences. Intervals are 95 % bootstrap intervals. Needs MuJoCo (pip install "omnistream[scenes]").
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import looks_photos  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from fused_search import by_alignment, drawn_scenes, recall, sought_of  # noqa: E402
from looks_search import as_scene, by_names, by_vectors  # noqa: E402
from tables import interval, row  # noqa: E402

from omnistream.message import Detections  # noqa: E402
from omnistream_models.fused import export as fused_export  # noqa: E402
from omnistream_models.fused import weights as fused_weights  # noqa: E402
from omnistream_models.fused.schema import COLOURS, KINDS  # noqa: E402
from omnistream_models.fused.world import SIZE, held_out  # noqa: E402
from omnistream_models.tabletop.cutting import cut  # noqa: E402
from omnistream_models.tabletop.export import load  # noqa: E402
from omnistream_models.tabletop.network import Sentences  # noqa: E402
from omnistream_models.tabletop.runtime import Glance, LooksNetwork  # noqa: E402
from omnistream_models.tabletop.sayings import name_of, words_of  # noqa: E402
from omnistream_models.tabletop.scenes import Tabletop, Tabletops  # noqa: E402
from omnistream_models.tabletop.weights import FILES, shipped  # noqa: E402
from omnistream_nodes.object_looks import ObjectLooks  # noqa: E402

SEEDS, DRAWN_SEED = (901, 902, 903), 601


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scenes", type=int, default=1000, help="of each seed")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="only the first so many of the three")
    parser.add_argument("--weights", type=Path, default=shipped())
    parser.add_argument("--photos", type=Path, default=looks_photos.FOLDER, help="pictures of opencv-doc")
    options = parser.parse_args()
    torch.set_num_threads(1)
    seeds = SEEDS[: options.seeds]
    network = LooksNetwork(options.weights)
    _, sentences, pairs = load(options.weights)
    print(f"load at start: {os.getloadavg()[0]:.2f}; seeds {seeds}, {options.scenes} scenes each; {network.manifest.made}\n")
    began, made = time.process_time(), [rendered(seed, options.scenes) for seed in seeds]
    each = (time.process_time() - began) / len(seeds) / options.scenes
    every = [one for some in made for one in some]
    glances = [network.look(one.image, one.boxes) for one in every]
    print(f"rendered at {each * 1e3:.0f} ms of processor time a scene; {sum(len(t.things) for t in every)} things\n")
    crops(every, glances, [network.look(one.image, off(n, one)) for n, one in enumerate(every)])
    zero_shot(every, glances, sentences)
    labels(every, glances)
    print("\n| recall@5 among scenes, by a sentence; any that it is true of counts | n | found | by chance |")
    print("| --- | --- | --- | --- |")
    model, alignment = fused_export.load(fused_weights.shipped())
    for number, (seed, some) in enumerate(zip(seeds, made, strict=True)):
        mine = glances[number * options.scenes :][: options.scenes]
        true = [as_scene(one.things, one.detections) for one in some]
        found = [as_scene(one.things, named(one, glance)) for one, glance in zip(some, mine, strict=True)]
        sought = sought_of(true)
        ways = {
            "by what the crops show": by_vectors(sentences, pairs, sought.texts, true, [g.vectors for g in mine]),
            "by the names that the looks give": by_names(sentences, pairs, sought.texts, found),
            "by faultless names": by_names(sentences, pairs, sought.texts, true),
            "the fused reasoner's alignment, by the names that the looks give": by_alignment(
                model, alignment, sought.texts, found
            ),
        }
        for name, scores in ways.items():
            hits, chance = recall(scores, sought)
            row(f"rendered, seed {seed}: {name}", len(hits), interval(hits), f"{100 * chance:.1f}")
    drawn = drawn_scenes(DRAWN_SEED, 1000)
    sought = sought_of(drawn)
    for name, scores in (
        ("by a detector's noisy names", by_names(sentences, pairs, sought.texts, drawn)),
        ("the fused reasoner's alignment", by_alignment(model, alignment, sought.texts, drawn)),
    ):
        hits, chance = recall(scores, sought)
        row(f"without pixels, seed {DRAWN_SEED}: {name}", len(hits), interval(hits), f"{100 * chance:.1f}")
    costs(every[:300], network, options.weights)
    photographs(network, options.photos)


def rendered(seed: int, count: int) -> list[Tabletop]:
    tabletops = Tabletops(seed, test=True)
    made = [tabletops[n] for n in range(count)]
    tabletops.close()
    return made


def off(number: int, one: Tabletop) -> np.ndarray:
    """Boxes as a detector is off, as in the fused reasoner's tests."""
    rng = np.random.default_rng((7, number))
    sizes = np.concatenate([one.boxes[:, 2:] - one.boxes[:, :2]] * 2, axis=1)
    return one.boxes + rng.standard_t(3, one.boxes.shape) * 0.03 * sizes


def named(one: Tabletop, glance: Glance) -> Detections:
    """Kinds and colours as the network has them: nothing is known of what a detector says."""
    kinds, colours = glance.kinds.argmax(1), glance.colours.argmax(1)
    texts = tuple(name_of(int(k), int(c)) for k, c in zip(kinds, colours, strict=True))
    return Detections(one.boxes, texts, glance.kinds.max(1))


def crops(made: Sequence[Tabletop], glances: Sequence[Glance], apart: Sequence[Glance]) -> None:
    print("| a crop's | n | colour | kind | both |\n| --- | --- | --- | --- | --- |")
    things = [t for one in made for t in one.things]
    truth = np.array([(KINDS.index(t.kind), COLOURS.index(t.colour)) for t in things])
    for name, some in (("exact box", glances), ("box of a detector's noise", apart)):
        right = np.stack([np.concatenate([g[i].argmax(1) for g in some]) for i in (0, 1)], 1) == truth
        new = np.array([bool(t.colour) and held_out(t.kind, t.colour) for t in things])
        known = np.array([bool(t.colour) and t.kind != KINDS[0] for t in things])
        parts = {
            "all": np.ones(len(things), bool), "pairs that were trained": known & ~new, "pairs that were not": new,
            "no such colour or kind": ~known,
        }  # fmt: skip
        for part, on in parts.items():
            row(f"{name}: {part}", int(on.sum()), *(interval(r[on]) for r in (right[:, 1], right[:, 0], right.all(1))))
    print("\n| colour, exact box | n | right | taken for |\n| --- | --- | --- | --- |")
    said = np.concatenate([g.colours.argmax(1) for g in glances])
    confused(COLOURS, truth[:, 1], said)
    print("\n| kind, exact box | n | right | taken for |\n| --- | --- | --- | --- |")
    confused(KINDS, truth[:, 0], np.concatenate([g.kinds.argmax(1) for g in glances]))


def confused(names: Sequence[str], truth: np.ndarray, said: np.ndarray) -> None:
    for n, name in enumerate(names):
        mine = said[truth == n]
        others = np.bincount(mine[mine != n], minlength=len(names))
        taken = ", ".join(f"{names[k] or 'another'} {100 * others[k] / len(mine):.1f} %" for k in np.argsort(-others)[:2])
        row(name or "another", len(mine), interval(mine == n), taken)


def zero_shot(made: Sequence[Tabletop], glances: Sequence[Glance], sentences: Sentences) -> None:
    """By the nearest of all names, none of which a head was trained for."""
    choices = [(k, c) for k in range(1, len(KINDS)) for c in range(1, len(COLOURS))]
    with torch.no_grad():
        space = sentences(torch.from_numpy(words_of([f"look at the {name_of(*choice)}" for choice in choices]))).one.numpy()
    print(f"\n| zero-shot, the nearest of {len(choices)} names | n | right | by chance |\n| --- | --- | --- | --- |")
    hits: dict[bool, list[bool]] = {False: [], True: []}
    for one, glance in zip(made, glances, strict=True):
        best = (glance.vectors @ space.T).argmax(1)
        for thing, number in zip(one.things, best, strict=True):
            truth = (KINDS.index(thing.kind), COLOURS.index(thing.colour))
            if all(truth):
                hits[held_out(thing.kind, thing.colour)].append(choices[int(number)] == truth)
    for new, name in ((False, "pairs that were trained"), (True, "pairs that were neither seen nor named together")):
        row(name, len(hits[new]), interval(hits[new]), f"{100 / len(choices):.1f}")


def labels(made: Sequence[Tabletop], glances: Sequence[Glance]) -> None:
    """As the node names what a detector that knows kinds, not colours, has found."""
    sure = ObjectLooks().min_colour
    truth = np.array([COLOURS.index(t.colour) for one in made for t in one.things])
    shares = np.concatenate([g.colours for g in glances])
    said = np.where(shares.max(1) > sure, shares.argmax(1), 0)
    print(f"\n| as the node names colours, min_colour {sure:g} | n | |\n| --- | --- | --- |")
    row("things of a colour that has a name: named rightly", int((truth > 0).sum()), interval((said == truth)[truth > 0]))
    wrong = (said > 0) & (said != truth)
    row("named wrongly", int((truth > 0).sum()), interval(wrong[truth > 0]))
    row("things of another colour: given none", int((truth == 0).sum()), interval((said == 0)[truth == 0]))


def photographs(network: LooksNetwork, folder: Path) -> None:
    """Apart, and few."""
    found = looks_photos.boxes(folder)
    if not found:
        print("\nNo photographs here: apt-get install opencv-doc")
        return
    right, told = list[bool](), list[str]()
    for image, boxes, colours in found:
        said = network.look(image, boxes).colours
        for shares, colour in zip(said, colours, strict=True):
            best = COLOURS[int(shares.argmax())]
            right.append(best == colour)
            told += [] if best == colour else [f"{colour or 'another'} taken for {best or 'another'}"]
    print(f"\n| photographs: {len(found)} of opencv-doc | n | colour right |\n| --- | --- | --- |")
    row("things, boxed by hand", len(right), interval(right))
    print("; ".join(told))


def costs(made: Sequence[Tabletop], network: LooksNetwork, folder: Path) -> None:
    whole, cutting, count = list[float](), list[float](), 0
    for one in made:
        began = time.thread_time()
        some = [cut(one.image, box) for box in one.boxes]
        middle = time.thread_time()
        network.glance(np.stack(some))
        cutting.append((middle - began) * 1e3)
        whole.append((time.thread_time() - began) * 1e3)
        count += len(some)
    print(f"\n| ms of processor time, {SIZE[0]}x{SIZE[1]}, {count / len(made):.1f} things a picture | mean | p50 | p99 |")
    print("| --- | --- | --- | --- |")
    for name, values, share in (
        ("a picture", whole, 1),
        ("a crop", whole, len(made) / count),
        ("of it to cut it out", cutting, 0),
    ):
        ms = np.asarray(values) * (share or len(made) / count)
        row(name, *(f"{v:.2f}" for v in (ms.mean(), np.quantile(ms, 0.5), np.quantile(ms, 0.99))))
    print(f"\nWeights: {sum((folder / name).stat().st_size for name in FILES) / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
