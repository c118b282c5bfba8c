"""An RTSP camera: GStreamer's own server, each picture telling in black and white when it was taken.

Run by the system's Python (python3-gi, gir1.2-gst-rtsp-server-1.0): rtsp_camera.py PORT LATENCY_MS. The latency lies between
the capture and the network, as an encoder's does; RTCP sender reports give the time of capture. With a third word, a file of
H.264 frames each of which follows its length, it sends those, again and again.
"""

# pyright: basic, reportMissingImports=false

import itertools
import sys
import time
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

Gst.init(None)  # before a class of the server is derived from

WIDTH, HEIGHT, BITS, RATE = 384, 64, 48, 15
CAPS = f"video/x-raw,format=RGB,width={WIDTH},height={HEIGHT},framerate={RATE}/1"


def picture(ms: int) -> bytes:
    """48 bars, white for a 1: milliseconds since 1970, most significant first."""
    row = b"".join((b"\xeb" if ms >> (BITS - 1 - i) & 1 else b"\x10") * 3 * (WIDTH // BITS) for i in range(BITS))
    return row * HEIGHT


def film(name: str) -> list[bytes]:
    with Path(name).open("rb") as file:
        return [file.read(int.from_bytes(head, "big")) for head in iter(lambda: file.read(4), b"")]


class Media(GstRtspServer.RTSPMedia):
    def do_setup_rtpbin(self, rtpbin):
        rtpbin.set_property("rtcp-sync-send-time", False)  # reports tell the time of capture, not of sending
        return True


class Factory(GstRtspServer.RTSPMediaFactory):
    def __init__(self, latency_ms: int) -> None:
        super().__init__()
        late = f"queue min-threshold-time={latency_ms * 1_000_000} max-size-time=0 max-size-buffers=0 max-size-bytes=0"
        source = "appsrc name=source is-live=true do-timestamp=true format=time"
        self.film = itertools.cycle(film(sys.argv[3])) if len(sys.argv) > 3 else None
        if self.film:
            caps = f"video/x-h264,stream-format=byte-stream,alignment=au,framerate={RATE}/1"
            self.set_launch(f"( {source} caps={caps} ! {late} ! rtph264pay name=pay0 )")
        else:
            raw = "videoconvert ! video/x-raw,format=I420 ! jpegenc quality=90"
            self.set_launch(f"( {source} caps={CAPS} ! {raw} ! {late} ! rtpjpegpay name=pay0 )")
        self.set_media_gtype(Media)
        self.set_shared(True)
        self.connect("media-configure", self.begin)

    def begin(self, _factory, media) -> None:
        source = media.get_element().get_by_name("source")

        def push() -> bool:
            data = next(self.film) if self.film else picture(time.time_ns() // 1_000_000)
            buffer = Gst.Buffer.new_wrapped(data)
            return source.emit("push-buffer", buffer) == Gst.FlowReturn.OK

        GLib.timeout_add(1000 // RATE, push)


def main() -> None:
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(sys.argv[1])
    server.get_mount_points().add_factory("/camera", Factory(int(sys.argv[2])))
    server.attach(None)
    print("ready", flush=True)
    GLib.MainLoop().run()


main()
