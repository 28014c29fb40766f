"""Puts that are under way when the lease of a run ends: what is sent, and what the run is told."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from urllib.parse import urlsplit

import pytest

from scraper.model.errors import Fenced
from scraper.model.settings import S3
from scraper.sinks.base import SinkOptions
from scraper.sinks.curl_put import CurlPut
from scraper.sinks.objects.sizes import MIB, Sizes
from scraper.sinks.s3.sink import S3Sink
from scraper.testing import body_of
from tests.s3servers import Asked, Front, S3Server
from tests.servers import WAIT_S

pytestmark = pytest.mark.usefixtures("aws")
LONG = b"x" * (32 * MIB)  # more than the system takes over of a connection that is not read
SIZES = {
    "memory": Sizes(memory=64 * MIB),
    "disk": Sizes(memory=1000, part_threshold=64 * MIB),
}
CASES = [("curl", "memory"), ("boto3", "memory"), ("boto3", "disk")]


class Door:
    """A way to a store that stops to read what a client sends, after the first MiB of a body."""

    def __init__(self, upstream: str) -> None:
        self.full, self.opened = threading.Event(), threading.Event()
        self.carried = 0  # bytes that a client has sent, on the connection with the most
        address = urlsplit(upstream)
        self._upstream = address.hostname or "", address.port or 0
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @contextmanager
    def carrying(self) -> Iterator[None]:
        accepting = threading.Thread(target=self._accept)
        accepting.start()
        try:
            yield
        finally:
            self.opened.set()
            self._listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for thread in self._threads:
                thread.join()
            for one in (self._listener, *self._sockets):
                one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._upstream)
                self._sockets += client, server
                for pair in (client, server), (server, client):
                    self._threads.append(threading.Thread(target=self._carry, args=pair))
                    self._threads[-1].start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        carried = 0
        with suppress(OSError):
            while piece := source.recv(65536):
                target.sendall(piece)
                carried += len(piece)
                self.carried = max(self.carried, carried)
                if carried > MIB:
                    self.full.set()
                    assert self.opened.wait(WAIT_S)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def commit(sink: S3Sink, key: str, data: bytes) -> None:
    upload = sink.open(key)
    upload.write(data)
    upload.commit(body_of(data))


@pytest.mark.parametrize(("client", "where"), CASES)
def test_a_put_that_is_being_sent_is_cut_when_the_lease_ends(
    client: str, where: str, moto_server: S3Server
) -> None:
    bucket, holds, door = moto_server.make_bucket(), [True], Door(moto_server.url)
    with door.carrying():
        options = SinkOptions(s3=S3(endpoint=door.url, client=client))
        with closing(S3Sink(bucket, "", options, SIZES[where])) as sink:
            sink.check()
            sink.fence(lambda: holds[0])
            with ThreadPoolExecutor(1) as pool:
                stored = pool.submit(commit, sink, "k", LONG)
                assert door.full.wait(WAIT_S)
                holds[0] = False
                door.opened.set()
                with pytest.raises(Fenced):
                    stored.result(WAIT_S)
    assert MIB < door.carried < len(LONG)


@pytest.mark.parametrize("long", [False, True], ids=["small", "long"])
@pytest.mark.parametrize(("client", "where"), CASES)
def test_a_put_that_succeeds_after_the_lease_has_ended_is_not_told_as_stored(
    client: str, where: str, long: bool, moto_server: S3Server
) -> None:
    """The store had read all of it before."""
    bucket, holds, data = moto_server.make_bucket(), [True], b"x" * (MIB if long else 2000)

    def alter(asked: Asked, body: bytes) -> bytes:
        holds[0] = holds[0] and not asked.path.endswith("/k")
        return body

    with (
        Front(moto_server.url, lambda _: None, alter=alter) as front,
        closing(S3Sink(bucket, "", front.options(client=client), SIZES[where])) as sink,
    ):
        sink.check()
        sink.fence(lambda: holds[0])
        with pytest.raises(Fenced):
            commit(sink, "k", data)
        (asked,) = [one for one in front.asked if one.path.endswith("/k")]
        assert asked.carried.wait(WAIT_S)  # boto3 may have asked the fence after the last piece
        assert moto_server.read(bucket, "k") == data
        if client == "curl":  # as an engine carries it
            holds[0] = True
            upload = sink.open("k")
            upload.write(data)
            request = upload.put_request(body_of(data))
            assert request is not None
            put = CurlPut()
            assert isinstance(request.judge(put.perform(request)), Fenced)
            put.close()


def test_a_handle_puts_long_and_short_bodies_in_turn(moto_server: S3Server) -> None:
    bucket = moto_server.make_bucket()
    with closing(S3Sink(bucket, "", moto_server.options(client="curl"), SIZES["memory"])) as sink:
        sink.check()
        for number, size in enumerate((MIB, 10, 65536, 65537, 0, 3 * MIB, 1)):
            data = bytes([number]) * size
            commit(sink, f"{number}", data)
            assert moto_server.read(bucket, f"{number}") == data
