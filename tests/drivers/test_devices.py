"""Finding devices: file trees as Linux makes them, and the table of `omnistream devices`."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from rich.console import Console

from omnistream.cli import devices as command
from omnistream_drivers.devices import Device, alsa_microphones, cameras, pulse_microphones

# As a laptop with a webcam and a USB microphone shows them (Documentation/sound/designs/procfile.rst of Linux).
PCM = """\
00-00: ALC257 Analog : ALC257 Analog : playback 1 : capture 1
00-03: HDMI 0 : HDMI 0 : playback 1
02-00: USB Audio : USB Audio : playback 1 : capture 1
"""
CARDS = """\
 0 [PCH            ]: HDA-Intel - HDA Intel PCH
                      HDA Intel PCH at 0x603d198000 irq 145
 2 [Device         ]: USB-Audio - USB PnP Sound Device
                      C-Media Electronics Inc. USB PnP Sound Device at usb-0000:00:14.0-1, full speed
"""


@pytest.fixture
def laptop(tmp_path: Path) -> Path:
    for i, (name, index) in enumerate(
        [("Integrated Camera: Integrated C", 0), ("Integrated Camera: Integrated C", 1), ("USB Cam", 0)]
    ):
        folder = tmp_path / f"sys/class/video4linux/video{i}"
        folder.mkdir(parents=True)
        (folder / "name").write_text(name + "\n")
        (folder / "index").write_text(f"{index}\n")
    (tmp_path / "dev/snd").mkdir(parents=True)
    for node in ("dev/video0", "dev/video1", "dev/snd/pcmC0D0c", "dev/snd/pcmC2D0c"):
        (tmp_path / node).touch()
    (tmp_path / "proc/asound").mkdir(parents=True)
    (tmp_path / "proc/asound/pcm").write_text(PCM)
    (tmp_path / "proc/asound/cards").write_text(CARDS)
    return tmp_path


def test_cameras_without_their_metadata_nodes(laptop: Path) -> None:
    first, second = cameras(laptop)
    assert first == Device("/dev/video0", "Integrated Camera: Integrated C")
    assert (second.device, second.name) == ("/dev/video2", "USB Cam")
    assert "--device /dev/video2" in second.trouble  # known to the kernel, not passed into the container


def test_alsa_microphones_by_name(laptop: Path) -> None:
    assert alsa_microphones(laptop) == [
        Device("alsa:default", "the default of ALSA"),
        Device("alsa:plughw:CARD=PCH,DEV=0", "ALC257 Analog"),
        Device("alsa:plughw:CARD=Device,DEV=0", "USB Audio"),
    ]


def test_missing_permission_is_named(laptop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert cameras(laptop)[0].trouble == "no permission: add yourself to the group 'video'"
    assert alsa_microphones(laptop)[1].trouble == "no permission: add yourself to the group 'audio'"


def test_a_machine_without_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cameras(tmp_path) == alsa_microphones(tmp_path) == []
    monkeypatch.setenv("PATH", str(tmp_path))
    assert pulse_microphones() == []


def test_a_server_that_talks_nonsense_is_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "pactl"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    for says in ("echo nonsense", "exit 1"):
        fake.write_text(f"#!/bin/sh\n{says}\n")
        fake.chmod(0o755)
        assert pulse_microphones() == []


def shown(width: int = 120) -> str:
    screen = io.StringIO()
    command.list_devices(Console(file=screen, width=width))
    return screen.getvalue()


def test_the_table_says_what_to_write(monkeypatch: pytest.MonkeyPatch, laptop: Path) -> None:
    monkeypatch.setattr(command, "cameras", lambda: cameras(laptop))
    monkeypatch.setattr(command, "alsa_microphones", lambda: alsa_microphones(laptop))
    monkeypatch.setattr(command, "pulse_microphones", lambda: [Device("pulse:[bold]x", "a [red]name")])
    said = shown()
    assert '{use: camera, with: {device: "/dev/video0"}}' in said
    assert '{use: microphone, with: {device: "alsa:plughw:CARD=PCH,DEV=0"}}' in said
    assert "a [red]name" in said
    assert "pulse:[bold]x" in said


def test_nothing_found_is_a_helpful_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cameras", "alsa_microphones", "pulse_microphones"):
        monkeypatch.setattr(command, name, list)
    said = " ".join(shown(1000).split())
    assert 'device: "rtsp://host/path"' in said
    assert "pulseaudio-utils" in said
    assert 'device: "speech.wav"' in said
