"""What S3's errors mean, as the sink meets them: in check, in one request, in parts."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from scraper.model.errors import DestinationError, ListError, SinkError
from scraper.model.settings import S3
from scraper.sinks.base import SinkOptions, SmallObject
from scraper.sinks.objects.sizes import MIB, Sizes
from scraper.sinks.s3.open_object import open_object
from scraper.sinks.s3.sink import S3Sink
from scraper.testing import store
from tests.s3servers import SECRET, Asked, Front, Refusal, S3Server
from tests.servers import (
    RawServer,
    Reply,
    Request,
    Serve,
    closed_port,
    resets_at_once,
    tls_context,
)

SMALL_PARTS = Sizes(memory=1000, part_threshold=6 * MIB, part=5 * MIB)
IN_PARTS = Random(1).randbytes(11_000_000)  # three parts
pytestmark = pytest.mark.usefixtures("aws")


@pytest.fixture(autouse=True)
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go, this test's alone."""
    path = tmp_path / "temporary"
    path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    return path


def refusal(sink: S3Sink) -> str:
    """What check() says; one line that names the bucket and no secret."""
    with pytest.raises(DestinationError) as caught:
        sink.check()
    sink.close()
    said = str(caught.value)
    assert "\n" not in said
    assert SECRET not in said
    start = f"can't use s3://{sink.bucket}: "
    assert said.startswith(start)
    return said.removeprefix(start)


def always(status: int, code: str) -> Callable[[Asked], tuple[int, str]]:
    return lambda asked: (status, code)


def on_object(status: int, code: str) -> Callable[[Asked], tuple[int, str] | None]:
    """Only the probe and what is in parts goes through."""

    def fault(asked: Asked) -> tuple[int, str] | None:
        probe = ".scraper/probe" in asked.path
        return (status, code) if asked.operation == "PUT" and not probe else None

    return fault


# ---------------------------------------------------------------- check


def test_a_missing_bucket_is_told(
    moto_server: S3Server, rclone_server: S3Server, s3_client: str
) -> None:
    for server in (moto_server, rclone_server):
        sink = S3Sink("no-such-bucket-at-all", "p", server.options(client=s3_client))
        assert refusal(sink) == "there is no such bucket"


def test_a_wrong_secret_is_told(
    rclone_server: S3Server, monkeypatch: pytest.MonkeyPatch, s3_client: str
) -> None:
    bucket = rclone_server.make_bucket()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    said = refusal(S3Sink(bucket, "p", rclone_server.options(client=s3_client)))
    assert said.startswith("SignatureDoesNotMatch")


def test_an_unknown_key_is_told(
    rclone_server: S3Server, monkeypatch: pytest.MonkeyPatch, s3_client: str
) -> None:
    bucket = rclone_server.make_bucket()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    said = refusal(S3Sink(bucket, "p", rclone_server.options(client=s3_client)))
    assert said.startswith("InvalidAccessKeyId")


def test_an_unreachable_endpoint_is_told(s3_client: str) -> None:
    url = f"http://user:{SECRET}@127.0.0.1:{closed_port()}"
    said = refusal(S3Sink("b", "", SinkOptions(s3=S3(client=s3_client, endpoint=url))))
    assert said.startswith(f"can't connect to {url.replace(f'user:{SECRET}@', '')}: ")
    assert "refused" in said


def test_why_there_is_no_connection_is_told_in_the_words_of_the_system() -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    for client in ("auto", "boto3"):
        said = refusal(S3Sink("bucket", "", SinkOptions(s3=S3(client=client, endpoint=url))))
        assert said == f"can't connect to {url}: Connection refused"


