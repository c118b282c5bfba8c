"""Training of the fused reasoner, in five stages, from nothing but generated scenes.

One thread; a GPU where there is one. Stages: each modality by itself; words and scenes into one space; everything, with
streams left out and exchanged, and letters too; the space again, on words that stay as they are; at last what the ears hear,
beside a network that stays as it is, so that other ears cost no more than this stage. Batches depend on
the seed and the step alone, so a training that was broken off goes on from its checkpoint as if it had not been.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from omnistream.errors import ModelError
from omnistream_models.ears.manifest import read_manifest as read_ears
from omnistream_models.fused import tensors
from omnistream_models.fused.alignment import Alignment, contrast
from omnistream_models.fused.data import Data, make_data, shown
from omnistream_models.fused.data import tensors as as_tensors
from omnistream_models.fused.export import load
from omnistream_models.fused.losses import by_hands, by_words, whole
from omnistream_models.fused.model import SOUNDLESS, FusedModel
from omnistream_models.fused.reading import bag
from omnistream_models.fused.sounds import SPOKEN, Sounds, made_sounds
from omnistream_models.fused.weights import read_manifest
from omnistream_models.trained import folder_of

__all__ = ["STEPS", "USUAL", "Stages", "Trainer", "stages_of", "train"]

#: Steps of all stages, of `BATCH` scenes a step.
STEPS = 8000
BATCH = 128
_RATE, _WARM = 2e-3, 200
#: In training so many words lose so many of their groups of letters.
_TORN, _LOST = 0.25, 0.3
_KEEP_EVERY = 250


Stages = tuple[int, int, int, int, int]


def stages_of(steps: int) -> Stages:
    """The steps of each stage: a thirtieth, a twentieth, the rest, a fifteenth, a twelfth."""
    first, second, space, ears = steps // 30, steps // 20, steps // 15, steps // 12
    return first, second, steps - first - second - space - ears, space, ears


USUAL = stages_of(STEPS)


class Trainer:
    """Model, optimizer and step; `run` goes on from wherever they are. Stages end at `ends`. `model`: if not a new one."""

    def __init__(
        self,
        data: Data,
        *,
        seed: int,
        stages: Stages = USUAL,
        device: str = "cpu",
        sounds: Sounds | None = None,
        model: FusedModel | None = None,
    ) -> None:
        torch.manual_seed(seed)
        self.data, self.seed, self.device, self.step, self.sounds = data, seed, device, 0, sounds
        self.ends = tuple(int(n) for n in np.cumsum(stages if sounds is not None else stages[:-1]))
        self.model = (model or FusedModel()).to(device)
        self.alignment = Alignment(self.model.size).to(device)
        self.parameters = dict(self.model.named_parameters(prefix="model")) | dict(
            self.alignment.named_parameters(prefix="alignment")
        )
        self.optimizer = torch.optim.AdamW(self.parameters.values(), lr=_RATE, weight_decay=0.01, betas=(0.9, 0.98))

    def run(self, until: int, told: Callable[[int, float], None] = lambda _n, _loss: None) -> None:
        """Train up to a step. `told` gets every step and its loss."""
        self.model.train()
        while self.step < min(until, self.ends[-1]):
            for group in self.optimizer.param_groups:
                group["lr"] = self._rate()
            self._thaw()
            loss = self._loss(np.random.default_rng((self.seed, self.step)))
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # pyright: ignore[reportUnknownMemberType]
            torch.nn.utils.clip_grad_norm_(self.parameters.values(), 1.0)
            self.optimizer.step()
            self.step += 1
            told(self.step, float(loss.detach()))

    def _thaw(self) -> None:
        """What the stage may change: everything, then the space alone, then what weighs sound alone."""
        self.model.requires_grad_(self.step < self.ends[2])
        self.alignment.requires_grad_(self.step < self.ends[3])
        if self.step >= self.ends[3]:
            for part in self.model.fusion.of_sound():
                part.requires_grad_()

    def _rate(self) -> float:
        """Warm-up, then the half of a cosine over all that is left; each of the last two stages has a cosine of its own."""
        if self.step < _WARM:
            return _RATE * (self.step + 1) / _WARM
        stage = max(2, int(np.searchsorted(self.ends, self.step, "right")))
        start, end = (_WARM if stage == 2 else self.ends[stage - 1]), self.ends[stage]
        return _RATE * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (self.step - start) / max(1, end - start))))

    def _loss(self, rng: np.random.Generator) -> Tensor:
        if self.step < self.ends[0]:
            return self._single(rng)
        if self.step < self.ends[1]:
            return self._aligned(rng) + 0.3 * self._single(rng)
        if self.step >= self.ends[3]:
            return self._with_sound(rng)
        if self.step >= self.ends[2]:
            return self._aligned(rng)
        words, labels, x, y = self._batch(rng)
        said, enough, heads, target, _ = self.model.embedded(words, labels, x, SOUNDLESS)
        loss = whole(heads, target, y) + 0.5 * by_words(said, enough, y)
        return loss + 0.2 * self._aligned(rng) if self.step % 8 == 0 else loss

    def _with_sound(self, rng: np.random.Generator) -> Tensor:
        """Everything, with what the ears made of the sentences."""
        assert self.sounds is not None
        numbers, arrays = self.sounds.take(rng, BATCH)
        words, labels, x, y = self._batch(rng, numbers)
        _, _, heads, target, _ = self.model.embedded(words, labels, x | self._moved(arrays))
        return whole(heads, target, y)

    def _single(self, rng: np.random.Generator) -> Tensor:
        """Words and hands, each by itself."""
        words, _, x, y = self._batch(rng)
        said, enough, *_ = self.model.reader.read(words, x["words_on"], x["typed"])
        wanted = shown(x["hands"].cpu().numpy(), x["hands_on"].cpu().numpy())
        return by_words(said, enough, y) + by_hands(self.model, x["hands"], torch.from_numpy(wanted).to(self.device))

    def _aligned(self, rng: np.random.Generator) -> Tensor:
        """Sentences and scenes into one space."""
        arrays, numbers = self.data.arrays, rng.choice(self.data.captioned, BATCH)
        rows = arrays["caption"][numbers]
        things = int(arrays["objects_on"][numbers].sum(1).max())
        rows = rows[:, : int((rows > 0).sum(1).max())]
        seen = {"objects": arrays["objects"][numbers, :things], "on": arrays["objects_on"][numbers, :things]}
        x = self._moved(seen | {"said": rows > 0})
        texts = self.alignment.of_words(self.model.reader, self._embedded(rows), x["said"])
        scenes = self.alignment.of_scenes(self._embedded(arrays["labels"][numbers, :things]), x["objects"], x["on"])
        return contrast(self.alignment.near(texts, scenes), self.alignment.heat)

    def _batch(
        self, rng: np.random.Generator, numbers: np.ndarray | None = None
    ) -> tuple[Tensor, Tensor, dict[str, Tensor], dict[str, Tensor]]:
        """Embedded words and labels, the other fields, the truth; of scenes by chance, unless their `numbers` are given."""
        x, y = self.data.take(self.data.sample(rng, BATCH) if numbers is None else numbers, rng)
        words, things = (max(2, int(x[on].sum(1).max())) for on in ("words_on", "objects_on"))
        most: dict[str, int] = dict.fromkeys(("words", "words_on", "typed"), words)
        most |= dict.fromkeys(("objects", "labels", "looks", "objects_on"), things)
        x = {name: value[:, : most.get(name)] for name, value in x.items()}  # padding adds nothing but work
        words, labels = self._embedded(x.pop("words"), rng), self._embedded(x.pop("labels"))
        return words, labels, self._moved(x), self._moved(y)

    def _embedded(self, rows: np.ndarray, rng: np.random.Generator | None = None) -> Tensor:
        """Words by their groups of letters; with `rng`, some have lost some."""
        grams, which = self.data.grams(rows)
        if rng is not None:
            torn = rng.random((len(grams), 1)) < _TORN
            grams = np.where(torn & (rng.random(grams.shape) < _LOST), 0, grams)
        moved = self._moved({"grams": grams, "which": which.astype(np.int32)})
        return bag(self.model.reader.table, moved["grams"])[moved["which"]]

    def _moved(self, arrays: dict[str, np.ndarray]) -> dict[str, Tensor]:
        return {name: value.to(self.device) for name, value in as_tensors(arrays).items()}

    def begin_with(self, folder: Path) -> None:
        """Be the network of a folder, at the beginning of the last stage: all but what weighs sound, which is learned anew.

        Raises ModelError where the folder's is of another size.
        """
        model, alignment = load(folder)
        known = dict(model.named_parameters(prefix="model")) | dict(alignment.named_parameters(prefix="alignment"))
        anew = {id(p) for part in self.model.fusion.of_sound() for p in part.parameters()}
        try:
            with torch.no_grad():
                for name, p in self.parameters.items():
                    if id(p) not in anew:
                        p.copy_(known[name])
        except RuntimeError:
            raise ModelError(
                f"{folder}: this reasoner is of another size than one that is trained; take the full one"
            ) from None
        self.step = self.ends[3]

    # keeping

    def state(self) -> dict[str, np.ndarray]:
        """All that a training goes on from."""
        out = {name: p.detach().cpu().numpy() for name, p in self.parameters.items()}
        for name, p in self.parameters.items():
            for kind, value in self.optimizer.state.get(p, {}).items():
                out[f"{kind}:{name}"] = np.asarray(value.cpu().numpy(), np.float32)
        return out | {"step": np.array([self.step], np.int64)}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on from what `state` gave. Raises ModelError where it is of another network."""
        try:
            with torch.no_grad():
                for name, p in self.parameters.items():
                    p.copy_(torch.from_numpy(arrays[name]))
                    kinds = {k.split(":")[0] for k in arrays if k.endswith(f":{name}")}
                    self.optimizer.state[p] = {
                        k: torch.from_numpy(arrays[f"{k}:{name}"]).to("cpu" if k == "step" else self.device) for k in kinds
                    }
            self.step = int(arrays["step"][0])
        except (KeyError, RuntimeError) as e:
            raise ModelError(f"the checkpoint is of another network ({e}); delete it to begin anew") from None


