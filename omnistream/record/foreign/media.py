"""A video or sound file as a recording: its picture is the stream ``video``, its sound ``audio``, on one time line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omnistream.errors import RecordingError
from omnistream.media.cutter import Cut, Cutter
from omnistream.media.file import open_file
from omnistream.media.resample import MonoResampler
from omnistream.message import SECOND, AudioChunk, VideoFrame
from omnistream.record.codec import RecordedMessage
from omnistream.record.foreign.images import MOST_PIXELS, frame_of
from omnistream.record.playable import BEGINNING_NS, Playable

__all__ = ["Media", "is_media", "open_container", "prepared", "seek", "timed"]

#: What microphones give unless they are asked for something else.
_RATE_HZ, _CHUNK = 16000, 320
#: Sound that is so far from where counting its samples puts it was left out of the file, or is too much.
_GAP_NS = SECOND // 20
_MOST_BAD_PACKETS = 100


def is_media(path: Path) -> bool:
    """Whether FFmpeg finds picture or sound in it."""
    try:
        with open_container(path) as container:
            return bool(container.streams.video or container.streams.audio)
    except RecordingError:
        return False


class Media(Playable):
    """The first picture and the first sound of a file, from its beginning (which is stamped `BEGINNING_NS`).

    Sound is 16 kHz mono in chunks of 20 ms, as a microphone's. Raises RecordingError where FFmpeg cannot read it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.metadata: Mapping[str, Mapping[str, str]] = {}
        with open_container(path) as container:
            held = {"video": (container.streams.video, VideoFrame), "audio": (container.streams.audio, AudioChunk)}
            self._held = {topic: frozenset({kind}) for topic, (streams, kind) in held.items() if streams}
            more = [topic for topic, (streams, _) in held.items() if len(streams) > 1]
            if not self._held:
                raise RecordingError(f"{path} holds neither picture nor sound")
            length = max((container.duration or 0) * 1000, _last_ns(container, far=True)) or _last_ns(container, far=False)
        if more:
            self.notice = f"{path} has more than one stream of {' and '.join(more)}; the first is played"
        self.start_ns = BEGINNING_NS
        self.end_ns = BEGINNING_NS + length

    def streams(self) -> dict[str, frozenset[type]]:
        return dict(self._held)

    def messages(self, topic: str, since_ns: int = 0) -> Iterator[RecordedMessage]:
        self._known(topic, self._held)
        yield from self._frames(since_ns) if topic == "video" else self._sound(since_ns)

    def stamps(self, topic: str) -> Iterator[int]:
        self._known(topic, self._held)
        if topic == "audio":
            yield from (m.stamp_ns for m in self._sound(0))
            return
        with open_container(self.path) as container:
            yield from (stamp for stamp, _ in timed(container, prepared(container), str(self.path)))

    def count(self, topic: str, before_ns: int) -> int:
        return sum(stamp < before_ns for stamp in self.stamps(topic))

    def _frames(self, since_ns: int) -> Iterator[RecordedMessage]:
        with open_container(self.path) as container:
            stream = prepared(container)
            for number, (stamp, frame) in enumerate(timed(container, stream, str(self.path))):
                if stamp >= since_ns:
                    image = frame_of(frame, round(frame.rotation / 90) % 4)
                    yield RecordedMessage(stamp, None, image, seq=number, clock_source="file")

    def _sound(self, since_ns: int) -> Iterator[RecordedMessage]:
        for number, cut in enumerate(self._cuts()):
            if cut.end_ns >= since_ns:
                chunk = AudioChunk(cut.samples, _RATE_HZ)
                yield RecordedMessage(cut.end_ns, cut.start_ns, chunk, seq=number, clock_source="file")

    def _cuts(self) -> Iterator[Cut]:
        cutter, mono = Cutter(_RATE_HZ, _CHUNK), MonoResampler(_RATE_HZ)
        expected: int | None = None  # where the next sample would be by counting
        with open_container(self.path) as container:
            zero = container.start_time or 0
            for frame in _decoded(container, container.streams.audio[0], str(self.path)):
                at = None if frame.pts is None else BEGINNING_NS + round(frame.pts * frame.time_base * SECOND) - zero * 1000
                if expected is None:
                    first = max(0, BEGINNING_NS if at is None else at)
                    cutter.restart(first)
                    expected = first
                elif at is not None and abs(at - expected) > _GAP_NS:
                    if at > expected:
                        cutter.shift(at - expected)
                    else:
                        cutter.skip((expected - at) * _RATE_HZ // SECOND)
                    expected = at
                expected += frame.samples * SECOND // frame.sample_rate
                yield from cutter.push(mono.push(frame))
        yield from cutter.push(mono.flush())
        if (rest := cutter.flush()) is not None:
            yield rest


def _last_ns(container: Any, *, far: bool) -> int:
    """When the last packet ends, from the beginning of the file; `far`: of those after the last key frame."""
    last, zero = 0, (container.start_time or 0) * 1000
    try:
        container.seek(1 << 61 if far else (container.start_time or 0))
        for packet in container.demux():
            if packet.pts is not None and packet.time_base:
                last = max(last, round((packet.pts + (packet.duration or 0)) * packet.time_base * SECOND) - zero)
    except _broken():
        pass  # what comes before is played, and the damage is told there
    return last


def open_container(path: Path) -> Any:
    """A media file, opened. Raises RecordingError."""
    from av.error import FFmpegError

    try:
        return open_file(path)
    except (FFmpegError, ValueError) as e:
        raise RecordingError(f"{path} cannot be read ({said(e)}); name a video or sound file") from None


def seek(container: Any, at_us: int, where: str) -> None:
    """To the last key frame before a time. Raises RecordingError."""
    try:
        container.seek(at_us)
    except _broken() as e:
        raise RecordingError(f"{where}: {at_us / 1e6:.3f} s cannot be found in it ({said(e)})") from None


def prepared(container: Any) -> Any:
    """Its video stream, decoded by one thread, and refused where a frame would be absurdly large."""
    stream = container.streams.video[0]
    if stream.codec_context is None:
        raise RecordingError(f"{container.name.removeprefix('file:')}: its video is in no codec that is known")
    stream.thread_type = "SLICE"  # frame threads would hold frames back
    stream.codec_context.thread_count = 1
    stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
    return stream


def timed(container: Any, stream: Any, where: str, zero_us: int | None = None) -> Iterator[tuple[int, Any]]:
    """Frames with their stamps, which rise; those without a time, or out of order, follow at the file's rate.

    `zero_us`: the file's time that is stamped `BEGINNING_NS`; None is where it begins.
    """
    zero = (container.start_time or 0) if zero_us is None else zero_us
    period = round(SECOND / (stream.average_rate or stream.base_rate or 25))
    last: int | None = None
    for frame in _decoded(container, stream, where):
        at = None if frame.pts is None else BEGINNING_NS + round(frame.pts * frame.time_base * SECOND) - zero * 1000
        if last is not None and (at is None or at <= last):
            at = last + period
        stamp = max(0, BEGINNING_NS if at is None else at)
        yield stamp, frame
        last = stamp


def _decoded(container: Any, stream: Any, where: str) -> Iterator[Any]:
    """All frames of a stream. What cannot be decoded at its beginning (it may have been cut there) is passed over.

    Raises RecordingError at damage later.
    """
    begun, bad, last = False, 0, 0.0
    if stream.codec_context is None:
        raise RecordingError(f"{where}: its {stream.type} is in no codec that is known")
    try:
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except _broken() as e:
                bad += 1
                if begun or bad > _MOST_BAD_PACKETS:
                    raise RecordingError(f"{where}: its {stream.type} is damaged after {last:.3f} s ({said(e)})") from None
                continue
            for frame in frames:
                if getattr(frame, "width", 1) * getattr(frame, "height", 1) > MOST_PIXELS:
                    raise RecordingError(f"{where}: a frame of {frame.width}x{frame.height} pixels is too large")
                begun, last = True, frame.time or last
                yield frame
    except _broken() as e:
        raise RecordingError(f"{where}: its {stream.type} breaks off after {last:.3f} s ({said(e)})") from None


def _broken() -> tuple[type[Exception], ...]:
    from av.error import FFmpegError

    return FFmpegError, ValueError, MemoryError


def said(error: BaseException) -> str:
    """Why FFmpeg could not, in a few words."""
    return str(getattr(error, "strerror", None) or error or type(error).__name__).strip().rstrip(".")[:100]
