"""Video frames to H.264 access units and back, one for one and in order."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from omnistream.errors import RecordingError
from omnistream.message import VideoFrame

__all__ = ["H264Decoder", "H264Encoder", "is_key_frame", "rgb_of_yuv420"]


class H264Encoder:
    """RGB frames of one size -> Annex B, no B-frames, parameter sets on every key frame (`gop` frames apart)."""

    def __init__(self, width: int, height: int, fps: int = 30, gop: int = 30, crf: int = 23, preset: str = "slow") -> None:
        import av

        if width % 2 or height % 2:
            raise RecordingError(f"H.264 video has even sides, not {width}x{height}; record it lossless")
        self._av = av
        self.size = (width, height)
        context: Any = av.CodecContext.create("libx264", "w")
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base, context.framerate = Fraction(1, fps), fps
        context.gop_size, context.max_b_frames, context.thread_count = gop, 0, 1
        params = "repeat-headers=1:scenecut=0:sliced-threads=0"
        context.options = {"preset": preset, "tune": "zerolatency", "crf": str(crf), "x264-params": params}
        self._context = context
        self._count = 0

    def encode(self, frame: VideoFrame) -> bytes:
        """One access unit for one frame. Raises RecordingError where the frame's size or type changes."""
        image = frame.image
        if image.dtype != np.uint8 or image.shape[:2] != (self.size[1], self.size[0]):
            raise RecordingError(
                f"a {image.dtype} frame of {image.shape} in a {self.size[0]}x{self.size[1]} recording of H.264 video"
            )
        source = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24" if image.ndim == 3 else "gray")
        source.pts = self._count
        self._count += 1
        packets = self._context.encode(source)
        if len(packets) != 1:
            raise RecordingError(f"the H.264 encoder gave {len(packets)} packets for one frame")
        return bytes(packets[0])


class H264Decoder:
    """Annex B access units -> RGB frames. The same bytes give the same pixels on every machine."""

    def __init__(self, where: str) -> None:
        import av
        import av.error

        self._av = av
        self._where = where
        context: Any = av.CodecContext.create("h264", "r")
        context.thread_count = 1  # frame threads would hold frames back
        self._context = context

    def decode(self, data: bytes, stamp_ns: int) -> VideoFrame:
        """Raises RecordingError where the bytes hold no whole frame."""
        try:
            frames = self._context.decode(self._av.Packet(data)) if data else []
        except self._av.error.FFmpegError as e:
            raise RecordingError(f"{self._where}: the video frame at {stamp_ns} ns is damaged ({e.strerror})") from None
        if len(frames) != 1 or frames[0].format.name not in ("yuv420p", "yuvj420p"):
            raise RecordingError(f"{self._where}: the video frame at {stamp_ns} ns is damaged or not 4:2:0 without B-frames")
        return VideoFrame(rgb_of_yuv420(*_planes(frames[0])))


def is_key_frame(data: bytes) -> bool:
    """Whether an Annex B access unit can be decoded without those before it: it has an IDR slice (H.264 7.4.1, type 5)."""
    at = data.find(b"\0\0\1")
    while 0 <= at < len(data) - 3:
        if data[at + 3] & 31 == 5:
            return True
        at = data.find(b"\0\0\1", at + 3)
    return False


def _planes(frame: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    sides = [(frame.height, frame.width)] + [((frame.height + 1) // 2, (frame.width + 1) // 2)] * 2
    planes = [
        np.frombuffer(p, np.uint8).reshape(-1, p.line_size)[:height, :width]
        for p, (height, width) in zip(frame.planes, sides, strict=True)
    ]
    return planes[0], planes[1], planes[2]


def rgb_of_yuv420(y: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """(H, W) and two (H/2, W/2) planes of limited range -> (H, W, 3) RGB, in integers: ITU-R BT.601, 8-bit fixed point.

    FFmpeg's own conversion depends on the processor, and a replay must not.
    """
    height, width = y.shape
    luma = (y.astype(np.int32) - 16) * 298 + 128
    d = u.astype(np.int32) - 128
    e = v.astype(np.int32) - 128
    out = np.empty((height, width, 3), np.uint8)
    for channel, offset in enumerate((409 * e, -100 * d - 208 * e, 516 * d)):
        full = offset.repeat(2, 0).repeat(2, 1)[:height, :width]
        out[..., channel] = np.clip((luma + full) >> 8, 0, 255)
    return out
