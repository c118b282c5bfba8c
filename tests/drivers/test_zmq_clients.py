"""The table of clients, without a socket."""

from __future__ import annotations

from omnistream.message import MS, SECOND
from omnistream.protocol.codec import Ack, ActionFrame, Bye, CommandFrame, Hello, Ping, Pong, Unknown, Welcome, decode, encode
from omnistream_drivers.zmq_clients import Clients

STOP = ActionFrame(id="s1", kind="stop", text="test")


def table(**over):
    return Clients(**{"run": 7, "max_clients": 2, "heartbeat_ms": 200, "watchdog_ms": 500} | over)


def hello(clients, peer=b"p", name="r1", now=0):
    return clients.heard(peer, [encode(Hello(client=name, t0_ns=5))], now)


def test_hello_is_welcomed_with_the_clock_and_ping_with_pong():
    clients = table()
    heard = hello(clients, now=100)
    welcome = decode(heard.answer, Welcome)
    assert (welcome.t0_ns, welcome.t1_ns, welcome.run, welcome.watchdog_ms) == (5, 100, 7, 500)
    pong = decode(clients.heard(b"p", [encode(Ping(t0_ns=9))], 200).answer, Pong)
    assert (pong.t0_ns, pong.t1_ns, pong.t2_ns) == (9, 200, 200)


def test_a_client_that_speaks_json_is_answered_in_json():
    clients = table()
    answer = clients.heard(b"p", [encode(Hello(client="a"), "json")], 0).answer
    assert answer.startswith(b"{")
    assert next(iter(clients)).form == "json"


def test_a_stranger_is_told_to_say_hello_and_the_full_house_refuses():
    clients = table(max_clients=1)
    assert decode(clients.heard(b"p", [encode(Ping(t0_ns=1))], 0).answer, Unknown)
    hello(clients)
    heard = hello(clients, b"q", "r2")
    assert heard.joined is None
    assert "max_clients" in decode(heard.answer, Unknown).detail
    assert len(clients) == 1


def test_a_stop_is_due_at_once_and_again_until_it_is_acknowledged():
    clients = table()
    client = hello(clients).joined
    clients.stop(STOP)
    assert clients.stops_due(0) == [client]
    assert client.blocked
    client.stop_sent_ns = 0
    assert not client.blocked
    assert clients.stops_due(99 * MS) == []
    assert clients.stops_due(100 * MS) == [client]
    clients.heard(b"p", [encode(Ack(id="another", status="done"))], 0)
    assert client.stop is STOP
    clients.heard(b"p", [encode(Ack(id="s1", status="done"))], 0)
    assert clients.stops_due(SECOND) == []


def test_who_comes_back_on_a_new_connection_still_owes_the_stop():
    clients = table()
    hello(clients)
    clients.stop(STOP)
    next(iter(clients)).stop_sent_ns = 5
    back = hello(clients, b"q").joined
    assert len(clients) == 1
    assert back.stop is STOP
    assert back.blocked


def test_a_greeting_is_the_first_thing_a_new_client_gets():
    clients = table()
    clients.greeting = STOP
    assert hello(clients).joined.blocked


def test_silence_and_goodbye_end_a_client_and_an_unconfirmed_stop_is_told():
    clients = table()
    client = hello(clients).joined
    assert clients.silent(600 * MS) == []
    assert clients.silent(601 * MS) == [client]
    clients.stop(STOP)
    assert clients.heard(b"p", [encode(Bye())], 0).fault[0] == "stop_unconfirmed"
    assert len(clients) == 0


def test_a_flood_is_cut_and_others_are_served():
    clients = table()
    hello(clients, b"p", "noisy")
    hello(clients, b"q", "calm")
    ping = encode(Ping(t0_ns=1))
    answers = [clients.heard(b"p", [ping], 0) for _ in range(2000)]
    assert sum(a.answer is not None for a in answers) == 500
    assert answers[-1].fault[0] == "flood"
    assert clients.heard(b"q", [ping], 0).answer is not None
    assert clients.heard(b"p", [ping], SECOND).answer is not None


def test_garbage_is_a_fault_and_never_an_answer():
    clients = table()
    hello(clients)
    for frames in ([b"\xff" * 50], [b""], [], [b"a", b"b"], [encode(CommandFrame(text="stop"))]):
        heard = clients.heard(b"p", frames, 0)
        assert heard.fault[0] == "garbage"
        assert heard.answer is None
