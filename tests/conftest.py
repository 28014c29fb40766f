"""Fixtures for all tests: real servers on loopback, and a start that says nothing.

How the tests were started (environment, signals, umask) reaches none of them.

Import what is in `servers.py` as `from tests.servers import HttpServer`.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import hypothesis
import pytest

# Last, so that an installed wheel is what `import scraper` finds, and `tests` is found at all.
sys.path.append(str(Path(__file__).parent.parent))

from tests.servers import HttpFarm, HttpServer, RawServer, Routes, Script, tls_context
from tests.slow import skip_slow

pytest_plugins = ["pytester"]

# A busy machine is no bug: no deadline for one example, no verdict on how slow they come.
hypothesis.settings.register_profile(
    "ours", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("ours")

if TYPE_CHECKING:
    from tests.azurite import Azurite
    from tests.file_servers import FileServer
    from tests.gcs import Gcs
    from tests.radosgw import Radosgw
    from tests.s3servers import S3Server
    from tests.swift import Swift

_OUTSIDE = (
    "AWS_",
    "AZURE_",
    "CLOUDSDK_",
    "GCE_METADATA_",
    "GOOGLE_",
    "STORAGE_EMULATOR_HOST",
    "SCRAPER_",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "SSL_CERT_",
    "NETRC",
)


# Rooms whose tests take long, the longest first: no worker of xdist is left with one at the end.
_LONG = ("e2e", "proof", "hostile", "sinks", "run")


@pytest.hookimpl(trylast=True)  # after -k: what is asked for runs
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is slow is skipped, what takes long comes first."""
    skip_slow(items)
    places = {room: place for place, room in enumerate(_LONG)}
    here = Path(__file__).parent
    rooms = [item.path.relative_to(here).parts[0] for item in items]
    order = sorted(range(len(items)), key=lambda number: places.get(rooms[number], len(places)))
    items[:] = [items[number] for number in order]


@pytest.fixture(scope="session", autouse=True)
def _quiet_environment() -> Iterator[None]:
    """Nothing that the machine says about proxies, certificates, AWS or us reaches a test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.upper().startswith(_OUTSIDE):
                patch.delenv(name)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # else boto3 asks 169.254.169.254
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        yield


@pytest.fixture(scope="session", autouse=True)
def _usual_process() -> Iterator[None]:
    """Signals and umask as in an interactive shell, here and in every process of a test.

    A script that starts the tests with `&` makes them ignore SIGINT, nohup SIGHUP; a
    child inherits that. Python itself ignores SIGPIPE and SIGXFSZ, and `subprocess` undoes it.
    """
    of_python = {signal.SIGPIPE, signal.SIGXFSZ}
    for number in signal.valid_signals() - of_python:
        if signal.getsignal(number) is signal.SIG_IGN:
            usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, usual)
    mask = signal.pthread_sigmask(signal.SIG_SETMASK, ())
    umask = os.umask(0o022)
    yield
    os.umask(umask)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@pytest.fixture
def serve() -> Iterator[Callable[[Routes], HttpServer]]:
    """Start an HttpServer with the given routes; it is closed after the test."""
    with ExitStack() as stack:
        yield lambda routes: stack.enter_context(HttpServer(routes))


@pytest.fixture
def farm() -> Iterator[Callable[[Routes], HttpFarm]]:
    """Start an HttpFarm (four hosts, one port); it is closed after the test."""
    with ExitStack() as stack:
        yield lambda routes: stack.enter_context(HttpFarm(routes))


@pytest.fixture
def misbehave() -> Iterator[Callable[[Script | bytes], RawServer]]:
    """Start a RawServer with the given script or bytes; it is closed after the test."""
    with ExitStack() as stack:
        yield lambda script: stack.enter_context(RawServer(script))


class Secure(NamedTuple):
    """A TLS server, and the PEM file of the authority that signed for it."""

    server: HttpServer
    cacert: Path


@pytest.fixture
def serve_tls(tmp_path: Path) -> Iterator[Callable[[Routes], Secure]]:
    """Start an https HttpServer (localhost and 127.0.0.1); it is closed after the test."""
    context, pem = tls_context(tmp_path)
    with ExitStack() as stack:
        yield lambda routes: Secure(stack.enter_context(HttpServer(routes, tls=context)), pem)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that the S3 servers of these tests take."""
    from tests.s3servers import CREDENTIALS

    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(params=["boto3", "curl"])
