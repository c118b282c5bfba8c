"""A microphone: ALSA, PulseAudio or a sound file, as chunks of mono samples on the time line of the run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from omnistream.errors import DeviceError, GraphError
from omnistream.media.cutter import Cut, Cutter
from omnistream.media.file import open_file
from omnistream.media.resample import MonoResampler
from omnistream.message import MS, SECOND, AudioChunk
from omnistream.node import Context, Emit, Source
from omnistream_drivers._parec import Parec
from omnistream_drivers._pyav import SILENCE_SECONDS, decoded, describe, open_alsa
from omnistream_drivers._reader import Backoff, Reader
from omnistream_drivers._timeline import LiveAudio
from omnistream_drivers.camera import FILE_START_NS
from omnistream_drivers.devices import microphone_list

__all__ = ["Microphone"]

_COUNTED = {
    "device_drop": "{n} chunks were dropped, the oldest first: the graph had no room for 0.8 s",
    "recording_skipped": "{n} chunks of the file were due before the microphone was up",
    "corrupt": "{n} packets did not decode and were skipped",
}
_READ_SECONDS = 0.1
#: Kept while the graph has no room: a little less than the second after which a stamp is no longer believed.
_ROOM_MS = 800

_Block = tuple[np.ndarray, int, int, int]  # samples at our rate, made of so many at the device's, its rate, arrival


@dataclass(kw_only=True)
class Microphone(Source):
    """Chunks of (rate_hz * chunk_ms / 1000,) int16 mono samples, stamped at their end by counting samples.

    `device`: ``alsa:default`` or another name of ALSA (``alsa:plughw:CARD=PCH,DEV=0``), ``pulse:default`` or the name of a
    PulseAudio source (through `parec`), or a file with sound (wav, flac, mp4, ...), which plays in real time from 0.5 s after
    the start of the run. `omnistream devices` lists what there is. Any rate and number of channels is resampled and mixed.
    `rate_hz`: samples per second of the chunks. `chunk_ms`: their length. `delay_ms`: how long after it was heard a chunk may
    still arrive; 0 is 40 for a file and 120 for a device.

    The anchor of the count is found from the first 80 ms and renewed only at a gap (``gap``: samples were lost, or the device
    ran so fast that some are left out) or when the device was lost and is back (``reconnect``). While the
    graph has no room 0.8 s of chunks are kept; then the oldest go (``device_drop``). The last chunk of a file may be shorter.

    Raises DeviceError at launch for a device or a file that cannot be opened.

    ```yaml
    graph: listen
    nodes:
      mic:  {use: microphone, with: {device: /usr/share/sounds/alsa/Front_Center.wav}}
      show: {use: console, inputs: {message: mic}}
    ```
    """

    device: str
    rate_hz: int = 16000
    chunk_ms: int = 20
    delay_ms: int = 0

    def __post_init__(self) -> None:
        if not 1000 <= self.rate_hz <= 192000:
            raise GraphError(f"microphone: rate_hz is {self.rate_hz}; write one between 1000 and 192000, such as 16000")
        if not 1 <= self.chunk_ms <= 1000 or self.rate_hz * self.chunk_ms % 1000 or self.delay_ms < 0:
            raise GraphError(
                f"microphone: chunks of {self.chunk_ms} ms at {self.rate_hz} Hz (delay_ms {self.delay_ms}) cannot be; "
                "write 1 to 1000 ms that hold a whole number of samples, such as 20, and a delay of 0 or more"
            )
        self._size = self.rate_hz * self.chunk_ms // 1000
        self._kind, _, self._name = self.device.partition(":")
        if self._kind not in ("alsa", "pulse") or not self._name:
            self._kind, self._name = "file", self.device
        self.period_ns = self.chunk_ms * MS
        self.delay_ns = (self.delay_ms or (40 if self._kind == "file" else 120)) * MS
        self._reader: Reader[Emit[AudioChunk]] | None = None

    async def open(self, ctx: Context) -> None:
        if self._kind != "file" and not ctx.live:
            raise DeviceError(f"{ctx.name}: a replay opens no microphone, and '{self.device}' is one")
        await asyncio.to_thread(self._try)

    async def close(self) -> None:
        if self._reader is not None:
            await self._reader.close()
            self._reader = None

    async def run(self, ctx: Context) -> AsyncIterator[Emit[AudioChunk]]:
        def work(reader: Reader[Emit[AudioChunk]]) -> None:
            if self._kind == "file":
                self._play(reader, ctx)
            else:
                self._record(reader, ctx)

        room = max(2, _ROOM_MS // self.chunk_ms)
        self._reader = Reader(ctx, work, room=room, wait=not ctx.live, counted=_COUNTED)
        try:
            while (emit := await self._reader.next()) is not None:
                yield emit
        finally:
            self._reader.stop()

    def _try(self) -> None:
        """Open the device and let go of it again; a run opens it when it begins, so that nothing old is waiting there."""
        from av.error import FFmpegError

        try:
            if self._kind == "pulse":
                with self._parec() as parec:
                    if parec.read(SILENCE_SECONDS) is None:
                        raise DeviceError(parec.why())
            elif self._kind == "alsa":
                with open_alsa(self._name, self.rate_hz):
                    pass
            else:
                with self._open_file():
                    pass
        except (FFmpegError, DeviceError) as error:
            why = describe(error)
        else:
            return
        if self._kind == "file":
            raise DeviceError(
                f"no sound can be read from '{self.device}': {why}; give a sound file, alsa:default or pulse:default"
            )
        here = f"microphones here: {microphone_list()} (see 'omnistream devices')"
        raise DeviceError(f"no microphone can be opened at '{self.device}': {why}; {here}")

    def _parec(self) -> Parec:
        return Parec(self._name, self.rate_hz, self.chunk_ms)

    def _open_file(self) -> Any:
        if not Path(self.device).expanduser().exists():
            raise DeviceError("there is no such file")
        container = open_file(self.device)
        if not container.streams.audio:
            container.close()
            raise DeviceError("it has no sound in it")
        return container

    def _record(self, reader: Reader[Emit[AudioChunk]], ctx: Context) -> None:
        """A live device until the reader stops: open, read, and open again."""
        from av.error import FFmpegError

        backoff, line = Backoff(), LiveAudio(self.rate_hz, self._size)
        while not reader.stopping:
            try:
                with closing(self._pulse(reader) if self._kind == "pulse" else self._alsa(reader)) as blocks:
                    for block in blocks:
                        backoff.reset()
                        cuts, gap = line.block(*block)
                        if gap:
                            reader.report("gap", f"{ctx.name}: {_gap_sentence(gap)}")
                        for cut in cuts:
                            reader.put(self._emit(cut, "arrival"))
                why = "the device ended"
            except (FFmpegError, DeviceError) as error:
                why = describe(error)
            if reader.stopping:
                return
            line.restart()
            pause_s = backoff.pause_s()
            reader.report("reconnect", f"{ctx.name}: '{self.device}': {why}; opening it again in {pause_s:g} s")
            reader.pause(pause_s)

    def _alsa(self, reader: Reader[Emit[AudioChunk]]) -> Generator[_Block]:
        mono = MonoResampler(self.rate_hz)
        with open_alsa(self._name, self.rate_hz) as container:
            stream = container.streams.audio[0]
            for frame, at in decoded(container, stream, reader):
                heard, rate = frame.samples, frame.sample_rate  # type: ignore[union-attr]
                yield mono.push(frame), heard, rate, at  # type: ignore[arg-type]

    def _pulse(self, reader: Reader[Emit[AudioChunk]]) -> Generator[_Block]:
        silent_s = 0.0
        with self._parec() as parec:
            while not reader.stopping:
                samples = parec.read(_READ_SECONDS)
                if samples is None:
                    raise DeviceError(parec.why())
                silent_s = 0.0 if len(samples) else silent_s + _READ_SECONDS
                if silent_s > SILENCE_SECONDS:
                    raise DeviceError(f"the device sent nothing for {SILENCE_SECONDS:g} s")
                if len(samples):
                    yield samples, len(samples), self.rate_hz, reader.clock.now()

    def _play(self, reader: Reader[Emit[AudioChunk]], ctx: Context) -> None:
        """A file: each chunk when it is due (at full speed in a replay), with the next one's stamp as its bound."""
        held: Cut | None = None
        born = ctx.clock.now() if ctx.live else 0
        for cut in self._cuts(reader, ctx):
            if cut.end_ns < born:
                reader.count("recording_skipped")
                continue
            if held is not None and not self._due(reader, ctx, held, cut.end_ns):
                return
            held = cut
        if held is not None:
            self._due(reader, ctx, held, None)

    def _cuts(self, reader: Reader[Emit[AudioChunk]], ctx: Context) -> Iterator[Cut]:
        from av.error import FFmpegError

        cutter, mono, first = Cutter(self.rate_hz, self._size), MonoResampler(self.rate_hz), True
        try:
            with self._open_file() as container:
                stream = container.streams.audio[0]
                for frame, _ in decoded(container, stream, reader):
                    if first:
                        first = False
                        begin = 0 if frame.pts is None else round(frame.pts * frame.time_base * SECOND)
                        begin -= (container.start_time or 0) * 1000 if frame.pts is not None else 0
                        cutter.restart(ctx.start_ns + FILE_START_NS + max(0, begin))
                    yield from cutter.push(mono.push(frame))  # type: ignore[arg-type]
        except (FFmpegError, DeviceError) as error:
            reader.report("device_failed", f"{ctx.name}: '{self.device}' ends here: {describe(error)}")
        yield from cutter.push(mono.flush())
        if (rest := cutter.flush()) is not None:
            yield rest

    def _due(self, reader: Reader[Emit[AudioChunk]], ctx: Context, cut: Cut, after: int | None) -> bool:
        if ctx.live and not reader.sleep_until(cut.end_ns):
            return False
        emit = self._emit(cut, "file")
        emit.bound_ns = after
        reader.put(emit)
        return not reader.stopping

    def _emit(self, cut: Cut, source: str) -> Emit[AudioChunk]:
        chunk = AudioChunk(cut.samples, self.rate_hz)
        return Emit(chunk, stamp_ns=cut.end_ns, start_ns=cut.start_ns, clock_source=source)


def _gap_sentence(gap_ns: int) -> str:
    if gap_ns > 0:
        return f"{gap_ns / MS:.0f} ms of sound are missing; what follows is stamped that much later"
    return f"the device is ahead of the clock by {-gap_ns / MS:.0f} ms of sound, which are left out"
