"""Opening cameras, microphones and media files through PyAV: what a device string means, and what its errors say."""

from __future__ import annotations

import errno
import os
import platform
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from omnistream.errors import DeviceError
from omnistream.media.file import open_file

if TYPE_CHECKING:
    from av.container import InputContainer

    from omnistream_drivers._reader import Reader

__all__ = ["SILENCE_SECONDS", "Kind", "decoded", "describe", "find_alsa", "kind_of", "open_alsa", "open_media", "shown"]

Kind = Literal["v4l2", "rtsp", "http", "file"]

#: A network source that sends nothing for so long is taken for dead and connected anew.
SILENCE_SECONDS = 5.0
_OPEN_SECONDS = 8.0
#: Devices are polled without blocking, so that a stuck driver cannot hold the thread: a fraction of a frame or chunk.
_POLL_SECONDS = 0.004
_MOST_BAD_PACKETS = 100
#: AVFMT_FLAG_NONBLOCK by number: FFmpeg has no name for it among the words of `fflags`.
_NONBLOCK = "+4"

# `fpsprobesize` 0: RTSP opens in 0.4 s rather than 1.7 s. A playlist or SDP from the network must not name local files.
_OPTIONS: Mapping[str, Mapping[str, str]] = {
    "v4l2": {"fflags": f"nobuffer{_NONBLOCK}"},
    "rtsp": {
        "rtsp_transport": "tcp",
        "timeout": str(int(SILENCE_SECONDS * 1e6)),
        "fflags": "nobuffer",
        "fpsprobesize": "0",
        "analyzeduration": "500000",
        "protocol_whitelist": "rtsp,rtsps,rtp,tcp,tls,udp",
    },
    "http": {
        "fflags": "nobuffer",
        "fpsprobesize": "0",
        "analyzeduration": "500000",
        "protocol_whitelist": "http,https,tcp,tls,crypto",
    },
}


def kind_of(device: str) -> Kind:
    """What a camera's device string names. Raises DeviceError for a kind of address that is not known."""
    scheme = device.partition("://")[0] if "://" in device else ""
    if scheme in ("rtsp", "rtsps"):
        return "rtsp"
    if scheme in ("http", "https"):
        return "http"
    if scheme:
        ways = "rtsp:// or http(s)://, or give /dev/video0 or a file"
        raise DeviceError(f"'{shown(device)}': a camera cannot be reached by {scheme}://; use {ways}")
    return "v4l2" if device.startswith("/dev/") else "file"


def shown(device: str) -> str:
    """The device string without a password, for messages."""
    return re.sub(r"//[^/@\s]*@", "//***@", device)


def describe(error: BaseException) -> str:
    """Why FFmpeg could not, in a few words and without the address."""
    number = getattr(error, "errno", None)
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    if number == errno.ETIMEDOUT or type(error).__name__ == "ExitError":
        return "nothing came in time"
    return str(text).strip().rstrip(".")


def open_media(device: str, kind: Kind, options: Mapping[str, str] | None = None) -> InputContainer:
    """Open a camera or a file; the read timeout makes a silent network source fail instead of blocking for ever.

    Raises av.error.FFmpegError.
    """
    if kind == "file":
        return open_file(device, options)
    import av

    return av.open(
        device,
        format="v4l2" if kind == "v4l2" else None,
        options=dict(_OPTIONS[kind]) | dict(options or {}),
        timeout=(_OPEN_SECONDS, SILENCE_SECONDS),
    )


def open_alsa(name: str, rate_hz: int) -> InputContainer:
    """Open an ALSA capture device, mono if it can. Raises DeviceError with what ALSA says."""
    import av
    from av import logging as ffmpeg
    from av.error import FFmpegError

    find_alsa(os.environ)
    said: list[str] = []
    level = ffmpeg.get_level()
    ffmpeg.set_level(ffmpeg.ERROR)  # whatever goes wrong, the error is EIO: only FFmpeg's log says what
    try:
        for rate, channels in [(rate_hz, 1), (48000, 1), (rate_hz, 2), (48000, 2), (48000, 4), (48000, 6), (48000, 8)]:
            options = {"sample_rate": str(rate), "channels": str(channels), "fflags": _NONBLOCK}
            with ffmpeg.Capture() as lines:
                try:
                    return av.open(name, format="alsa", options=options, timeout=(_OPEN_SECONDS, SILENCE_SECONDS))
                except FFmpegError as error:
                    said = [text.strip() for _, _, text in lines] or [describe(error)]
            if "open audio device" in said[0]:
                break  # not there or busy, whatever is asked of it
    finally:
        ffmpeg.set_level(level)
    raise DeviceError(said[0])


def find_alsa(environ: Any) -> None:
    """Point the ALSA library inside PyAV's wheel at this system's configuration and plugins.

    The wheel's library looks under /tmp/vendor, where it was built: nothing is there, and anybody could put something there.
    """
    if "ALSA_CONFIG_DIR" not in environ:
        environ["ALSA_CONFIG_DIR"] = "/usr/share/alsa"
    if "ALSA_PLUGIN_DIR" not in environ:
        places = (f"/usr/lib/{platform.machine()}-linux-gnu/alsa-lib", "/usr/lib64/alsa-lib", "/usr/lib/alsa-lib")
        environ["ALSA_PLUGIN_DIR"] = next((p for p in places if Path(p).is_dir()), places[0])


def decoded(
    container: InputContainer, stream: Any, reader: Reader[Any], decode: Callable[[Any], list[Any]] = lambda p: p.decode()
) -> Iterator[tuple[Any, int]]:
    """Frames with the run time at which their packet arrived; packets that do not decode are counted as ``corrupt``.

    Ends at the end of the input or when the reader is to stop. Raises av.error.FFmpegError where the input fails,
    and DeviceError where nothing but garbage comes or a device falls silent.
    """
    from av.error import InvalidDataError

    garbage, silent_s = 0, 0.0
    while True:
        try:
            for packet in container.demux(stream):
                arrival, silent_s = reader.clock.now(), 0.0
                try:
                    frames = decode(packet)
                except InvalidDataError:
                    garbage += 1
                    reader.count("corrupt")
                    if garbage > _MOST_BAD_PACKETS:
                        raise DeviceError(f"{_MOST_BAD_PACKETS} packets one after another could not be decoded") from None
                    continue
                for frame in frames:
                    garbage = 0
                    if frame.is_corrupt:
                        reader.count("corrupt")
                    else:
                        yield frame, arrival
                if reader.stopping:
                    return
            return
        except BlockingIOError:
            silent_s += _POLL_SECONDS
            if silent_s > SILENCE_SECONDS:
                raise DeviceError(f"the device sent nothing for {SILENCE_SECONDS:g} s") from None
            if not reader.pause(_POLL_SECONDS):
                return
        except InvalidDataError:
            garbage += 1
            reader.count("corrupt")
            if reader.stopping:
                return
            if garbage > _MOST_BAD_PACKETS:
                raise DeviceError(f"{_MOST_BAD_PACKETS} packets one after another could not be read") from None
