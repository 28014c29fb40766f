"""Servers that want a client certificate, and only close the connection if there is none."""

import socket
import ssl
from pathlib import Path

import pytest

from scraper.model.errors import Kind
from scraper.model.settings import Http
from scraper.schedule.retry import is_transient
from tests.conformance.engine_bench import PATIENT, MakeBench, failure
from tests.conformance.engine_cases import PAGE
from tests.conformance.test_engine_proxies import Proxy
from tests.servers import HttpServer, RawServer, Reply, reset, tls_context

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def asking(directory: Path, version: ssl.TLSVersion) -> tuple[ssl.SSLContext, Path]:
    """A context of a server that asks for a certificate, and the authority to trust."""
    context, pem = tls_context(directory)
    context.minimum_version = context.maximum_version = version
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(pem)
    return context, pem


@pytest.mark.parametrize("http1_1", [False, True])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_reset_after_the_question_is_a_tls_failure_that_says_so(
    version: ssl.TLSVersion, http1_1: bool, tmp_path: Path, bench: MakeBench
) -> None:
    context, pem = asking(tmp_path, version)
    with RawServer(lambda _, sock: reset(sock), tls=context) as server:
        made = bench(PATIENT, Http(cacert=str(pem), http1_1=http1_1))
        for connections in (2, 3):  # one more for the origin, to look at its handshake
            found = failure(made.fetch(server.url))
            assert found.kind is Kind.TLS, found
            assert not is_transient(found)
            assert "--cert FILE" in found.message
            assert server.connections == connections


def test_a_reset_after_the_question_through_a_proxy_is_one_too(
    tmp_path: Path, bench: MakeBench
) -> None:
    context, pem = asking(tmp_path, VERSIONS[1])
    with RawServer(lambda _, sock: reset(sock), tls=context) as server, Proxy() as proxy:
        made = bench(PATIENT, Http(cacert=str(pem), proxy=f"http://127.0.0.1:{proxy.port}"))
        found = failure(made.fetch(server.url))
        assert (found.kind, is_transient(found)) == (Kind.TLS, False)
        assert "--cert FILE" in found.message
        assert len(proxy.heads) == 2


@pytest.mark.parametrize("version", VERSIONS)
def test_a_reset_within_the_handshake_is_one_too(
    version: ssl.TLSVersion, tmp_path: Path, bench: MakeBench
) -> None:
    context, pem = asking(tmp_path, version)

    def script(_number: int, sock: socket.socket) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)
        incoming.write(sock.recv(65_536))
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        sock.sendall(outgoing.read())
        sock.recv(1)  # the client's part, of which the rest is never read
        reset(sock)

    with RawServer(script) as server:
        made = bench(PATIENT, Http(cacert=str(pem)))
        found = failure(made.fetch(f"https://127.0.0.1:{server.port}/"))
        assert found.kind is Kind.TLS, found
        assert not is_transient(found)
        assert "--cert FILE" in found.message


@pytest.mark.parametrize("version", VERSIONS)
def test_a_reset_without_the_question_may_pass(
    version: ssl.TLSVersion, tmp_path: Path, bench: MakeBench
) -> None:
    context, pem = tls_context(tmp_path)
    context.minimum_version = context.maximum_version = version
    with RawServer(lambda _, sock: reset(sock), tls=context) as server:
        made = bench(PATIENT, Http(cacert=str(pem)))
        for connections in (2, 3):
            found = failure(made.fetch(server.url))
            assert (found.kind, is_transient(found)) == (Kind.CONNECT, True)
            assert server.connections == connections


def test_a_server_that_asks_but_answers_without_has_failures_that_may_pass(
    tmp_path: Path, bench: MakeBench
) -> None:
    context, pem = asking(tmp_path, VERSIONS[1])
    with HttpServer(
        {"/": Reply(body=PAGE, close=True), "/gone": lambda _: None}, tls=context
    ) as server:
        made = bench(PATIENT, Http(cacert=str(pem)))
        assert made.body(made.fetch(server.url)) == PAGE
        found = failure(made.fetch(f"{server.url}/gone"))
        assert (found.kind, is_transient(found)) == (Kind.CONNECT, True)
