"""TLS, the same with every engine."""

import socket
import ssl
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from scraper.model.errors import Kind
from scraper.model.settings import Http, Limits
from scraper.schedule.retry import is_transient
from tests.conformance.coding_cases import CODERS
from tests.conformance.engine_bench import MakeBench, failure
from tests.conformance.engine_cases import BRIEF, PAGE, head, sized
from tests.servers import HttpServer, RawServer, read_head, reset, silent, tls_context


def test_a_certificate_of_a_known_authority_is_accepted(bench: MakeBench, tmp_path: Path) -> None:
    context, pem = tls_context(tmp_path)
    with HttpServer({"/": PAGE}, tls=context) as server:
        made = bench(http=Http(cacert=str(pem)))
        for host in ("127.0.0.1", "localhost", "localhost"):
            assert made.body(made.fetch(server.url_of(host))) == PAGE
        assert server.connections == 2


def test_an_unknown_authority_is_a_tls_failure(bench: MakeBench, tmp_path: Path) -> None:
    context, _ = tls_context(tmp_path)
    with HttpServer({"/": PAGE}, tls=context) as server:
        found = failure(bench().fetch(server.url))
        assert (found.kind, found.unreachable) == (Kind.TLS, True)
        assert not is_transient(found)
        assert server.total == 0


def test_a_certificate_of_another_name_is_a_tls_failure(bench: MakeBench, tmp_path: Path) -> None:
    context, pem = tls_context(tmp_path, "elsewhere.example")
    with HttpServer({"/": PAGE}, tls=context) as server:
        found = failure(bench(http=Http(cacert=str(pem))).fetch(server.url))
        assert found.kind is Kind.TLS
        assert server.total == 0


def test_an_expired_certificate_is_a_tls_failure(bench: MakeBench, tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    past = datetime.now(UTC) - timedelta(days=30)
    authority.issue_cert(
        "127.0.0.1", not_before=past, not_after=past + timedelta(days=1)
    ).configure_cert(context)
    pem = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(pem))
    with HttpServer({"/": PAGE}, tls=context) as server:
        found = failure(bench(http=Http(cacert=str(pem))).fetch(server.url))
        assert found.kind is Kind.TLS
        assert "expired" in found.message
        assert server.total == 0


def test_a_certificate_that_signed_itself_is_a_tls_failure_unless_it_is_the_one_that_is_trusted(
    bench: MakeBench, tmp_path: Path
) -> None:
    context, pem = self_signed(tmp_path)
    with HttpServer({"/": PAGE}, tls=context) as server:
        found = failure(bench().fetch(server.url))
        assert (found.kind, found.unreachable) == (Kind.TLS, True)
        assert "self-signed" in found.message.replace(" ", "-")
        assert not is_transient(found)
        assert server.total == 0
        made = bench(http=Http(cacert=str(pem)))
        assert made.body(made.fetch(server.url)) == PAGE


