"""Who is trusted, and who we are, in TLS: the same with every engine."""

import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from scraper.engines.threads import pools
from scraper.engines.threads.engine import ThreadsEngine
from scraper.engines.tls_context import check_files, make_context
from scraper.model.errors import Kind, UsageError
from scraper.model.settings import Http
from scraper.schedule.retry import is_transient
from tests.conformance.engine_bench import MakeBench, failure
from tests.conformance.engine_cases import PAGE
from tests.servers import HttpServer, RawServer, tls_context

VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE")


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[HttpServer, Path]]:
    """A TLS server, and the PEM file of its authority."""
    context, pem = tls_context(tmp_path)
    with HttpServer({"/": PAGE}, tls=context) as server:
        yield server, pem


def directory_of(pem: Path) -> Path:
    """A directory with the certificate under the name by which OpenSSL looks for it."""
    directory = pem.parent / "authorities"
    directory.mkdir()
    der = ssl.PEM_cert_to_DER_cert(pem.read_text())
    (directory / f"{subject_hash(der):08x}.0").write_text(pem.read_text())
    return directory


def subject_hash(der: bytes) -> int:
    """What `openssl x509 -subject_hash` says."""
    import hashlib

    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: F401

    subject = x509.load_der_x509_certificate(der).subject
    canonical = b""
    for attribute in subject:
        value = " ".join(str(attribute.value).lower().split()).encode()
        oid = x509.Name([attribute]).public_bytes()
        # SET { SEQUENCE { OID, UTF8String } }, with the value in its canonical form
        start = oid.index(b"\x06")
        identifier = oid[start : start + 2 + oid[start + 1]]
        inner = identifier + b"\x0c" + bytes([len(value)]) + value
        sequence = b"\x30" + bytes([len(inner)]) + inner
        canonical += b"\x31" + bytes([len(sequence)]) + sequence
    return int.from_bytes(hashlib.sha1(canonical).digest()[:4], "little")


@pytest.mark.parametrize("name", VARIABLES)
def test_the_variables_of_other_programs_name_whom_to_trust(
    name: str, secure: tuple[HttpServer, Path], bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, pem = secure
    path = directory_of(pem) if name == "SSL_CERT_DIR" else pem
    monkeypatch.setenv(name, str(path))
    made = bench()
    assert made.body(made.fetch(server.url)) == PAGE


@pytest.mark.parametrize("name", ["CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
def test_a_bundle_may_be_a_directory(
    name: str, secure: tuple[HttpServer, Path], bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, pem = secure
    monkeypatch.setenv(name, str(directory_of(pem)))
    made = bench()
    assert made.body(made.fetch(server.url)) == PAGE


def test_cacert_wins_over_variables_and_the_first_variable_over_the_others(
    secure: tuple[HttpServer, Path],
    bench: MakeBench,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    server, pem = secure
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    monkeypatch.setenv("CURL_CA_BUNDLE", str(other))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(pem))
    found = failure(bench().fetch(server.url))
    assert found.kind is Kind.TLS
    assert "--cacert FILE" in found.message
    made = bench(http=Http(cacert=str(pem)))
    assert made.body(made.fetch(server.url)) == PAGE
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    made = bench()
    assert made.body(made.fetch(server.url)) == PAGE


def test_a_variable_that_names_no_certificates_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "nowhere.pem"))
    with pytest.raises(UsageError, match=r"REQUESTS_CA_BUNDLE .*No such file") as caught:
        check_files(Http())
    assert "--cacert FILE" in caught.value.hint
    check_files(Http(insecure=True))


# ---------------------------------------------------------------- client certificates


class Club:
    """A server that wants a certificate of its own authority."""

    def __init__(self, directory: Path, version: ssl.TLSVersion) -> None:
        authority = trustme.CA()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = self.context.maximum_version = version
        self.context.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(self.context)
        authority.issue_cert("127.0.0.1").configure_cert(self.context)
        self.authority, self.cert, self.key = (
            str(directory / name) for name in ("ca.pem", "me.pem", "key.pem")
        )
        authority.cert_pem.write_to_path(self.authority)
        mine = authority.issue_cert("me@example.com")
        mine.private_key_pem.write_to_path(self.key)
        mine.cert_chain_pems[0].write_to_path(self.cert)
        mine.private_key_and_cert_chain_pem.write_to_path(str(directory / "both.pem"))
        self.both = str(directory / "both.pem")


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def club(request: pytest.FixtureRequest, tmp_path: Path) -> Club:
    return Club(tmp_path, request.param)


def test_a_server_that_asks_for_a_certificate_gets_it(club: Club, bench: MakeBench) -> None:
    with HttpServer({"/": PAGE}, tls=club.context) as server:
        for own in ((club.cert, club.key), (club.both, None)):
            made = bench(http=Http(cacert=club.authority, cert=own[0], cert_key=own[1]))
            assert made.body(made.fetch(server.url)) == PAGE


def test_without_one_it_is_a_tls_failure_that_says_so(club: Club, bench: MakeBench) -> None:
    """An alert ends TLS 1.3 after the handshake, when the request is on its way already."""

    def script(_number: int, sock: socket.socket) -> None:
        plain = sock.dup()
        with contextlib.suppress(ssl.SSLError), plain:
            try:
                club.context.wrap_socket(sock, server_side=True)
            finally:
                while plain.recv(65_536):  # else closing would be a reset
                    pass

    with RawServer(script) as server:
        url = f"https://127.0.0.1:{server.port}/"
        found = failure(bench(http=Http(cacert=club.authority)).fetch(url))
        assert found.kind is Kind.TLS, found
        assert not is_transient(found)
        if club.context.minimum_version is ssl.TLSVersion.TLSv1_3:
            assert "--cert FILE" in found.message


def test_files_of_a_certificate_are_checked_before_the_run(club: Club, tmp_path: Path) -> None:
    check_files(Http(cert=club.cert, cert_key=club.key))
    check_files(Http(cert=club.both))
    for http, said in (
        (Http(cert=str(tmp_path / "none.pem")), "--cert '.*none.pem': No such file"),
        (
            Http(cert=club.cert, cert_key=str(tmp_path / "none")),
            "--cert-key '.*none': No such file",
        ),
        (Http(cert=club.cert), "--cert '.*me.pem': no certificate and its key in PEM"),
        (Http(cert=club.cert, cert_key=club.authority), "no certificate and its key in PEM"),
    ):
        with pytest.raises(UsageError, match=said):
            check_files(http)


# ---------------------------------------------------------------- one context


def test_a_run_of_the_threads_engine_has_one_context(
    secure: tuple[HttpServer, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from scraper.model.settings import Limits
    from tests.conformance.engine_bench import Bench

    server, pem = secure
    contexts: list[ssl.SSLContext] = []

    def noted(http: Http, **options: bool) -> ssl.SSLContext:
        contexts.append(make_context(http, **options))
        return contexts[-1]

    monkeypatch.setattr(pools, "make_context", noted)
    made = Bench(ThreadsEngine, tmp_path / "out", Limits(), Http(cacert=str(pem)))
    try:
        running = [made.start(server.url_of(host)) for host in ("127.0.0.1", "localhost") * 8]
        made.wait(*running)
        assert {made.body(transfer) for transfer in running} == {PAGE}
        assert len(contexts) == 1
        assert contexts[0].verify_mode is ssl.CERT_REQUIRED
        assert contexts[0].check_hostname
    finally:
        made.close()
