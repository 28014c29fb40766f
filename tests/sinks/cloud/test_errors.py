"""What is wrong with a store of gs:// or az:// is told in one line, before the first request."""

import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from scraper.model.errors import DestinationError, SinkError
from scraper.sinks.base import SinkOptions
from scraper.sinks.cloud.sink import open_sink
from scraper.testing import store
from tests.azurite import ACCOUNT, KEY, Azurite
from tests.gcs import Gcs
from tests.s3servers import CUT, Asked, Front, Refusal
from tests.servers import RawServer, closed_port, resets_at_once, tls_context

Server = Gcs | Azurite
_DATE = "Request date header too old: 'Mon, 30 Nov 2026 03:00:00 GMT'"


@pytest.fixture(autouse=True)
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where temporary files go, this test's alone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets variables."""

    def give(variables: dict[str, str], **more: str) -> None:
        for name, value in {**variables, **more}.items():
            monkeypatch.setenv(name, value)

    return give


def refusal(to: str, options: SinkOptions | None = None) -> tuple[str, str]:
    """What check() says, in one line that names the bucket and no secret; and its hint."""
    sink = open_sink(to, options or SinkOptions())
    with pytest.raises(DestinationError) as caught:
        sink.check()
    sink.close()
    said = str(caught.value)
    assert "\n" not in said
    assert KEY not in said
    assert "ya29" not in said
    start = f"can't use {to.rpartition('/')[0]}: "
    assert said.startswith(start)
    return said.removeprefix(start), caught.value.hint


# ---------------------------------------------------------------- check


def test_a_missing_bucket_is_told(cloud_server: Server, given: Callable[..., None]) -> None:
    given(cloud_server.environment())
    said, hint = refusal(f"{cloud_server.scheme}://no-such-one/p")
    noun = "bucket" if cloud_server.scheme == "gs" else "container"
    assert said == f"there is no such {noun}"
    assert "create" in hint
    assert "no-such-one" in hint


def test_a_wrong_secret_is_told(cloud_server: Server, given: Callable[..., None]) -> None:
    wrong = KEY[:10] + KEY[11:12] + KEY[10:11] + KEY[12:]
    given(cloud_server.environment(), GOOGLE_BEARER_TOKEN="ya29.no", AZURE_STORAGE_KEY=wrong)
    said, _ = refusal(f"{cloud_server.scheme}://{cloud_server.make_bucket()}/p")
    assert said.startswith(("AuthenticationRequired: ", "AuthorizationFailure: "))


def test_an_expired_token_is_told(gs_server: Gcs, given: Callable[..., None]) -> None:
    given(gs_server.environment(), GOOGLE_BEARER_TOKEN=gs_server.issue("given", -1))
    said, _ = refusal(f"gs://{gs_server.make_bucket()}/p")
    assert said.startswith("AuthenticationRequired: ")


def test_a_public_bucket_that_only_may_be_read_is_told(
    gs_server: Gcs, given: Callable[..., None]
) -> None:
    given({"GOOGLE_BASE_URL": gs_server.url, "GOOGLE_SKIP_SIGNATURE": "true"})
    with Front("http://127.0.0.1:1", lambda _: (CUT, "")) as front:  # a put needs a token
        given({"http_proxy": front.url, "no_proxy": gs_server.url.rpartition(":")[0][7:]})
        said, _ = refusal(f"gs://{gs_server.make_bucket()}/p")
    assert said.startswith("no credentials were found, and http://")


def test_without_an_account_it_is_told_how_to_name_one() -> None:
    said, hint = refusal("az://container/p")
    assert said == "no account is named"
    assert "AZURE_STORAGE_ACCOUNT" in hint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("AccountKey=x", "AZURE_STORAGE_CONNECTION_STRING names no account"),
        (f"AccountName={ACCOUNT};AccountKey=n o b64!", "Invalid Access Key"),
    ],
)
def test_a_wrong_connection_string_is_told(
    text: str, said: str, given: Callable[..., None]
) -> None:
    given({"AZURE_STORAGE_CONNECTION_STRING": text})
    assert refusal("az://container/p")[0].startswith(said)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "can't read the credentials "),
        ("{}", "' has no credentials of Google's"),
        ("no JSON", "' has no credentials of Google's"),
        ('{"type": "service_account"}', "missing field"),
    ],
)
def test_wrong_credentials_in_a_file_are_told(
    content: str | None, said: str, tmp_path: Path, given: Callable[..., None]
) -> None:
    path = tmp_path / "credentials.json"
    if content is not None:
        path.write_text(content)
    given({"GOOGLE_APPLICATION_CREDENTIALS": str(path)})
    assert said in refusal("gs://bucket/p")[0]


