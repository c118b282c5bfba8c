"""aiomqtt's client with what it lacks: a time limit to connect, acknowledgement by hand, and word of a broker that hangs up."""

from __future__ import annotations

from typing import Any

import aiomqtt

__all__ = ["HUNG_UP", "Client"]

HUNG_UP = "the connection was closed before it was accepted"


class Client(aiomqtt.Client):
    """As aiomqtt 2.5, its options included.

    `connect_s`: seconds for the connection itself. `by_hand`: QoS 1 messages are acknowledged by `acknowledge`.
    """

    def __init__(self, hostname: str, port: int, *, connect_s: float, by_hand: bool, **options: Any) -> None:
        super().__init__(hostname, port, **options)
        self.pending_calls_threshold = 1 << 30  # our own limit is lower than its warning
        self._client.connect_timeout = connect_s
        if by_hand:
            self._client.manual_ack_set(on=True)

    def acknowledge(self, mid: int) -> None:
        self._client.ack(mid, 1)

    def _on_disconnect(
        self, client: Any, userdata: Any, flags: Any, reason_code: Any, properties: Any = None
    ) -> None:  # aiomqtt would wait for its timeout
        if not self._connected.done():
            self._loop.call_soon_threadsafe(self._refused)
            return
        super()._on_disconnect(client, userdata, flags, reason_code, properties)

    def _refused(self) -> None:
        if not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttError(HUNG_UP))
            self._connected.exception()  # nobody may be waiting for it any more

    def _on_socket_register_write(self, client: Any, userdata: Any, sock: Any) -> None:  # noqa: ARG002  paho's signature
        """aiomqtt keeps the bare number of a socket that may be closed, or be another one, when its turn comes."""

        def write() -> None:
            try:
                client.loop_write()
            except Exception as error:  # noqa: BLE001  any failure is the end of this connection, as in aiomqtt
                if not self._disconnected.done():
                    self._disconnected.set_exception(error)

        def register() -> None:
            if sock.fileno() >= 0:
                self._loop.add_writer(sock.fileno(), write)

        self._loop.call_soon_threadsafe(register)