def self_signed(directory: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's context with a certificate of no authority, and that certificate as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, secret = directory / "self.pem", directory / "key.pem"
    pem.write_bytes(certificate.public_bytes(Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, secret)
    return context, pem


def test_insecure_asks_no_authority(bench: MakeBench, tmp_path: Path) -> None:
    context, _ = tls_context(tmp_path, "elsewhere.example")
    with HttpServer({"/": PAGE}, tls=context) as server:
        made = bench(http=Http(insecure=True))
        assert made.body(made.fetch(server.url)) == PAGE


def test_tls_to_a_port_that_speaks_plain_http_is_a_tls_failure(bench: MakeBench) -> None:
    def script(number: int, sock: socket.socket) -> None:
        sock.recv(5)
        sock.sendall(head("Content-Length: 0", status="HTTP/1.1 400 Speak HTTP"))
        silent(number, sock)

    with RawServer(script) as server:
        found = failure(bench().fetch(f"https://127.0.0.1:{server.port}/"))
        assert found.kind is Kind.TLS
        assert not is_transient(found)


def test_plain_http_to_a_tls_port_is_no_http(bench: MakeBench, tmp_path: Path) -> None:
    context, _ = tls_context(tmp_path)
    with HttpServer({"/": PAGE}, tls=context) as server:
        found = failure(bench().fetch(f"http://127.0.0.1:{server.port}/"))
        assert found.kind in {Kind.PROTOCOL, Kind.CONNECT}  # an alert, or a closed connection


@pytest.mark.parametrize("limits", [Limits(connect_timeout=0.3, read_timeout=0.3), BRIEF])
def test_a_tls_handshake_that_never_ends_is_a_timeout(limits: Limits, bench: MakeBench) -> None:
    with RawServer(silent) as server:
        found = failure(bench(limits).fetch(f"https://127.0.0.1:{server.port}/"))
        assert found.kind is Kind.TIMEOUT
        assert is_transient(found)


def test_a_tls_connection_reset_in_mid_body_is_truncated(bench: MakeBench, tmp_path: Path) -> None:
    context, pem = tls_context(tmp_path)

    def script(number: int, sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(sized(PAGE, length=10**6))
        reset(sock)

    with RawServer(script, tls=context) as server:
        made = bench(http=Http(cacert=str(pem)))
        assert failure(made.fetch(server.url)).kind is Kind.TRUNCATED
        assert made.leftovers == []


@pytest.mark.parametrize("close", [socket.socket.close, reset], ids=["closed", "reset"])
def test_a_handshake_that_is_broken_off_may_be_tried_again(
    close: Callable[[socket.socket], None], bench: MakeBench
) -> None:
    def script(_number: int, sock: socket.socket) -> None:
        assert sock.recv(65_536)  # all of the greeting, else closing would be a reset
        close(sock)

    with RawServer(script) as server:
        found = failure(bench().fetch(f"https://127.0.0.1:{server.port}/"))
        assert (found.kind, found.unreachable) == (Kind.CONNECT, False)
        assert is_transient(found)


def test_tls_of_the_past_is_not_spoken(bench: MakeBench, tmp_path: Path) -> None:
    context, pem = tls_context(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with HttpServer({"/": PAGE}, tls=context) as server:
        found = failure(bench(http=Http(cacert=str(pem))).fetch(server.url))
        assert found.kind is Kind.TLS
        assert not is_transient(found)


@pytest.mark.parametrize("good_bye", [True, False])
def test_a_tls_body_up_to_the_close_is_whole_if_the_close_was_meant(
    good_bye: bool, bench: MakeBench, tmp_path: Path
) -> None:
    context, pem = tls_context(tmp_path)

    def script(_number: int, sock: socket.socket) -> None:
        assert isinstance(sock, ssl.SSLSocket)
        read_head(sock)
        sock.sendall(head("Connection: close") + PAGE)
        plain = sock.unwrap() if good_bye else sock
        socket.socket.shutdown(plain, socket.SHUT_WR)

    with RawServer(script, tls=context) as server:
        made = bench(http=Http(cacert=str(pem)))
        transfer = made.fetch(server.url)
        if good_bye:
            assert made.body(transfer) == PAGE
        else:
            assert failure(transfer).kind is Kind.TRUNCATED


@pytest.mark.parametrize("name", CODERS)
@pytest.mark.parametrize("by_reset", [True, False])
def test_a_coded_tls_body_is_whole_once_its_coding_has_ended(
    name: str, by_reset: bool, bench: MakeBench, tmp_path: Path
) -> None:
    context, pem = tls_context(tmp_path)
    packed = CODERS[name](PAGE)

    def script(_number: int, sock: socket.socket) -> None:
        whole = b"whole" in read_head(sock)
        body = packed if whole else packed[:-1]
        sock.sendall(head("Connection: close", f"Content-Encoding: {name}") + body)
        reset(sock) if by_reset else socket.socket.shutdown(sock, socket.SHUT_WR)

    with RawServer(script, tls=context) as server:
        made = bench(http=Http(cacert=str(pem)))
        assert made.body(made.fetch(f"{server.url}/whole")) == PAGE
        assert failure(made.fetch(f"{server.url}/torn")).kind is Kind.TRUNCATED


def test_a_tls_body_of_a_known_length_needs_no_good_bye(bench: MakeBench, tmp_path: Path) -> None:
    context, pem = tls_context(tmp_path)

    def script(_number: int, sock: socket.socket) -> None:
        for _ in range(2):
            read_head(sock)
            sock.sendall(sized(PAGE))
        socket.socket.shutdown(sock, socket.SHUT_WR)

    with RawServer(script, tls=context) as server:
        made = bench(http=Http(cacert=str(pem)))
        for _ in range(4):
            assert made.body(made.fetch(server.url)) == PAGE
        assert server.connections == 2


def test_many_hosts_and_certificates_at_once(bench: MakeBench, tmp_path: Path) -> None:
    context, pem = tls_context(tmp_path)
    (tmp_path / "other").mkdir()
    stranger, _ = tls_context(tmp_path / "other")
    with (
        HttpServer({"/": PAGE}, tls=context) as previous,
        HttpServer({"/": PAGE}, tls=stranger) as un,
    ):
        made = bench(http=Http(cacert=str(pem)))
        running = [made.start(server.url) for server in (previous, un) * 20]
        made.wait(*running)
        assert [made.body(transfer) for transfer in running[::2]] == [PAGE] * 20
        assert {failure(transfer).kind for transfer in running[1::2]} == {Kind.TLS}
        assert un.total == 0
