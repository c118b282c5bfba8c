"""What smaller variants learn from, and what they are judged by: never a voice that is reserved for tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from omnistream_models import cache_dir
from omnistream_models.ears.scenes import Scenes
from omnistream_models.ears.synthesis import AMOUNTS, Amount, make_clips, plan
from omnistream_models.ears.voices import installed_programs, is_tuning
from omnistream_models.progress import Told
from omnistream_nodes.grammar import Grammar

__all__ = ["Plan", "scenes_of"]

#: How much the voices that judge say.
_JUDGES = Amount(8, 4, 2)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of `make_variants`; as the options of ``omnistream quantize ears``."""

    seed: int = 1
    steps: int = 150
    small_steps: int = 1200
    scenes: int = 160
    clips: float = 1.0
    programs: tuple[str, ...] = ()


def scenes_of(grammar: Grammar, how: Plan, told: Told) -> tuple[Scenes, Scenes, str]:
    """Those to learn from, as in training, and those to judge by: voices that choose thresholds, where espeak-ng has them."""
    programs = how.programs or tuple(installed_programs())
    clips: list[Any] = []
    for program in programs:
        jobs = plan(grammar, [program], how.seed, {program: AMOUNTS[program].times(how.clips)})
        clips += make_clips(jobs, cache_dir() / "ears", _counted(told, f"{program} speaks", len(jobs)))
    learned = Scenes(clips, grammar, how.seed)
    if "espeak-ng" not in programs:
        return learned, Scenes(clips, grammar, how.seed + 77), "the voices of training, in other scenes"
    jobs = plan(grammar, ["espeak-ng"], how.seed + 77, {"espeak-ng": _JUDGES.times(how.clips)}, is_tuning)
    judges = make_clips(jobs, cache_dir() / "ears", _counted(told, "judges speak", len(jobs)))
    return learned, Scenes(judges, grammar, how.seed + 77), "voices of espeak-ng that choose thresholds"


def _counted(told: Told, what: str, of: int) -> Callable[[int], None]:
    done = 0

    def add(n: int) -> None:
        nonlocal done
        done += n
        told(what, done, of, "")

    return add