@pytest.mark.parametrize("client", ["auto", "boto3"])
def test_a_proxy_that_refuses_is_told(
    client: str, moto_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = moto_server.options(client=client)
    with Front(moto_server.url, always(407, "")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        said = refusal(S3Sink("bucket", "", options))
    assert said == "the proxy refuses: 407 Proxy Authentication Required"


@pytest.mark.parametrize("client", ["auto", "boto3"])
def test_a_proxy_that_can_not_be_reached_is_told(
    client: str, moto_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = f"127.0.0.1:{closed_port()}"
    monkeypatch.setenv("http_proxy", f"http://user:{SECRET}@{proxy}")
    said = refusal(S3Sink("bucket", "", moto_server.options(client=client)))
    assert re.fullmatch(rf"can't connect to the proxy http://\S*{proxy}: Connection refused", said)


@pytest.mark.parametrize("client", ["auto", "boto3"])
def test_a_proxy_that_refuses_a_tunnel_is_told(
    client: str, moto_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = SinkOptions(s3=S3(client=client, endpoint="https://127.0.0.1:1"))
    with Front(moto_server.url, always(500, "")) as proxy:  # it knows no CONNECT
        monkeypatch.setenv("https_proxy", proxy.url)
        said = refusal(S3Sink("bucket", "", options))
    told = "Tunnel connection failed: 501 Unsupported method ('CONNECT')"
    assert said == f"can't connect to the proxy {proxy.url}: {told}"


def test_boto3_can_not_ask_through_socks_and_libcurl_tells_what_it_met(
    moto_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = closed_port()
    monkeypatch.setenv("http_proxy", f"socks5h://user:{SECRET}@127.0.0.1:{port}")
    said = refusal(S3Sink("bucket", "", moto_server.options(client="auto")))
    proxy = f"by the proxy socks5h://REDACTED@127.0.0.1:{port}"
    assert re.fullmatch(rf"can't connect to {moto_server.url} {proxy}: .*refused.*", said)
    said = refusal(S3Sink("bucket", "", moto_server.options(client="boto3")))
    assert "boto3 takes no SOCKS proxy (--s3-client curl does)" in said


def test_variables_with_an_end_that_is_none_are_told_as_variables(
    moto_server: S3Server, monkeypatch: pytest.MonkeyPatch, s3_client: str
) -> None:
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", "banana")
    said = refusal(S3Sink("b", "", moto_server.options(client=s3_client)))
    assert "the environment" in said
    assert "banana" in said
    assert "profile" not in said


def test_an_endpoint_that_hangs_up_is_told(s3_client: str) -> None:
    with RawServer(resets_at_once) as server:
        said = refusal(S3Sink("b", "", SinkOptions(s3=S3(client=s3_client, endpoint=server.url))))
    assert said.startswith(f"the connection to {server.url} broke")


def test_an_untrusted_certificate_is_told(tmp_path: Path, s3_client: str) -> None:
    tls, _ = tls_context(tmp_path)
    with Front("http://127.0.0.1:1", always(500, "InternalError"), tls) as front:
        said = refusal(S3Sink("b", "", front.options(client=s3_client)))
    assert said.startswith(f"can't connect to {front.url}: ")
    assert "certificate verify failed" in said


def test_an_unknown_profile_is_told(moto_server: S3Server, s3_client: str) -> None:
    said = refusal(S3Sink("b", "", moto_server.options(client=s3_client, profile="nobody")))
    assert "profile (nobody)" in said


def test_missing_credentials_are_told(
    moto_server: S3Server, monkeypatch: pytest.MonkeyPatch, s3_client: str
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    said = refusal(S3Sink("b", "", moto_server.options(client=s3_client)))
    assert "credentials" in said


def test_an_endpoint_that_is_no_url_is_told(
    monkeypatch: pytest.MonkeyPatch, s3_client: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "nonsense")
    assert (
        refusal(S3Sink("b", "", SinkOptions(s3=S3(client=s3_client))))
        == "Invalid endpoint: nonsense"
    )


def test_a_bucket_name_that_can_not_be_is_told(moto_server: S3Server, s3_client: str) -> None:
    said = refusal(S3Sink("a b", "", moto_server.options(client=s3_client)))
    assert "Invalid bucket name" in said


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "AccessDenied", "s3:PutObject is denied on s3://b/.scraper/probe (AccessDenied: as"),
        (400, "ExpiredToken", "ExpiredToken: as the test wants"),
        (400, "InvalidStorageClass", "InvalidStorageClass: as the test wants"),
        (503, "SlowDown", "SlowDown: as the test wants"),
        (400, "AuthorizationHeaderMalformed", "wrong region: the bucket is in another one"),
    ],
)
def test_whatever_the_endpoint_answers_is_told(
    status: int, code: str, said: str, s3_client: str
) -> None:
    with Front("http://127.0.0.1:1", always(status, code)) as front:
        assert refusal(S3Sink("b", "", front.options(client=s3_client))).startswith(said)


def test_a_run_that_may_write_but_not_delete_is_fine(moto_server: S3Server, s3_client: str) -> None:
    def no_deletes(asked: Asked) -> tuple[int, str] | None:
        return (403, "AccessDenied") if asked.operation == "DELETE" else None

    bucket = moto_server.make_bucket()
    with Front(moto_server.url, no_deletes) as front:
        sink = S3Sink(bucket, "", front.options(client=s3_client))
        sink.check()
        store(sink, "k", b"x")
        sink.close()
    assert moto_server.read(bucket, "k") == b"x"


@pytest.mark.parametrize(("status", "code"), [(501, "NotImplemented"), (400, "InvalidArgument")])
def test_an_endpoint_that_takes_no_digests_is_asked_without(
    status: int, code: str, moto_server: S3Server, s3_client: str
) -> None:
    def no_digests(asked: Asked) -> tuple[int, str] | None:
        digest = [name for name in asked.headers if "checksum" in name or "trailer" in name]
        return (status, code) if digest else None

    bucket = moto_server.make_bucket()
    with Front(moto_server.url, no_digests) as front:
        sink = S3Sink(bucket, "", front.options(client=s3_client), SMALL_PARTS)
        sink.check()
        store(sink, "small", b"x")
        store(sink, "parts", IN_PARTS)
        sink.close()
    assert front.count("PUT") == 2 + 1, "the answer is remembered"
    assert moto_server.read(bucket, "small") == b"x"
    assert moto_server.read(bucket, "parts") == IN_PARTS


# ---------------------------------------------------------------- one request


@pytest.mark.parametrize(
    ("status", "code", "transient"),
    [
        (503, "SlowDown", True),
        (500, "InternalError", True),
        (502, "BadGateway", True),
        (400, "RequestTimeout", True),
        (400, "BadDigest", True),
        (429, "TooManyRequests", True),
        (0, "a cut", True),
        (400, "KeyTooLongError", False),
        (400, "InvalidRequest", False),
        (501, "NotImplemented", False),
        (409, "ObjectLocked", False),
    ],
)
def test_one_object_is_refused_for_now_or_for_good(
    status: int, code: str, transient: bool, moto_server: S3Server, s3_client: str
) -> None:
    bucket = moto_server.make_bucket()
    with Front(moto_server.url, on_object(status, code)) as front:
        for memory in (0, 1000):  # from disk, from memory
            sink = S3Sink(bucket, "", front.options(client=s3_client), Sizes(memory=memory))
            sink.check()
            probes = front.count("PUT")
            with pytest.raises(SinkError) as caught:
                store(sink, "some/key", b"x")
            assert front.count("PUT") == probes + 1, "one attempt: retrying is the frontier's"
            sink.close()
            assert caught.value.transient is transient
            said = caught.value.message.removeprefix("can't store 'some/key': ")
            assert said == f"{code}: as the test wants" or (not status and "broke" in said)
            front.asked.clear()
    assert moto_server.keys(bucket) == set()
    assert list(Path(tempfile.gettempdir()).rglob("run-*")) == []


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (403, "AccessDenied"),
        (403, "InvalidAccessKeyId"),
        (403, "SignatureDoesNotMatch"),
        (403, "AccountProblem"),
        (403, "QuotaExceeded"),
        (400, "ExpiredToken"),
        (404, "NoSuchBucket"),
        (507, "XMinioStorageFull"),
    ],
)
def test_a_bucket_that_takes_no_more_is_the_destinations_fault(
    status: int, code: str, moto_server: S3Server, s3_client: str
) -> None:
    bucket = moto_server.make_bucket()
    with Front(moto_server.url, on_object(status, code)) as front:
        sink = S3Sink(bucket, "", front.options(client=s3_client))
        sink.check()
        with pytest.raises(DestinationError, match=f"^s3://{bucket} takes no more objects: "):
            store(sink, "k", b"x")
        sink.close()


def test_an_endpoint_that_goes_away_may_come_back(moto_server: S3Server, s3_client: str) -> None:
    bucket = moto_server.make_bucket()
    with Front(moto_server.url, lambda asked: None) as front:
        sink = S3Sink(bucket, "", front.options(client=s3_client))
        sink.check()
    with pytest.raises(SinkError) as caught:
        store(sink, "k", b"x")
    sink.close()
    assert caught.value.transient


# ---------------------------------------------------------------- parts


@pytest.mark.parametrize("operation", ["POST begin", "PUT part", "POST complete"])
@pytest.mark.parametrize("status", [500, 0])
def test_parts_that_can_not_be_completed_are_aborted(
    operation: str, status: int, moto_server: S3Server, spool: Path, s3_client: str
) -> None:
    def fault(asked: Asked) -> tuple[int, str] | None:
        last = 2 if asked.operation == "PUT part" else 1
        hit = asked.operation == operation and asked.number == last
        return (status, "InternalError") if hit else None

    bucket = moto_server.make_bucket()
    with Front(moto_server.url, fault) as front:
        sink = S3Sink(bucket, "", front.options(client=s3_client), SMALL_PARTS)
        sink.check()
        with pytest.raises(SinkError) as caught:
            store(sink, "k", IN_PARTS)
        assert caught.value.transient
        assert moto_server.keys(bucket) == set()
        assert moto_server.unfinished(bucket) == []
        assert not [path for path in spool.rglob("run-*/*") if path.name != "lock"]
        store(sink, "k", IN_PARTS)
        sink.close()
    assert moto_server.read(bucket, "k") == IN_PARTS


def test_a_denied_part_is_the_destinations_fault(moto_server: S3Server, s3_client: str) -> None:
    def fault(asked: Asked) -> tuple[int, str] | None:
        return (403, "AccessDenied") if asked.operation == "PUT part" else None

    bucket = moto_server.make_bucket()
    with Front(moto_server.url, fault) as front:
        sink = S3Sink(bucket, "", front.options(client=s3_client), SMALL_PARTS)
        sink.check()
        with pytest.raises(
            DestinationError, match=r"objects: s3:PutObject is denied on s3://.*/k "
        ):
            store(sink, "k", IN_PARTS)
        sink.close()
    assert moto_server.unfinished(bucket) == []


# ---------------------------------------------------------------- the spool

FILLS = """
import sys
from scraper.model.errors import SinkError
from scraper.sinks.base import SinkOptions, SmallObject
from scraper.sinks.objects.sizes import Sizes
from scraper.sinks.s3.open_object import open_object
from scraper.sinks.s3.sink import S3Sink
sink = S3Sink("b", "", SinkOptions(), Sizes(memory=10_000))
sink.open("small").write(b"x" * 10_000)
try:
    upload = sink.open("large")
    for _ in range(100):
        upload.write(b"x" * 10_000)
except SinkError as error:
    print(error.transient, error.message)
upload.abort()
sink.close()
"""


def test_a_full_temporary_disk_is_told(tmp_path: Path) -> None:
    mount = 'mount -t tmpfs -o size=64k tmpfs "$TMPDIR" && exec "$@"'
    if subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True).returncode:
        pytest.skip("no user namespaces here to mount a small file system in")
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", mount, "sh", sys.executable, "-c", FILLS],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "False can't store 'large': can't spool it: No space left on device\n"
    assert done.stderr == ""