def train(
    out: Path,
    *,
    seed: int = 0,
    scenes: int = 150_000,
    stages: Stages = USUAL,
    device: str = "",
    programs: Sequence[str] = (),
    begin: Path | None = None,
    ears: str = "shipped",
    told: Callable[[str, int, int, float], None] = lambda *_: None,
) -> Trainer:
    """Train into the folder `out`, from its checkpoint if it has one. `told` gets what is done, how much of how much, the loss.

    `programs` are the synthesizers that speak scenes' sentences, for `ears` to hear; without any there is no stage of sound.
    `begin`: a folder of a trained reasoner, of which only what weighs sound is learned anew. Writes checkpoint.safetensors and
    log.json. Raises ModelError where the checkpoint is of another network, seed or beginning.
    """
    torch.set_num_threads(1)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    out.mkdir(parents=True, exist_ok=True)
    kept, log = out / "checkpoint.safetensors", list[Any]()
    about = {"seed": str(seed)}
    if begin is not None:
        heard_by = read_ears(folder_of("ears", ears)).sha256["ears.safetensors"]
        about["from"] = f"{read_manifest(begin).sha256['fused.safetensors']} for {heard_by}"
    arrays = _checkpoint(kept, about)
    if begin is not None or (arrays is not None and int(arrays["step"][0]) >= sum(stages[:-1])):
        scenes = min(scenes, SPOKEN)  # all that there is left to learn from
    data = make_data(1000 + seed, scenes, progress=lambda n: told("scenes", n, scenes, math.nan))
    sounds = made_sounds(1000 + seed, scenes, programs, ears, told) if programs and stages[-1] else None
    trainer = Trainer(data, seed=seed, stages=stages, device=device, sounds=sounds)
    if arrays is not None:
        trainer.restore(arrays)
    elif begin is not None:
        trainer.begin_with(begin)
    began, losses = time.monotonic(), list[float]()

    def step_done(step: int, loss: float) -> None:
        losses.append(loss)
        told("steps", step, trainer.ends[-1], loss)

    while trainer.step < trainer.ends[-1]:
        end = min(e for e in trainer.ends if e > trainer.step)
        trainer.run(min(end, trainer.step + _KEEP_EVERY), step_done)
        tensors.write(kept, trainer.state(), about)
        log.append(
            {"step": trainer.step, "loss": round(float(np.mean(losses)), 4), "seconds": round(time.monotonic() - began, 1)}
        )
        (out / "log.json").write_text(json.dumps(log, indent=0) + "\n")
        losses.clear()
    return trainer


def _checkpoint(kept: Path, wanted: Mapping[str, str]) -> dict[str, np.ndarray] | None:
    """What a training goes on from; None where there is none. Raises ModelError where it is of another seed or beginning."""
    if not kept.exists():
        return None
    arrays, about = tensors.read(kept)
    seed = about.get("seed")
    if seed != wanted["seed"]:
        raise ModelError(f"{kept} is of seed {seed}, not {wanted['seed']}; write --seed {seed}, or another folder")
    if about.get("from") != wanted.get("from"):
        raise ModelError(
            f"{kept} is of a training with another beginning, or for other ears; delete it, or write another folder"
        )
    return arrays
