"""`omnistream devices`: the cameras and microphones of this machine, and how a graph names them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from omnistream.cli.screen import screen
from omnistream_drivers.devices import Device, alsa_microphones, cameras, pulse_microphones

__all__ = ["list_devices"]


def list_devices(console: Console | None = None) -> None:
    """List this machine's cameras and microphones, each with the line that a graph needs; or what serves instead."""
    console = console or screen()
    seen, heard = cameras(), alsa_microphones() + pulse_microphones()
    if seen:
        console.print(_table("Cameras", "camera", seen))
    else:
        console.print(
            "No camera was found (no /dev/video*; in a container, pass it in: --device /dev/video0). A network camera or a "
            'file serves as well: {use: camera, with: {device: "rtsp://host/path"}}',
            markup=False,
        )
    if heard:
        console.print(_table("Microphones", "microphone", heard))
    else:
        console.print(
            "No microphone was found (ALSA lists none in /proc/asound, and no PulseAudio answers `pactl`, from the package "
            'pulseaudio-utils). A sound file serves as well: {use: microphone, with: {device: "speech.wav"}}',
            markup=False,
        )


def _table(title: str, driver: str, devices: Sequence[Device]) -> Table:
    table = Table("name", "in a graph", title=title, title_justify="left")
    for device in devices:
        trouble = f"\n{device.trouble}" if device.trouble else ""
        table.add_row(_literal(device.name + trouble), _literal(f'{{use: {driver}, with: {{device: "{device.device}"}}}}'))
    return table


def _literal(text: str) -> str:
    from rich.markup import escape

    return escape("".join(c if c.isprintable() or c == "\n" else " " for c in text))