# ---------------------------------------------------------------- endpoints that are none


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_an_endpoint_that_redirects_is_told_with_where_to_and_asked_once(
    status: int, s3_client: str, serve: Serve
) -> None:
    to = f"https://user:{SECRET}@s3.example.com/b"
    server = serve(lambda _: Reply(status, {"Location": to}))
    said = refusal(S3Sink("b", "", SinkOptions(s3=S3(client=s3_client, endpoint=server.url))))
    assert "the endpoint redirects to https://" in said
    assert "s3.example.com/b" in said
    assert SECRET not in said
    assert server.total == 1


@pytest.mark.parametrize("status", [301, 302, 307])
@pytest.mark.parametrize("to", ["", "http://b.s3-eu-west-1.amazonaws.com/"])
def test_a_redirect_that_leads_nowhere_is_told_after_few_requests(
    status: int, to: str, s3_client: str, serve: Serve
) -> None:
    """As a gateway before Amazon does. botocore asks for the region, and would ask for ever."""
    server = serve(lambda _: Reply(status, {"Location": to} if to else {}))
    said = refusal(S3Sink("b", "", SinkOptions(s3=S3(client=s3_client, endpoint=server.url))))
    assert f"the endpoint redirects {f'to {to}' if to else f'({status}), and does not say'}" in said
    assert server.total <= 3