def s3_client(request: pytest.FixtureRequest) -> str:
    """The `--s3-client` of a test that both clients have to pass."""
    client: str = request.param
    return client


@pytest.fixture(scope="session")
def moto_server() -> "Iterator[S3Server]":
    """moto's S3; a test makes a bucket of its own in it."""
    from tests.s3servers import moto

    with moto() as server:
        yield server


@pytest.fixture(scope="session")
def rclone_server(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[S3Server]":
    """rclone's S3; a test makes a bucket of its own in it."""
    from tests.s3servers import rclone

    with rclone(tmp_path_factory.mktemp("buckets")) as server:
        yield server


@pytest.fixture(scope="session")
def swift_server(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Swift]":
    """Swift's S3, which has credentials of its own; a test makes a bucket of its own in it."""
    from tests.swift import swift, swift_works

    home = tmp_path_factory.mktemp("swift")
    if not swift_works(home.parent):
        pytest.skip("there is no Swift, or no file system with extended attributes for it")
    with swift(home) as server:
        yield server


@pytest.fixture(scope="session")
def radosgw_server() -> "Iterator[Radosgw]":
    """Ceph's S3, which has credentials of its own; a test makes a bucket of its own in it."""
    from tests.radosgw import radosgw, radosgw_works

    if not radosgw_works():
        pytest.skip("there is no radosgw: `make stores` unpacks Debian's")
    with TemporaryDirectory(prefix="rgw-") as home, radosgw(Path(home)) as server:
        yield server


@pytest.fixture(scope="session")
def s3rver_server(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[S3Server]":
    """The S3 of s3rver, which ignores conditions; a test makes a bucket of its own in it."""
    from tests.emulators import s3rver, s3rver_works

    if not s3rver_works():
        pytest.skip("there is no s3rver: `make stores` installs it from npm")
    with s3rver(tmp_path_factory.mktemp("s3rver")) as server:
        yield server


@pytest.fixture(scope="session")
def localstack_server(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[S3Server]":
    """LocalStack's S3; a test makes a bucket of its own in it."""
    from tests.emulators import localstack, localstack_works

    if not localstack_works():
        pytest.skip("there is no LocalStack: `make stores` installs it from PyPI")
    with localstack(tmp_path_factory.mktemp("localstack")) as server:
        yield server


@pytest.fixture(scope="session")
def gs_server() -> "Iterator[Gcs]":
    """The XML interface of Google Cloud Storage; a test makes a bucket of its own in it."""
    from tests.gcs import gcs

    with gcs() as server:
        yield server


@pytest.fixture(scope="session")
def az_server() -> "Iterator[Azurite]":
    """Azurite; a test makes a container of its own in it."""
    from tests.azurite import azurite, azurite_works

    if not azurite_works():
        pytest.skip("there is no Azurite: `make stores` installs it from npm")
    with azurite() as server:
        yield server


@pytest.fixture(params=["gs", "az"])
def cloud_server(request: pytest.FixtureRequest) -> "Gcs | Azurite":
    """Each of both, for a test that has to pass with both."""
    found: Gcs | Azurite = request.getfixturevalue(f"{request.param}_server")
    return found


@pytest.fixture(params=["moto", "rclone"])
def server(request: pytest.FixtureRequest) -> "S3Server":
    """Each S3 server, for a test that has to pass with both."""
    found: S3Server = request.getfixturevalue(f"{request.param}_server")
    return found


@pytest.fixture(scope="session")
def file_server(
    tmp_path_factory: pytest.TempPathFactory,
) -> "Iterator[Callable[[str], FileServer]]":
    """A file server by its name in `tests.file_servers.SERVERS`; each is started once."""
    from tests.file_servers import SERVERS, Missing

    started: dict[str, FileServer] = {}
    with ExitStack() as stack:

        def start(name: str) -> "FileServer":
            if name not in started:
                try:
                    making = SERVERS[name](tmp_path_factory.mktemp(name) / "server")
                    started[name] = stack.enter_context(making)
                except Missing as missing:
                    pytest.skip(str(missing))
            return started[name]

        yield start
