"""What cameras and microphones this machine has, read from the system without opening any."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Device", "alsa_microphones", "camera_list", "cameras", "microphone_list", "pulse_microphones"]

_PATIENCE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Device:
    """One device: what to write as `device:` in a graph, what its maker calls it, and what keeps it from being used."""

    device: str
    name: str
    trouble: str = ""


def cameras(root: Path = Path("/")) -> list[Device]:
    """The v4l2 devices that give pictures; a camera's further nodes (metadata) are left out."""
    found: list[Device] = []
    for entry in sorted((root / "sys/class/video4linux").glob("video*"), key=lambda p: int(re.sub(r"\D", "", p.name) or 0)):
        if _line(entry / "index") not in ("", "0"):
            continue
        device = root / "dev" / entry.name
        trouble = ""
        if not device.exists():
            trouble = f"/dev/{entry.name} is not there (in a container: --device /dev/{entry.name})"
        elif not os.access(device, os.R_OK | os.W_OK):
            trouble = "no permission: add yourself to the group 'video'"
        found.append(Device(f"/dev/{entry.name}", _line(entry / "name") or entry.name, trouble))
    return found


def alsa_microphones(root: Path = Path("/")) -> list[Device]:
    """The ALSA devices that can record, from /proc/asound."""
    cards = dict(re.findall(r"^\s*(\d+) \[(\S+)", _text(root / "proc/asound/cards"), re.MULTILINE))
    found: list[Device] = []
    for line in _text(root / "proc/asound/pcm").splitlines():
        match = re.match(r"(\d+)-(\d+): (.*?) :.*\bcapture\b", line)
        if match:
            card, number = str(int(match[1])), int(match[2])
            node = root / f"dev/snd/pcmC{card}D{number}c"
            trouble = "" if os.access(node, os.R_OK | os.W_OK) else "no permission: add yourself to the group 'audio'"
            found.append(Device(f"alsa:plughw:CARD={cards.get(card, card)},DEV={number}", match[3].strip(), trouble))
    if found:
        found.insert(0, Device("alsa:default", "the default of ALSA"))
    return found


def pulse_microphones() -> list[Device]:
    """What PulseAudio (or PipeWire in its place) can record from; none where no server answers."""
    if shutil.which("pactl") is None:
        return []
    try:
        done = subprocess.run(
            ["pactl", "--format=json", "list", "sources"], capture_output=True, timeout=_PATIENCE_SECONDS, check=True, text=True
        )
        sources: list[dict[str, Any]] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return []
    found = [Device(f"pulse:{s['name']}", str(s.get("description") or s["name"])) for s in sources if "name" in s]
    if found:
        found.insert(0, Device("pulse:default", "the default of PulseAudio"))
    return found


def camera_list() -> str:
    """The cameras in one line, for an error's sentence."""
    return ", ".join(f"{c.device} ({c.name})" for c in cameras()) or "none"


def microphone_list() -> str:
    """The microphones in one line, for an error's sentence."""
    return ", ".join(m.device for m in alsa_microphones() + pulse_microphones()) or "none"


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _line(path: Path) -> str:
    return _text(path).strip()
