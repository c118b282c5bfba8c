"""Pictures that others have compressed, as frames; the same bytes give the same pixels on every machine."""

from __future__ import annotations

from typing import Any

import numpy as np

from omnistream.coded import MOST_PIXELS
from omnistream.errors import PayloadError
from omnistream.message import VideoFrame

__all__ = ["MOST_PIXELS", "decode_image", "frame_of", "raw_frame"]

_CODECS = ((b"\xff\xd8\xff", "mjpeg"), (b"\x89PNG\r\n\x1a\n", "png"), (b"RIFF", "webp"))


def decode_image(data: bytes) -> VideoFrame:
    """A JPEG, PNG or WebP file: RGB, or grey where it is grey. Raises PayloadError."""
    import av
    import av.error

    codec = next((name for magic, name in _CODECS if data.startswith(magic)), None)
    if codec is None:
        raise PayloadError(f"a picture that begins with {data[:4].hex() or 'nothing'} cannot be read; use JPEG, PNG or WebP")
    context: Any = av.CodecContext.create(codec, "r")
    context.thread_count = 1
    context.options = {"max_pixels": str(MOST_PIXELS)}
    try:
        frames = [*context.decode(av.Packet(data)), *context.decode(None)]
        if not frames:
            raise PayloadError(f"a {codec} picture of {len(data)} bytes holds nothing whole")
        return frame_of(frames[0])
    except (av.error.FFmpegError, ValueError, MemoryError) as e:
        why = getattr(e, "strerror", None) or str(e) or type(e).__name__
        raise PayloadError(f"a {codec} picture of {len(data)} bytes cannot be read ({why[:80]})") from None


def frame_of(frame: Any, turns: int = 0) -> VideoFrame:
    """A decoded frame: grey of 8 or 16 bits as it is, else RGB; turned left so often by a quarter.

    FFmpeg's own choice of conversion depends on the processor; this one is its exact one (0.1 ms becomes 4 at 640x480).
    """
    from av.video.reformatter import Interpolation

    name = frame.format.name
    if name.startswith("gray"):
        deep = name not in ("gray", "gray8")
        image = frame.to_ndarray(format="gray16le" if deep else "gray")
        encoding = "16UC1" if deep else "mono8"
    else:
        exact = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT | Interpolation.FULL_CHR_H_INT
        image, encoding = frame.reformat(format="rgb24", interpolation=int(exact)).to_ndarray(), "rgb8"
    if turns:
        image = np.ascontiguousarray(np.rot90(image, turns))
    image.flags.writeable = False
    return VideoFrame(image, encoding)


def raw_frame(data: bytes, height: int, width: int, step: int, encoding: str, *, big_endian: bool) -> VideoFrame:
    """The pixels of a sensor_msgs/Image. Raises PayloadError for an unknown encoding, and sizes that do not fit."""
    form = _RAW.get(encoding.lower())
    if form is None:
        raise PayloadError(f"a picture of the encoding '{encoding[:40]}' cannot be read; use one of {', '.join(_RAW)}")
    channels, dtype, pick = form
    each = channels * np.dtype(dtype).itemsize
    if not (width > 0 and height > 0 and width * height <= MOST_PIXELS):
        raise PayloadError(f"a picture of {width}x{height} pixels cannot be; at most {MOST_PIXELS} in all are read")
    if step < width * each or len(data) < step * (height - 1) + width * each:
        raise PayloadError(
            f"a picture of {width}x{height} {encoding} in rows of {step} bytes does not fit in {len(data)} bytes"
        )
    whole = np.frombuffer(data, np.uint8, min(len(data), step * height))
    if len(whole) < step * height:  # the last row need not be padded
        whole = np.concatenate([whole, np.zeros(step * height - len(whole), np.uint8)])
    rows = np.ascontiguousarray(whole.reshape(height, step)[:, : width * each])
    pixels = rows.view(np.dtype(dtype).newbyteorder(">" if big_endian else "<")).reshape(height, width, channels)
    return pick(pixels)


def _rgb(pixels: np.ndarray) -> VideoFrame:
    return VideoFrame(np.ascontiguousarray(pixels[..., :3]))


def _bgr(pixels: np.ndarray) -> VideoFrame:
    return VideoFrame(np.ascontiguousarray(pixels[..., 2::-1]))


def _grey(pixels: np.ndarray) -> VideoFrame:
    return VideoFrame(pixels[..., 0], "mono8")


def _depth_mm(pixels: np.ndarray) -> VideoFrame:
    return VideoFrame(np.ascontiguousarray(pixels[..., 0], "<u2"), "16UC1")


def _depth_m(pixels: np.ndarray) -> VideoFrame:
    """REP 118: depth as 32-bit floats is in metres, and NaN or infinite where there is none."""
    with np.errstate(invalid="ignore"):
        millimetres = np.nan_to_num(pixels[..., 0].astype(np.float64) * 1000, nan=0, posinf=0, neginf=0)
    return VideoFrame(np.clip(np.rint(millimetres), 0, 65535).astype("<u2"), "16UC1")


def _yuv(luma: int) -> Any:
    """Packed 4:2:2 of limited range, BT.601, as webcams give it."""

    def pick(pixels: np.ndarray) -> VideoFrame:
        from omnistream.record.h264 import rgb_of_yuv420

        if pixels.shape[1] % 2:
            raise PayloadError(f"a 4:2:2 picture cannot be {pixels.shape[1]} pixels wide")
        y, chroma = pixels[..., luma], pixels[..., 1 - luma]
        twice = rgb_of_yuv420(y.repeat(2, 0), chroma[:, 0::2], chroma[:, 1::2])  # as 4:2:0 of twice the height
        return VideoFrame(np.ascontiguousarray(twice[::2]))

    return pick


#: encoding -> channels, type of each, and how they become a frame (sensor_msgs/image_encodings.hpp).
_RAW: dict[str, tuple[int, str, Any]] = {
    "rgb8": (3, "u1", _rgb),
    "bgr8": (3, "u1", _bgr),
    "rgba8": (4, "u1", _rgb),
    "bgra8": (4, "u1", _bgr),
    "8uc3": (3, "u1", _bgr),
    "mono8": (1, "u1", _grey),
    "8uc1": (1, "u1", _grey),
    "mono16": (1, "u2", _depth_mm),
    "16uc1": (1, "u2", _depth_mm),
    "32fc1": (1, "f4", _depth_m),
    "yuv422": (2, "u1", _yuv(1)),
    "uyvy": (2, "u1", _yuv(1)),
    "yuv422_yuy2": (2, "u1", _yuv(0)),
    "yuyv": (2, "u1", _yuv(0)),
}
