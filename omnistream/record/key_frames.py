"""H.264 that begins in the middle of a group of pictures, with the same pixels as it had in the whole."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from omnistream.errors import RecordingError

__all__ = ["begun_anew"]


def begun_anew(packets: Sequence[bytes], kept: int, where: str) -> list[bytes]:
    """The last `kept` of `packets`, which begin with a key frame, as H.264 that begins with one itself: bit for bit the same
    pictures.

    They are decoded and encoded without loss as they were decoded (4:2:0 at qp 0, no conversion). Raises RecordingError
    where a packet does not decode.
    """
    import av
    import av.error

    decoder: Any = av.CodecContext.create("h264", "r")
    decoder.thread_count = 1
    encoder: Any = None
    found: list[bytes] = []
    for number, data in enumerate(packets):
        try:
            frames = decoder.decode(av.Packet(data))
        except av.error.FFmpegError as e:
            raise RecordingError(f"{where} is damaged ({e.strerror})") from None
        if len(frames) != 1 or frames[0].width % 2 or frames[0].height % 2:
            raise RecordingError(f"{where} is damaged, has odd sides or B-frames, and cannot begin between key frames")
        if number < len(packets) - kept:
            continue
        frame = frames[0]
        if encoder is None:
            encoder = _lossless(frame)
        frame.pts, frame.pict_type = len(found), 0
        out = encoder.encode(frame)
        if len(out) != 1:
            raise RecordingError(f"{where}: the H.264 encoder gave {len(out)} packets for one frame")
        found.append(bytes(out[0]))
    return found


def _lossless(frame: Any) -> Any:
    import av

    encoder: Any = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, frame.format.name
    encoder.color_range, encoder.colorspace = frame.color_range, frame.colorspace
    encoder.time_base, encoder.framerate = Fraction(1, 30), 30
    encoder.gop_size, encoder.max_b_frames, encoder.thread_count = 1 << 20, 0, 1
    params = "repeat-headers=1:scenecut=0:sliced-threads=0"
    encoder.options = {"preset": "veryfast", "tune": "zerolatency", "qp": "0", "x264-params": params}
    return encoder