PLACES = [(status, to) for status in (301, 302, 307, 308) for to in ("/login", "login", "?next")]


@pytest.mark.parametrize(
    ("client", "status", "to"),
    [
        *((client, *place) for client in ("boto3", "curl") for place in PLACES),
        *(("curl", status, to) for status, to in ((303, "/login"), (303, ""))),
    ],
)
def test_a_redirect_to_a_path_is_told_too(client: str, status: int, to: str, serve: Serve) -> None:
    """Of a 303 urllib3 gives botocore no answer."""
    server = serve(lambda _: Reply(status, {"Location": to}))
    options = SinkOptions(s3=S3(client=client, endpoint=server.url))
    said = refusal(S3Sink("bucket", "", options))
    told = f"the endpoint redirects to {to}, and S3 is not asked there"
    assert said.startswith(told if to else f"the endpoint redirects ({status}), and does not say")
    assert server.total == 1
    with pytest.raises(ListError, match="the endpoint redirects "):
        open_object("s3://bucket/k", options)


@pytest.mark.parametrize("status", [303, 308])
def test_a_redirect_that_botocore_does_not_follow_is_told_where_it_leads_nowhere(
    status: int, s3_client: str, serve: Serve
) -> None:
    server = serve(lambda _: Reply(status))
    options = SinkOptions(s3=S3(client=s3_client, endpoint=server.url))
    said = refusal(S3Sink("bucket", "", options))
    assert said == f"the endpoint redirects ({status}), and does not say where to"


