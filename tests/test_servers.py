"""The servers that other tests trust: what they count, and when."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import (
    HTTPConnection,
    HTTPResponse,
    HTTPSConnection,
    IncompleteRead,
    RemoteDisconnected,
)
from pathlib import Path

import pytest

from tests.conftest import Secure
from tests.servers import (
    Farm,
    HttpFarm,
    HttpServer,
    Misbehave,
    RawServer,
    Reply,
    Routes,
    Serve,
    closed_port,
    drips,
    free_port,
    in_turn,
    resets_at_once,
    silent,
    then_reset,
    then_silent,
    tls_context,
)

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"

pytestmark = pytest.mark.timeout(60)


def get(server: HttpFarm | RawServer, path: str = "/", host: str = "127.0.0.1") -> bytes:
    connection = HTTPConnection(host, server.port, timeout=30)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()


def test_pages_and_statuses_are_served_over_one_kept_connection(
    serve: Serve,
) -> None:
    server = serve(
        {
            "/a": b"hello",
            "/r": Reply(301, {"Location": "/a"}),
            "/s": lambda request: Reply(body=iter([request.method.encode(), b"-", b"x"])),
            "/n": Reply(204),
        }
    )
    connection = HTTPConnection("127.0.0.1", server.port, timeout=30)

    def ask(path: str, method: str = "GET") -> tuple[HTTPResponse, bytes]:
        connection.request(method, path)
        response = connection.getresponse()
        return response, response.read()

    assert ask("/a?q")[1] == b"hello"
    assert ask("/r")[0].headers["Location"] == "/a"
    assert ask("/s")[1] == b"GET-x"
    assert ask("/n")[0].status == 204
    assert ask("/a", "HEAD")[0].headers["Content-Length"] == "5"
    assert ask("/status/503")[0].status == 503
    assert ask("/missing")[0].status == 404
    connection.close()
    assert server.connections == 1
    assert server.total == 7
    assert server.hits["/a?q"] == 1
    assert server.requests[0].host == f"127.0.0.1:{server.port}"


def test_in_flight_is_counted_over_all_and_by_host(farm: Farm) -> None:
    robots_queue = threading.Event()
    server = farm(lambda request: Reply(body=request.address.encode(), delay=robots_queue))
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(get, server, "/", host) for host in server.hosts * 2]
        server.wait_until(lambda: server.in_flight == 8)
        robots_queue.set()
        assert {answer.result().decode() for answer in asked} == set(server.hosts)
    server.wait_until(lambda: server.in_flight == 0)
    assert server.max_in_flight == 8
    assert set(server.max_in_flight_by_address.values()) == {2}
    assert set(server.max_in_flight_by_host.values()) == {2}
    assert len(server.max_in_flight_by_host) == 4


@pytest.mark.parametrize("pieces", [None, "chunked", "sized"])
def test_one_request_after_the_other_never_counts_as_two_in_flight(
    serve: Serve, pieces: str | None
) -> None:
    def handle(request: object) -> Reply:
        body = b"x" * 1000
        if pieces is None:
            return Reply(body=body)
        headers = {"Content-Length": "1000"} if pieces == "sized" else {}
        return Reply(headers=headers, body=(body[at : at + 100] for at in range(0, 1000, 100)))

    server = serve(handle)
    for _ in range(300):
        connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
        connection.request("GET", "/")
        assert len(connection.getresponse().read()) == 1000
        connection.close()
    assert server.max_in_flight == 1
    assert server.connections == 300


def test_an_empty_body_in_pieces_is_out_of_the_count_when_its_head_is_sent(serve: Serve) -> None:
    seen = threading.Event()

    def nothing() -> Iterator[bytes]:
        assert seen.wait(60)
        yield b""

    server = serve(lambda _: Reply(headers={"Content-Length": "0"}, body=nothing()))
    assert get(server) == b""
    assert server.in_flight == 0
    seen.set()


def test_what_a_handler_raises_is_raised_in_the_test() -> None:
    def broken(request: object) -> Reply:
        raise ValueError("the test's own mistake")

    def use() -> None:
        with HttpServer(broken) as server:
            with pytest.raises(RemoteDisconnected):
                get(server)
            server.wait_until(lambda: server.open_connections == 0)

    with pytest.raises(ValueError, match="own mistake"):
        use()


def test_tls_is_trusted_by_its_authority_only(serve_tls: Callable[[Routes], Secure]) -> None:
    server, cacert = serve_tls({"/": b"secret"})

    def ask(context: ssl.SSLContext) -> bytes:
        connection = HTTPSConnection("localhost", server.port, timeout=30, context=context)
        try:
            connection.request("GET", "/")
            return connection.getresponse().read()
        finally:
            connection.close()

    assert ask(ssl.create_default_context(cafile=cacert)) == b"secret"
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(ssl.create_default_context())


def test_a_truncated_body_and_a_reset_look_as_they_do_in_the_wild(
    misbehave: Misbehave,
) -> None:
    with pytest.raises(IncompleteRead):
        get(misbehave(HEAD + b"torn"))
    with pytest.raises(ConnectionResetError):
        get(misbehave(resets_at_once))
    with pytest.raises(ConnectionResetError):
        get(misbehave(then_reset(HEAD + b"torn")))
    server = misbehave(in_turn(resets_at_once, HEAD + b"complete!"))
    with pytest.raises(ConnectionResetError):
        get(server)
    assert get(server) == b"complete!"
    assert server.connections == 2


def test_a_silent_server_and_a_dripping_one_give_no_end(
    misbehave: Misbehave, tmp_path: Path
) -> None:
    stop = threading.Event()
    for script in (silent, then_silent(HEAD)):
        server = misbehave(script)
        sock = socket.create_connection(("127.0.0.1", server.port), timeout=0.2)
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with sock, pytest.raises(TimeoutError):
            sock.makefile("rb").read()
    server = misbehave(drips(HEAD, stop))
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        received = b""
        while not received.endswith(b"xxx"):
            received += sock.recv(100)
        stop.set()
        while sock.recv(100):
            pass
    context, _ = tls_context(tmp_path)
    with (
        RawServer(silent, tls=context) as secure,
        socket.create_connection(("127.0.0.1", secure.port), timeout=30) as sock,
    ):
        secure.wait_until(lambda: secure.connections == 1)


def test_ports_are_free_or_closed() -> None:
    with HttpServer({"/": b"x"}, port=free_port()) as server:
        assert get(server) == b"x"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", closed_port()), timeout=30)
