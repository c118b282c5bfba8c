"""The video of a camera in a dataset: a frame for every row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from omnistream.errors import RecordingError
from omnistream.message import VideoFrame
from omnistream.record.codec import RecordedMessage
from omnistream.record.export.statistics import Pixels

__all__ = ["feature_of", "write_video"]


def write_video(
    path: Path, messages: Iterator[RecordedMessage], times: Sequence[int], fps: int, pixels: Pixels
) -> tuple[int, int]:
    """One H.264 file with a frame for every time, each second a key frame (lerobot reads at random); its height and width."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    following = next(messages, None)
    image: np.ndarray | None = None
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream: Any = None
        for number, at in enumerate(times):
            while following is not None and (image is None or following.stamp_ns <= at):
                assert isinstance(following.payload, VideoFrame)
                image = _rgb(following.payload.image)
                following = next(messages, None)
            assert image is not None
            if stream is None:
                stream = _stream(container, image, fps)
            elif image.shape[:2] != (stream.height, stream.width):
                raise RecordingError(f"'{path.parts[-3]}' changes its size; the frames of a video are alike")
            pixels.see(image)
            frame: Any = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(_lasting(stream.encode(frame)))
        container.mux(_lasting(stream.encode(None)))
        return stream.height, stream.width


def _lasting(packets: Sequence[Any]) -> Sequence[Any]:
    """Each for one frame's time: a reader takes the file's length from them."""
    for packet in packets:
        packet.duration = 1
    return packets


def _stream(container: Any, image: np.ndarray, fps: int) -> Any:
    stream = container.add_stream("libx264", rate=fps)
    stream.height, stream.width = image.shape[:2]
    stream.pix_fmt = "yuv444p" if stream.height % 2 or stream.width % 2 else "yuv420p"
    context = stream.codec_context
    context.time_base, context.gop_size, context.max_b_frames, context.thread_count = Fraction(1, fps), 2, 0, 1
    context.options = {"crf": "20", "preset": "fast"}
    return stream


def _rgb(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2))


def feature_of(shape: tuple[int, int], fps: int) -> dict[str, Any]:
    """What a dataset says of such a video."""
    height, width = shape
    odd = height % 2 or width % 2
    about: dict[str, Any] = {
        "video.height": height,
        "video.width": width,
        "video.codec": "h264",
        "video.pix_fmt": "yuv444p" if odd else "yuv420p",
        "video.is_depth_map": False,
        "video.fps": fps,
        "video.channels": 3,
        "has_audio": False,
    }
    return {"dtype": "video", "shape": [height, width, 3], "names": ["height", "width", "channels"], "info": about}