@pytest.mark.parametrize("status", [307, 308])
def test_an_endpoint_that_begins_to_redirect_is_the_destinations_fault(
    status: int, moto_server: S3Server, s3_client: str
) -> None:
    def fault(asked: Asked) -> Refusal | None:
        begins = asked.operation == "PUT" and ".scraper/" not in asked.path
        return Refusal(status, "", headers={"Location": "/login"}) if begins else None

    bucket = moto_server.make_bucket()
    with Front(moto_server.url, fault) as front:
        sink = S3Sink(bucket, "", front.options(client=s3_client))
        sink.check()
        with pytest.raises(DestinationError, match="the endpoint redirects to /login, and S3"):
            store(sink, "k", b"x")
        sink.close()


def test_an_archived_object_is_about_that_object_alone(
    moto_server: S3Server, s3_client: str
) -> None:
    bucket = moto_server.make_bucket()
    sink = S3Sink(bucket, "p", moto_server.options(client=s3_client))
    sink.check()
    for key in ("a", "b"):
        store(sink, key, b"x")
    moto_server.client.copy_object(
        Bucket=bucket,
        Key="p/a",
        CopySource={"Bucket": bucket, "Key": "p/a"},
        StorageClass="GLACIER",
    )
    with pytest.raises(SinkError) as caught:
        b"".join(sink.read("a"))
    assert caught.value.message == (
        "can't read 'a': it is archived, and has to be restored before it can be read"
        " (InvalidObjectState)"
    )
    assert not caught.value.transient
    assert b"".join(sink.read("b")) == b"x"
    sink.close()


@pytest.mark.parametrize("code", ["ExpiredToken", "AccountProblem"])
def test_a_read_that_is_refused_is_told_as_a_read(
    code: str, moto_server: S3Server, s3_client: str
) -> None:
    def fault(asked: Asked) -> Refusal | None:
        return Refusal(403, code) if asked.path.endswith("/p/k") else None

    bucket = moto_server.make_bucket()
    with Front(moto_server.url, fault) as front:
        sink = S3Sink(bucket, "p", front.options(client=s3_client))
        sink.check()
        with pytest.raises(DestinationError, match=f"^can't read 'k' of s3://{bucket}: {code}"):
            b"".join(sink.read("k"))
        sink.close()


LIST = (
    b"<ListBucketResult><IsTruncated>%s</IsTruncated><Contents><Key>p/a</Key><Size>1</Size>"
    b"<LastModified>2026-01-01T00:00:00Z</LastModified></Contents></ListBucketResult>"
)


def listing(page: bytes, client: str, serve: Serve) -> list[str]:
    """The keys of a list, of which each page is this one."""

    def answer(request: Request) -> Reply:
        return Reply(200, {"ETag": '"1"'}, page if "list-type" in request.path else b"")

    server = serve(answer)
    sink = S3Sink("b", "p", SinkOptions(s3=S3(client=client, endpoint=server.url)))
    sink.check()
    try:
        return list(sink.keys())
    finally:
        sink.close()


