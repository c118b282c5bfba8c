"""How good the fused reasoner is on scenes of which no part was trained on, and what a decision costs.

python launch/bench_fused.py [--scenes N] [--weights FOLDER]       one thread, some six minutes; prints tables with their seeds

Held out are: one pair of kind and colour in five, the tests' sentences, the voices behind the recognizer's errors, cameras,
nouns, and the noise of boxes and hands. Intervals are 95 % bootstrap intervals over the scenes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402
from fused_costs import costs  # noqa: E402
from fused_rules import Rules  # noqa: E402
from fused_search import retrieval  # noqa: E402
from tables import interval, row  # noqa: E402

from omnistream.message import SECOND, Command  # noqa: E402
from omnistream_models import cache_dir  # noqa: E402
from omnistream_models.fused import noise  # noqa: E402
from omnistream_models.fused.decode import decode, to_action  # noqa: E402
from omnistream_models.fused.evidence import MODALITIES, Evidence, Words  # noqa: E402
from omnistream_models.fused.random_outputs import random_detections, random_logits  # noqa: E402
from omnistream_models.fused.runtime import FusedNetwork  # noqa: E402
from omnistream_models.fused.scenes import Scene, scene  # noqa: E402
from omnistream_models.fused.schema import Decision, faults  # noqa: E402
from omnistream_models.fused.sounding import sounds_of  # noqa: E402
from omnistream_models.fused.weights import shipped  # noqa: E402
from omnistream_nodes.fused_reasoner import FusedReasoner, checked  # noqa: E402

SEEDS = (501, 502, 503)
_SPATIAL = ("left", "right", "front", "back", "left_of", "right_of", "front_of", "behind", "next_to")
_RELATIVE = _SPATIAL[4:]
Asked = tuple[str, ...] | str


class Network:
    """Decisions of the network, by all of it or as far as it takes."""

    def __init__(self, folder: Path) -> None:
        self.network = FusedNetwork(folder)

    def asked(self, evidence: Evidence) -> Asked:
        return self.network.decide(evidence).decision.asked


def right(
    made: Sequence[Scene], decide: Callable[[Evidence], Asked], change: Callable[[int, Evidence], Evidence] | None = None
) -> list[bool]:
    return [decide(s.evidence if change is None else change(n, s.evidence)) == s.truth.asked for n, s in enumerate(made)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--scenes", type=int, default=2000, help="of each of three seeds")
    parser.add_argument("--weights", type=Path, default=shipped())
    options = parser.parse_args()
    net = Network(options.weights)
    made = [one for seed in SEEDS for one in spoken(seed, options.scenes)]
    print(
        f"load at start: {os.getloadavg()[0]:.2f}; seeds {SEEDS}, {options.scenes} scenes each; {net.network.manifest.made}\n"
    )
    ruled, commands = asyncio.run(by_rules(made))
    fused = right(made, net.asked)
    accuracy(made, net, fused, ruled)
    as_node(made, net, commands)
    families(made, fused, ruled)
    missing(made, net)
    plainly(net, options.scenes)
    refusals(made, net)
    heard(net)
    costs(made, net.network)
    valid()
    print("\nRetrieval: 1,000 held-out scenes by a sentence; any scene that it is true of counts")
    row("recall@5 | by chance", *(f"{100 * v:.1f} %" for v in retrieval(options.weights, 601, 1000)))


def spoken(seed: int, count: int) -> list[Scene]:
    """The scenes of a seed, with what the ears made of their sentences in voices of tests, where a synthesizer is here."""
    made = [scene(seed, n, test=True) for n in range(count)]
    programs = [p for p in ("flite", "espeak-ng") if shutil.which(p)]
    if not programs:
        print(f"seed {seed}: no synthesizer is here (apt-get install flite espeak-ng), so nothing is heard")
        return made
    sounds = sounds_of(dict(enumerate(made)), programs, cache_dir() / "fused", seed=seed, test=True)
    return [replace(s, evidence=replace(s.evidence, sound=sounds.get(n))) for n, s in enumerate(made)]


async def by_rules(made: Sequence[Scene]) -> tuple[list[bool], list[Command | None]]:
    """Whether the rules are right, and what the parser made of the words."""
    rules = Rules()
    await rules.open()
    found = [await rules.decide(s.evidence) for s in made]
    return [asked == s.truth.asked for (asked, _), s in zip(found, made, strict=True)], [command for _, command in found]


def as_node(made: Sequence[Scene], net: Network, commands: Sequence[Command | None]) -> None:
    """With the node's checks against the parser; a stop of the parser's is the rules' own."""
    default = FusedReasoner().sure_alone
    for sure_alone in (0.0, default):
        hits, wrong = list[bool](), list[bool]()
        for s, command in zip(made, commands, strict=True):
            decision = net.network.decide(s.evidence).decision
            asked: Asked = decision.asked if command is None else checked(decision, command, sure_alone).asked
            asked = Decision("stop").asked if command is not None and command.intent == "stop" else asked
            hits.append(asked == s.truth.asked)
            wrong.append(asked not in ("rejected", s.truth.asked))
        row(f"as the node decides, sure_alone {sure_alone:g}: exact, a wrong action", interval(hits), interval(wrong))