def test_where_nobody_gives_credentials_it_is_told_who_can(given: Callable[..., None]) -> None:
    """Neither a file nor a metadata server. All that is asked for one is the proxy here."""
    with Front("http://127.0.0.1:1", lambda _: (CUT, "")) as front:
        given({"http_proxy": front.url, "HOME": "/none"})
        said, hint = refusal("gs://bucket/p")
    assert said.startswith("no credentials were found, and http://")
    assert "gcloud auth application-default login" in hint


def test_an_unreachable_endpoint_is_told(cloud_server: Server, given: Callable[..., None]) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    given(cloud_server.environment(url))
    said, _ = refusal(f"{cloud_server.scheme}://bucket/p")
    assert said == f"can't connect to {url}: Connection refused"


def test_an_endpoint_behind_a_signature_is_named_without_it(given: Callable[..., None]) -> None:
    url = f"http://127.0.0.1:{closed_port()}/account"
    given({"AZURE_STORAGE_ACCOUNT": "account", "AZURE_STORAGE_ENDPOINT": url})
    given({"AZURE_STORAGE_SAS_TOKEN": "sv=2018-11-09&sp=rwdl&sig=ya29"})
    assert refusal("az://bucket/p")[0] == f"can't connect to {url}: Connection refused"


def test_an_endpoint_that_hangs_up_is_told(
    cloud_server: Server, given: Callable[..., None]
) -> None:
    with RawServer(resets_at_once) as server:
        given(cloud_server.environment(server.url))
        said, _ = refusal(f"{cloud_server.scheme}://bucket/p")
    assert said.startswith(f"the connection to {server.url} broke")


def passes(asked: Asked) -> None:
    """Nothing is broken."""


def test_certificates_are_checked_and_cacert_is_trusted(
    cloud_server: Server, tmp_path: Path, given: Callable[..., None]
) -> None:
    tls, authority = tls_context(tmp_path)
    to = f"{cloud_server.scheme}://{cloud_server.make_bucket()}/p"
    with Front(cloud_server.url, passes, tls) as front:
        given(cloud_server.environment(front.url))
        said, _ = refusal(to)
        assert said.startswith(f"can't connect to {front.url}: ")
        assert "certificate" in said
        sink = open_sink(to, SinkOptions(cacert=str(authority)))
        sink.check()
        sink.close()
    said, _ = refusal(to, SinkOptions(cacert=str(tmp_path / "none.pem")))
    assert said == "can't read the certificates of --cacert: No such file or directory"


def test_a_proxy_of_the_environment_is_used(gs_server: Gcs, given: Callable[..., None]) -> None:
    bucket = gs_server.make_bucket()
    with Front(gs_server.url, passes) as front:
        given(gs_server.environment("http://storage.test"), http_proxy=front.url)
        sink = open_sink(f"gs://{bucket}/p", SinkOptions())
        sink.check()
        store(sink, "k", b"x")
        sink.close()
    assert {asked.path[:19] for asked in front.asked} == {"http://storage.test"}
    assert gs_server.read(bucket, "p/k") == b"x"


# ---------------------------------------------------------------- permissions


def test_what_a_signature_does_not_allow_is_told(
    az_server: Azurite, given: Callable[..., None]
) -> None:
    bucket = az_server.make_bucket()
    given(az_server.environment(), AZURE_STORAGE_KEY="")
    given({"AZURE_STORAGE_SAS_TOKEN": az_server.sas("rl")})
    said, _ = refusal(f"az://{bucket}/p")
    assert said.startswith(f"write is denied on az://{bucket}/p/.scraper/probe (Authorization")
    given({"AZURE_STORAGE_SAS_TOKEN": az_server.sas("rwdl", -60)})
    assert refusal(f"az://{bucket}/p")[0].startswith("Auth")