@pytest.mark.parametrize(
    "page",
    [
        b"<html><body>hi</body></html>",
        LIST.replace(b"2026-01-01T00:00:00Z", b"yesterday").replace(b"LastModified", b"Date"),
        LIST % b"true",  # and no token
        LIST.replace(b"<Contents>", b"<NextContinuationToken>t</NextContinuationToken><Contents>")
        % b"true",  # the same one again and again
    ],
    ids=["a page", "without times", "without an end", "in a circle"],
)
def test_what_is_no_list_is_told(page: bytes, s3_client: str, serve: Serve) -> None:
    with pytest.raises(DestinationError, match="answers no list of objects"):
        listing(page, s3_client, serve)


def test_a_list_needs_no_etags(s3_client: str, serve: Serve) -> None:
    assert listing(LIST % b"false", s3_client, serve) == ["a"]


@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_an_endpoint_that_answers_without_an_etag_is_told(method: str, serve: Serve) -> None:
    """As a WebDAV server does."""

    def answer(request: Request) -> Reply:
        headers = {"ETag": '"1"'} if request.method != method else {}
        return Reply(200, headers, b"" if request.method == "PUT" else b"x")

    server = serve(answer)
    sink = S3Sink("b", "", SinkOptions(s3=S3(client="boto3", endpoint=server.url)))
    sink.check()
    with pytest.raises(DestinationError, match="answers without ETag"):
        sink.put_if("k", b"x", None) if method == "PUT" else sink.get_small("k")
    sink.close()


def test_an_object_without_last_modified_has_no_age(serve: Serve) -> None:
    server = serve(lambda asked: Reply(200, {"ETag": '"1"'}, b"x" * (asked.method == "GET")))
    sink = S3Sink("b", "", SinkOptions(s3=S3(client="boto3", endpoint=server.url)))
    sink.check()
    assert sink.get_small("k") == SmallObject(b"x", '"1"', None)
    sink.close()


def test_bytes_in_memory_are_put_without_a_question(moto_server: S3Server) -> None:
    bucket = moto_server.make_bucket()
    with Front(moto_server.url, lambda _: None) as front:
        sink = S3Sink(bucket, "", front.options(client="boto3"))
        sink.check()
        sink.put_if("lease", b"x", None)
        store(sink, "k", b"x")
        store(sink, "longer", b"x" * 300_000)
        sink.close()
        assert [asked for asked in front.asked if "expect" in asked.headers] == []


BROKE = (
    b"<Error><Code>InternalError</Code><Message>We encountered an internal error</Message></Error>"
)


@pytest.mark.parametrize("size", [10, 3_000], ids=["memory", "disk"])
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Reply(200, {"ETag": '"1"'}, b'<?xml version="1.0"?>\n' + BROKE), "internal error"),
        (Reply(200, {"Content-Type": "text/html"}, b"<html>Log in</html>"), "without ETag"),
        (Reply(200, {}, b"<html><br>Log in"), "without ETag"),
        (Reply(200, {}, b"<html>" + bytes(100_000)), "without ETag"),
        (Reply(202), "without ETag"),
    ],
    ids=["an error", "of a proxy", "no XML", "long", "accepted"],
)
def test_a_put_is_stored_only_if_s3_says_so(
    answer: Reply, said: str, size: int, s3_client: str, serve: Serve
) -> None:
    good = Reply(200, {"ETag": '"1"'})
    server = serve(lambda asked: answer if asked.path.endswith("/k") else good)
    options = SinkOptions(s3=S3(client=s3_client, endpoint=server.url))
    sink = S3Sink("b", "", options, Sizes(memory=1000))
    sink.check()
    with pytest.raises(SinkError, match=said) as caught:
        store(sink, "k", b"x" * size)
    sink.close()
    assert caught.value.transient


@pytest.mark.parametrize("size", [10, 100_000, 5_000_000])
def test_an_endpoint_that_answers_everything_with_a_page_is_told(
    size: int, s3_client: str, serve: Serve
) -> None:
    server = serve(lambda _: Reply(200, {}, b"<html><br>" + b"x" * size))
    sink = S3Sink("b", "", SinkOptions(s3=S3(client=s3_client, endpoint=server.url)))
    with pytest.raises(DestinationError, match="answers without ETag: it is no S3"):
        sink.check()
    sink.close()