def accuracy(made: Sequence[Scene], net: Network, fused: Sequence[bool], ruled: Sequence[bool]) -> None:
    print(f"Exact actions, n = {len(made)} (of them {sum(s.shipped for s in made)} in the shipped grammar's own sentences)\n")
    own = [n for n, s in enumerate(made) if s.shipped]
    other = [n for n, s in enumerate(made) if not s.shipped]
    print("| | all | shipped sentences | other sentences |\n| --- | --- | --- | --- |")

    def three(name: str, hits: Sequence[bool]) -> None:
        row(name, interval(hits), interval([hits[n] for n in own]), interval([hits[n] for n in other]))

    three("fused", fused)
    for seed, start in zip(SEEDS, range(0, len(made), len(made) // len(SEEDS)), strict=True):
        row(f"- seed {seed}", interval(fused[start : start + len(made) // len(SEEDS)]), "", "")
    clear = [n for n, s in enumerate(made) if (s.evidence.words or Words("")).text == s.text]
    row(f"- where no word was misheard or mistyped, n = {len(clear)}", interval([fused[n] for n in clear]), "", "")
    three("rules", ruled)
    for only in (("speech", "sound", "typed"), ("speech", "typed"), ("hands",), ("detections",), ("state",)):
        rest = [m for m in MODALITIES if m not in only]
        three(f"only {' and '.join(only)}", right(made, net.asked, lambda _n, e, rest=rest: e.without(*rest)))
    order = np.random.default_rng(1).permutation(len(made))
    for names in (("hands",), ("detections", "look"), ("holding",), ("sound",)):

        def swapped(n: int, e: Evidence, names: Sequence[str] = names) -> Evidence:
            return replace(e, **{name: getattr(made[order[n]].evidence, name) for name in names})

        three(f"{names[0]} of another scene", right(made, net.asked, swapped))
    most = Counter(s.truth.asked for s in made).most_common(1)[0][0]
    three(f"always '{most if isinstance(most, str) else ' '.join(most)}'", [s.truth.asked == most for s in made])
    gain = np.asarray(fused, float) - np.asarray(ruled, float)
    rng = np.random.default_rng(0)
    means = 100 * gain[rng.integers(0, len(gain), (1000, len(gain)))].mean(1)
    low, high = np.quantile(means, (0.025, 0.975))
    print(f"\nFused above the rules: {100 * gain.mean():.1f} points [{low:.1f}, {high:.1f}]")
    fair = [n for n, s in enumerate(made) if s.evidence.holding is None]
    row(
        "the same where no state is known, which the rules do not read: fused | rules",
        interval([fused[n] for n in fair]),
        interval([ruled[n] for n in fair]),
    )


def families(made: Sequence[Scene], fused: Sequence[bool], ruled: Sequence[bool]) -> None:
    print("\n| what is said | n | fused | rules |\n| --- | --- | --- | --- |")
    groups = {
        "kind and colour": ("coloured",), "kind": ("plain",), "that": ("deictic",), "put it there": ("there",),
        "sides": ("left", "right"), "nearest, farthest": ("front", "back"), "next to, left of, behind ...": _RELATIVE,
        "all spatial relations": _SPATIAL, "said and typed": ("twice",), "no command": ("none",),
    }  # fmt: skip
    rest = {s.family for s in made} - {f for g in groups.values() for f in g}
    for name, members in (*groups.items(), ("motions and the rest", tuple(rest))):
        mine = [n for n, s in enumerate(made) if s.family in members]
        row(name, len(mine), interval([fused[n] for n in mine]), interval([ruled[n] for n in mine]))
    seen = [n for n, s in enumerate(made) if s.family in _SPATIAL and s.evidence.detections is not None]
    row("all spatial relations, seen", len(seen), interval([fused[n] for n in seen]), interval([ruled[n] for n in seen]))


def missing(made: Sequence[Scene], net: Network) -> None:
    """Against the truth of all the evidence: what is missing cannot be known, but must not do harm."""
    print("\n| without | n | fused | best single of the rest | wrong action done |\n| --- | --- | --- | --- | --- |")
    for gone in MODALITIES:
        there = [s for s in made if s.evidence.present()[gone]]
        left = [m for m in MODALITIES if m != gone]
        singles = {m: right(there, net.asked, lambda _n, e, m=m: e.without(*(x for x in MODALITIES if x != m))) for m in left}
        singles["speech and typed"] = right(
            there, net.asked, lambda _n, e, gone=gone: e.without("hands", "detections", "state", gone)
        )
        best = max(singles, key=lambda m: np.mean(singles[m]))
        found = [net.asked(s.evidence.without(gone)) for s in there]
        hits = [f == s.truth.asked for f, s in zip(found, there, strict=True)]
        wrong = [f not in ("rejected", s.truth.asked) for f, s in zip(found, there, strict=True)]
        row(gone, len(there), interval(hits), f"{best}: {interval(singles[best])}", interval(wrong))


def plainly(net: Network, count: int) -> None:
    """Detectors that know no colours, a quarter of them no kinds either, with a camera's picture and without."""
    print("\n| things are found by a detector | n | fused |\n| --- | --- | --- |")
    for name, plain, gone in (
        ("that names kinds and colours", 0.0, ("looks",)), ("the same, and what has no full name is looked at", 0.0, ()),
        ("that names no colours, and in a quarter no kinds", 1.0, ("looks",)), ("the same, looked at", 1.0, ()),
    ):  # fmt: skip
        made = [scene(seed, n, test=True, plain=plain) for seed in SEEDS for n in range(count)]
        mine = [s for s in made if s.meant is not None and s.evidence.detections is not None]
        row(name, len(mine), interval(right(mine, net.asked, lambda _n, e, gone=gone: e.without(*gone))))


def refusals(made: Sequence[Scene], net: Network) -> None:
    print("\n| truth | n | refused |\n| --- | --- | --- |")
    for reason in ("", "contradiction", "missing", "ambiguous", "absent", "empty", "full", "unclear"):
        mine = [s for s in made if s.truth.reason == reason]
        row(reason or "good", len(mine), interval([net.asked(s.evidence) == "rejected" for s in mine]))
    print("\nGates by what is said, means (things, hands, state, sounds), where each is there:")
    for family in ("coloured", "deictic", "left_of", "there", "give", "turn", "none"):
        total: dict[str, list[float]] = {}
        for s in made:
            if s.family == family:
                there = {
                    "objects": s.evidence.detections is not None,
                    "hands": bool(s.evidence.hands),
                    "state": s.evidence.holding is not None,
                    "sounds": s.evidence.sound is not None,
                }
                for name, value in net.network.decide(s.evidence, whole=True).decision.gates.items():
                    if there[name]:
                        total.setdefault(name, []).append(value)
        row(
            family, *(f"{name} {np.mean(total[name]):.2f}" for name in ("objects", "hands", "state", "sounds") if name in total)
        )


def heard(net: Network) -> None:
    """Whole sentences as the recognizer wrote them, and sentences that people wrote down before there was this network."""
    from measure_speech import NEAR_MISSES, NO_COMMANDS, PARAPHRASES

    kept = json.loads(Path(noise.__file__).with_name("hearing.json").read_text())
    hits, clean = list[bool](), list[bool]()
    for n, (text, written) in enumerate(kept.get("sentences", [])):
        made = scene(kept["seed"], n, test=True)
        words = made.evidence.words
        if made.text != text or made.evidence.typed is not None or words is None:
            continue
        hits.append(net.asked(replace(made.evidence, speech=Words(written, words.start_s, words.end_s))) == made.truth.asked)
        clean.append(net.asked(replace(made.evidence, speech=Words(text, words.start_s, words.end_s))) == made.truth.asked)
    print("\n| sentences | n | |\n| --- | --- | --- |")
    row("as the recognizer wrote them, held-out voices, noise of 20 to 45 dB: exact", len(hits), interval(hits))
    row("the same without its errors: exact", len(clean), interval(clean))
    sure = FusedReasoner().sure_alone
    typed = {text: net.network.decide(Evidence(typed=Words(text))).decision for text in (*NEAR_MISSES, *NO_COMMANDS)}
    for name, texts in (("near misses: refused", NEAR_MISSES), ("no commands: refused", NO_COMMANDS)):
        row(name, len(texts), interval([bool(typed[t].reason) for t in texts]))
        row(
            f"{name}, with the node's sure_alone",
            len(texts),
            interval([bool(typed[t].reason) or typed[t].confidence < sure for t in texts]),
        )
    pairs = [(meant, text) for meant, texts in PARAPHRASES.items() for text in (" ".join(t.split()) for t in texts.split(","))]
    found = [(net.asked(Evidence(typed=Words(meant))), net.asked(Evidence(typed=Words(text)))) for meant, text in pairs]
    row(
        "other words for a command: as the command itself", len(pairs), interval([a == b and a != "rejected" for a, b in found])
    )
    row("other words for a command: another action", len(pairs), interval([b not in (a, "rejected") for a, b in found]))


def valid(count: int = 100_000) -> None:
    rng, bad, done = np.random.default_rng(0), 0, 0
    for _ in range(count):
        logits, seen = random_logits(rng), random_detections(rng)
        decision = decode(logits, sees=seen is not None, accept=float(rng.choice([0, 0.5])), sure=0.0)
        if not decision.reason:
            done += 1
            bad += bool(faults(to_action(decision, seen, SECOND, valid_ms=2000, text="", model="fused")))
    print(f"\n{count:,} random outputs and inputs: {done:,} actions, {count - done:,} refused with a reason, {bad} not valid")


if __name__ == "__main__":
    main()
