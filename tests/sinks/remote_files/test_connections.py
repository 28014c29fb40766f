"""Connections that break, that are silent, and that a server does not give."""

import select
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from scraper.model.errors import SinkError
from scraper.sinks.remote_files.connections import AGAIN_S, Connections
from scraper.sinks.remote_files.faults import Fault, Trouble
from scraper.sinks.remote_files.ftp import FtpServer
from scraper.sinks.remote_files.sftp import SftpServer
from scraper.sinks.remote_files.sink import RemoteSink
from scraper.sinks.remote_files.smb import SmbServer, _told
from scraper.testing import store
from tests.file_servers import Making, Missing, ftpd, smbd, sshd
from tests.servers import WAIT_S
from tests.sinks.remote_files.conftest import Open, There

each = pytest.mark.parametrize("there", ["sshd", "ftpd", "wsgidav", "smbd"], indirect=True)


def wait_for_the_end(sink: RemoteSink) -> None:
    """Until this machine has heard that the server has ended every connection that is kept."""
    for server in sink._connections._free:
        if isinstance(server, FtpServer):
            assert server._ftp.sock is not None
            assert select.select([server._ftp.sock], [], [], WAIT_S)[0]
        elif isinstance(server, SftpServer):
            transport = server._files.client.get_transport()
            transport.join(WAIT_S)
            assert not transport.is_active()
        elif isinstance(server, SmbServer):
            for connection in server._files.connections.values():
                connection._t_worker.join(WAIT_S)
                assert not connection.transport.connected


@pytest.mark.parametrize("kind", ["sshd", "ftpd", "smbd"])
def test_a_connection_that_was_cut_costs_no_object(
    kind: str, tmp_path: Path, signed_in: Open, stack: ExitStack
) -> None:
    try:
        made: dict[str, Making] = {"sshd": sshd, "ftpd": partial(ftpd, idle_s=1), "smbd": smbd}
        server = stack.enter_context(made[kind](tmp_path / "s"))
    except Missing as missing:
        pytest.skip(str(missing))
    there = signed_in(server)
    sink = there.sink()
    sink.check()
    store(sink, "first", b"1")
    if kind != "ftpd":
        server.cut()
    wait_for_the_end(sink)  # FTP: the server is tired of waiting
    store(sink, "second", b"2")
    assert b"".join(sink.read("second")) == b"2"
    sink.close()
    assert there.names() == {"first", "second"}


@each
def test_a_server_that_says_nothing_is_given_up_at_the_deadline(there: There) -> None:
    sink = there.sink(timeout_s=1.0)
    sink.check()
    store(sink, "page", b"old")
    with there.server.stopped(), pytest.raises(SinkError) as failed:
        store(sink, "page", b"new")
    assert failed.value.transient
    assert "in time" in str(failed.value)
    store(sink, "page", b"newer")  # on a new connection
    sink.close()
    assert (there.root / "page").read_bytes() == b"newer"
    # The server may have made the first temporary file by now, or not: the next run looks.
    sink = there.sink()
    sink.check()
    store(sink, "page", b"newest")
    sink.close()
    assert there.names() == {"page"}


def test_a_server_that_gives_few_connections_is_shared(
    tmp_path: Path, signed_in: Open, stack: ExitStack
) -> None:
    server = stack.enter_context(ftpd(tmp_path / "s", most=4))  # a list or a body counts as one
    there = signed_in(server)
    sink = there.sink(at_once=12)
    sink.check()
    keys = [f"many/{number}" for number in range(36)]
    with ThreadPoolExecutor(12) as pool:
        failed = list(pool.map(lambda key: _stored(sink, key), keys))
    sink.close()
    assert failed == [None] * len(keys)
    assert there.names() == set(keys)


def _stored(sink: RemoteSink, key: str) -> str | None:
    """Its error after three attempts, as a run makes them."""
    for attempt in range(3):
        try:
            store(sink, key, key.encode())
        except SinkError as error:
            if attempt == 2 or not error.transient:
                return str(error)
        else:
            break
    return None


class _Never:
    """A server of nobody, for a pool: `close` is told."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    def close(self) -> None:
        self.closed.set()


def test_one_connection_is_used_by_one_thread_at_a_time() -> None:
    made: list[_Never] = []

    def connect() -> _Never:
        made.append(_Never())
        return made[-1]

    pool = Connections(connect, 3)  # type: ignore[arg-type]
    used: set[int] = set()
    lock = threading.Lock()

    def work(server: object) -> None:
        with lock:
            assert id(server) not in used
            used.add(id(server))
        time.sleep(0)
        with lock:
            used.discard(id(server))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: pool.run(work), range(200)))
    assert 1 <= len(made) <= 3
    pool.close()
    assert all(server.closed.is_set() for server in made)
    with pytest.raises(Fault):
        pool.run(work)


def test_a_socket_that_was_closed_meanwhile_is_a_closed_connection() -> None:
    # smbprotocol's receiving thread closes the socket that another thread is about to send on
    left, right = socket.socketpair()
    right.close()
    left.close()
    with pytest.raises(Fault, match="the connection was closed") as caught, _told():
        left.send(b"x")
    assert (caught.value.trouble, caught.value.passing) == (Trouble.BROKEN, True)


def test_a_server_that_refused_one_is_asked_for_more_a_minute_later() -> None:
    made: list[_Never] = []
    room, now, refused = 1, 0.0, threading.Event()

    def connect() -> _Never:
        if len(made) == room:
            refused.set()
            raise Fault(Trouble.BROKEN, "too many")
        made.append(_Never())
        return made[-1]

    def taken(server: object) -> object:
        return server

    pool = Connections(connect, 3, lambda: now)  # type: ignore[arg-type]
    with ThreadPoolExecutor(1) as threads:
        with pool.borrow() as first:
            waits = threads.submit(pool.run, taken)
            assert refused.wait(WAIT_S)
        assert waits.result(WAIT_S) is first, "the only one there is"
        room, now = 3, AGAIN_S
        with pool.borrow():
            other = threads.submit(pool.run, taken)
            wait([other], WAIT_S)
            is_new = other.done()
    assert is_new
    assert other.result() is made[1]
    pool.close()


def test_a_fault_of_a_new_connection_is_told_and_one_of_an_old_one_is_tried_again() -> None:
    made: list[_Never] = []

    def connect() -> _Never:
        made.append(_Never())
        return made[-1]

    pool = Connections(connect, 1)  # type: ignore[arg-type]
    broken: list[object] = []

    def work(server: object) -> str:
        if server in broken:
            raise Fault(Trouble.BROKEN, "cut")
        return "done"

    assert pool.run(work) == "done"
    broken.append(made[0])
    assert pool.run(work) == "done"
    assert made[0].closed.is_set()
    broken.append(made[1])
    with pytest.raises(Fault), pool.borrow() as server:
        raise Fault(Trouble.BROKEN, f"{server} was cut in the middle of a file")
    assert made[1].closed.is_set()