def test_a_permission_that_is_missing_is_named(
    gs_server: Gcs, given: Callable[..., None], request: pytest.FixtureRequest
) -> None:
    request.addfinalizer(lambda: setattr(gs_server, "denied", set()))
    bucket = gs_server.make_bucket()
    given(gs_server.environment())
    sink = open_sink(f"gs://{bucket}/p", SinkOptions())
    sink.check()
    for permission, ask in (
        ("storage.objects.get", lambda: sink.get_small("k")),
        ("storage.objects.list", lambda: list(sink.keys())),
        ("storage.objects.create", lambda: store(sink, "k", b"x")),
    ):
        gs_server.denied = {permission}
        with pytest.raises(DestinationError, match=f": {permission} is denied on gs://{bucket}/p"):
            ask()
    gs_server.denied = {"storage.objects.delete"}
    sink.close()
    sink = open_sink(f"gs://{bucket}/p", SinkOptions())
    sink.check()
    assert sink.remark == "storage.objects.delete is denied: what is over stays there"
    store(sink, "k", b"x")
    sink.close()


# ---------------------------------------------------------------- in the middle of a run


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        (Refusal(401, "AuthenticationRequired", "Expired."), "AuthenticationRequired: Expired."),
        (Refusal(403, "AuthenticationFailed", "Wrong."), "AuthenticationFailed: Wrong."),
        (Refusal(403, "QuotaExceeded", "Full."), "QuotaExceeded: Full."),
        (Refusal(507, "InsufficientStorage", "Full."), "InsufficientStorage: Full."),
        (Refusal(409, "AccountIsDisabled", "Off."), "AccountIsDisabled: Off."),
        (Refusal(404, "ContainerNotFound"), "there is no such "),
        (Refusal(404, "NoSuchBucket"), "there is no such "),
    ],
)
def test_what_would_meet_every_object_ends_the_run(
    refused: Refusal, said: str, cloud_server: Server, given: Callable[..., None]
) -> None:
    bucket = cloud_server.make_bucket()

    def fault(asked: Asked) -> Refusal | None:
        return refused if asked.path.endswith("k") else None

    with Front(cloud_server.url, fault) as front:
        given(cloud_server.environment(front.url))
        sink = open_sink(f"{cloud_server.scheme}://{bucket}/p", SinkOptions())
        sink.check()
        with pytest.raises(DestinationError) as caught:
            store(sink, "k", b"x")
        sink.close()
    start = f"{cloud_server.scheme}://{bucket} takes no more objects: {said}"
    assert str(caught.value).startswith(start)


@pytest.mark.parametrize(
    "refused", [Refusal(403, "RetentionPolicyNotMet"), Refusal(409, "BlobImmutableDueToPolicy")]
)
def test_what_concerns_one_object_fails_that_alone(
    refused: Refusal, cloud_server: Server, given: Callable[..., None]
) -> None:
    bucket = cloud_server.make_bucket()
    with Front(cloud_server.url, lambda a: refused if a.path.endswith("k") else None) as front:
        given(cloud_server.environment(front.url))
        sink = open_sink(f"{cloud_server.scheme}://{bucket}/p", SinkOptions())
        sink.check()
        with pytest.raises(SinkError, match=refused.code) as caught:
            store(sink, "k", b"x")
        assert not caught.value.transient
        store(sink, "other", b"x")
        sink.close()


def test_a_clock_that_is_off_is_told_as_azure_tells_it(
    az_server: Azurite, given: Callable[..., None]
) -> None:
    detail = f"Wrong.</Message><AuthenticationErrorDetail>{_DATE}</AuthenticationErrorDetail>"
    body = f"<Error><Code>AuthenticationFailed</Code><Message>{detail}</Error>".encode()
    head = f"HTTP/1.1 403 Denied\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"

    def answers(number: int, sock: socket.socket) -> None:
        del number
        sock.recv(65_536)
        sock.sendall(head.encode() + body)

    with RawServer(answers) as server:
        given(az_server.environment(server.url))
        said, _ = refusal("az://container/p")
    assert said == f"AuthenticationFailed: Wrong. {_DATE}"
