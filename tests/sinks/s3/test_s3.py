"""The S3 sink against two servers: what is stored beside the bytes, parts, the spool."""

import base64
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest

from scraper.model.errors import ListError, SinkError, UsageError
from scraper.model.records import Response
from scraper.model.settings import S3
from scraper.sinks.base import Body, SinkOptions
from scraper.sinks.objects.sizes import MIB, USUAL, Sizes
from scraper.sinks.s3.errors import READ_TIMEOUT_S
from scraper.sinks.s3.open_object import open_object
from scraper.sinks.s3.sink import S3Sink, open_sink
from scraper.testing import body_of, store
from tests.denying import denying
from tests.machine import within
from tests.s3servers import Asked, Front, S3Server
from tests.servers import closed_port, tls_context

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


@pytest.fixture
def sinks() -> Iterator[list[S3Sink]]:
    """Sinks to be closed in the end."""
    made: list[S3Sink] = []
    yield made
    for sink in made:
        sink.close()


def spooled(spool: Path) -> list[Path]:
    return [path for path in spool.rglob("*") if path.is_file() and path.name != "lock"]


def passes(asked: Asked) -> None:
    """Nothing is broken."""


def put(sink: S3Sink, key: str, content: bytes, body: Body) -> None:
    upload = sink.open(key)
    upload.write(content)
    upload.commit(body)


@pytest.mark.parametrize("size", [1000, 2_000_000, 11_000_000])
def test_bytes_and_metadata_are_kept_whatever_the_size(
    server: S3Server, size: int, s3_client: str
) -> None:
    bucket = server.make_bucket()
    content = Random(size).randbytes(size)
    body = Body("https://example.com/a?b=c", 1.5, size, sha256(content).hexdigest(), Response(
        200, "https://example.com/a", content_type="text/html; charset=utf-8",
        last_modified="Sun, 06 Nov 1994 08:49:37 GMT",
    ))  # fmt: skip
    sink = S3Sink(bucket, "p", server.options(client=s3_client), SMALL_PARTS)
    sink.check()
    put(sink, "k", content, body)
    sink.close()
    assert server.read(bucket, "p/k") == content
    head = server.client.head_object(Bucket=bucket, Key="p/k")
    assert head["ContentType"] == "text/html; charset=utf-8"
    assert {name.lower(): value for name, value in head["Metadata"].items()} == {
        "sourceurl": "https://example.com/a?b=c",
        "fetchedat": "1970-01-01T00:00:01.500Z",
        "lastmodified": "1994-11-06T08:49:37.000Z",
        "sha256": sha256(content).hexdigest(),
    }
    assert server.keys(bucket) == {"p/k"}
    assert server.unfinished(bucket) == []


def test_content_encoding_is_told_only_when_there_is_one(
    moto_server: S3Server, s3_client: str
) -> None:
    bucket = moto_server.make_bucket()
    sink = S3Sink(bucket, "", moto_server.options(client=s3_client))
    sink.check()
    for key, coding in (("plain", None), ("coded", "gzip")):
        response = Response(200, "http://a/", content_type="", content_encoding=coding)
        body = Body("http://a/", 0, 1, sha256(b"x").hexdigest(), response)
        put(sink, key, b"x", body)
        head = moto_server.client.head_object(Bucket=bucket, Key=key)
        assert head.get("ContentEncoding") == coding
    sink.close()


@pytest.mark.parametrize(
    "url", ["http://a/" + "x" * 5000, "http://a/" + "é" * 900, "http://a/ä b\t日本", ""]
)
def test_metadata_is_ascii_and_below_2_kb_however_long_the_url(
    server: S3Server, url: str, s3_client: str
) -> None:
    bucket = server.make_bucket()
    sink = S3Sink(bucket, "", server.options(client=s3_client))
    sink.check()
    response = Response(200, "http://a/", content_type="text/plain; x=\xe9")
    put(sink, "k", b"x", Body(url, 0, 1, sha256(b"x").hexdigest(), response))
    sink.close()
    metadata = server.client.head_object(Bucket=bucket, Key="k")["Metadata"]
    assert sum(len(name) + len(value) for name, value in metadata.items()) < 2048
    kept = next((v for name, v in metadata.items() if name.lower() == "sourceurl"), "")
    assert kept.isascii()
    assert bool(kept) == bool(url)
    assert "%C" not in kept[-2:]


def test_storage_class_and_encryption_are_asked_for(moto_server: S3Server, s3_client: str) -> None:
    bucket = moto_server.make_bucket()
    s3 = moto_server.options(
        client=s3_client, storage_class="STANDARD_IA", sse="aws:kms:arn:aws:kms:x:key/1"
    )
    sink = S3Sink(bucket, "", s3, SMALL_PARTS)
    sink.check()
    for key, content in (("small", b"x"), ("parts", IN_PARTS)):
        store(sink, key, content)
        head = moto_server.client.head_object(Bucket=bucket, Key=key)
        assert head["StorageClass"] == "STANDARD_IA"
        assert head["ServerSideEncryption"] == "aws:kms"
        assert head["SSEKMSKeyId"] == "arn:aws:kms:x:key/1"
    sink.close()


@pytest.mark.parametrize("destination", ["s3://", "s3:///prefix"])
def test_a_destination_without_a_bucket_is_wrong_usage(destination: str) -> None:
    with pytest.raises(UsageError, match="names no bucket"):
        open_sink(destination, SinkOptions())


@pytest.mark.parametrize("sse", ["aes256", "aws:kms:", "AES256:key", "kms"])
def test_an_unknown_encryption_is_wrong_usage(sse: str) -> None:
    with pytest.raises(UsageError, match="--s3-sse"):
        open_sink("s3://b", SinkOptions(s3=S3(sse=sse)))


def test_opening_a_sink_imports_nothing_heavy() -> None:
    script = (
        "import sys; from scraper.sinks.base import SinkOptions, find_sink;"
        "find_sink('S3://b/p', SinkOptions()); sys.exit('boto3' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize(
    ("destination", "key"),
    [
        ("s3://{}", "a/b"),
        ("s3://{}/", "a/b"),
        ("s3://{}//x//y/", "x/y/a/b"),
        ("S3://{}/x", "x/a/b"),
    ],
)
def test_prefix_and_key_are_joined_by_one_slash(
    destination: str, key: str, moto_server: S3Server, s3_client: str
) -> None:
    bucket = moto_server.make_bucket()
    sink = open_sink(destination.format(bucket), moto_server.options(client=s3_client))
    sink.check()
    store(sink, "a/b", b"x")
    sink.close()
    assert moto_server.keys(bucket) == {key}


@pytest.mark.parametrize("secure", [False, True])
def test_digests_travel_as_headers_never_as_trailers(
    secure: bool,
    moto_server: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    s3_client: str,
) -> None:
    tls, authority = tls_context(tmp_path)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(authority))
    bucket = moto_server.make_bucket()
    with Front(moto_server.url, passes, tls if secure else None) as front:
        sink = S3Sink(bucket, "", front.options(client=s3_client), SMALL_PARTS)
        sink.check()
        store(sink, "small", b"small")
        store(sink, "parts", IN_PARTS)
        sink.close()
    puts = [asked for asked in front.asked if asked.operation in {"PUT", "PUT part"}]
    assert len(puts) == 1 + 1 + 3, "a probe, an object, three parts"
    sums = {asked.headers["x-amz-checksum-sha256"] for asked in puts}
    assert base64.b64encode(sha256(b"small").digest()).decode() in sums
    assert base64.b64encode(sha256(IN_PARTS[: 5 * MIB]).digest()).decode() in sums
    assert not any("x-amz-trailer" in asked.headers for asked in puts)
    assert moto_server.read(bucket, "parts") == IN_PARTS


def test_an_endpoint_from_the_environment_is_asked_by_path(
    moto_server: S3Server, monkeypatch: pytest.MonkeyPatch, s3_client: str
) -> None:
    bucket = moto_server.make_bucket()
    with Front(moto_server.url, passes) as front:
        monkeypatch.setenv("AWS_ENDPOINT_URL", front.url.replace("127.0.0.1", "localhost"))
        sink = S3Sink(bucket, "p", SinkOptions(s3=S3(client=s3_client)))
        sink.check()
        sink.close()
    assert {asked.path.partition("?")[0] for asked in front.asked} == {
        f"/{bucket}/p/.scraper/probe"
    }


@pytest.mark.parametrize(("given", "used"), [(None, "us-east-1"), ("eu-west-3", "eu-west-3")])
def test_the_region_is_the_environments_or_us_east_1(
    given: str | None,
    used: str,
    moto_server: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    s3_client: str,
) -> None:
    if given:
        monkeypatch.setenv("AWS_DEFAULT_REGION", given)
    bucket = moto_server.make_bucket()
    with Front(moto_server.url, passes) as front:
        sink = S3Sink(bucket, "", front.options(client=s3_client))
        sink.check()
        sink.close()
    assert f"/{used}/s3/" in front.asked[0].headers["authorization"]


def test_check_leaves_no_probe_behind(server: S3Server, s3_client: str) -> None:
    bucket = server.make_bucket()
    sink = S3Sink(bucket, "p", server.options(client=s3_client))
    sink.check()
    sink.close()
    assert server.keys(bucket) == set()


def test_small_bodies_never_touch_the_disk(
    moto_server: S3Server, spool: Path, s3_client: str
) -> None:
    sink = S3Sink(moto_server.make_bucket(), "", moto_server.options(client=s3_client))
    sink.check()
    store(sink, "k", b"x" * USUAL.memory)
    assert list(spool.iterdir()) == []
    sink.close()


def test_large_bodies_are_spooled_to_disk_until_they_end(
    moto_server: S3Server, spool: Path, s3_client: str
) -> None:
    sink = S3Sink(moto_server.make_bucket(), "", moto_server.options(client=s3_client))
    sink.check()
    content = b"x" * (USUAL.memory + 1)
    upload = sink.open("k")
    upload.write(content)
    assert [path.stat().st_mode & 0o077 for path in spool.iterdir()] == [0]
    assert len(spooled(spool)) == 1
    upload.commit(body_of(content))
    assert spooled(spool) == []
    sink.close()
    assert list(spool.rglob("run-*")) == []


def test_a_spool_directory_of_somebody_else_is_not_used(spool: Path) -> None:
    (spool / f"scraper-spool-{os.geteuid()}").symlink_to("/")
    upload = S3Sink("b", "", SinkOptions(), Sizes(memory=10)).open("k")
    with pytest.raises(SinkError, match="somebody else's"):
        upload.write(b"x" * 11)
    upload.abort()


SPOOLS = """
import sys
from scraper.sinks.base import SinkOptions
from scraper.sinks.objects.sizes import USUAL, Sizes
from scraper.sinks.s3.sink import S3Sink
upload = S3Sink("b", "", SinkOptions(), Sizes(memory=10)).open("k")
upload.write(b"x" * 1_000_000)
print("spooled", flush=True)
sys.stdin.read()
"""


def test_the_spool_of_a_killed_run_is_swept_and_that_of_a_live_one_kept(spool: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(spool)}
    with (
        subprocess.Popen(
            [sys.executable, "-c", SPOOLS], env=environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        ) as child,
    ):  # fmt: skip
        assert child.stdout is not None
        assert child.stdout.readline() == b"spooled\n"
        (live,) = spooled(spool)
        other = S3Sink("b", "", SinkOptions(), Sizes(memory=10))
        other.open("k").write(b"x" * 11)
        assert live.exists()
        other.close()
        assert live.exists()
        child.send_signal(signal.SIGKILL)
    assert live.exists()
    another = S3Sink("b", "", SinkOptions(), Sizes(memory=10))
    another.open("k").write(b"x" * 11)
    assert not live.exists()
    another.close()


def test_close_gives_up_a_body_in_parts_that_is_in_flight(
    moto_server: S3Server, spool: Path, s3_client: str
) -> None:
    bucket = moto_server.make_bucket()
    reached, go_on = threading.Event(), threading.Event()

    def holds_the_second(asked: Asked) -> None:
        if asked.operation == "PUT part" and asked.number == 2:
            reached.set()
            assert go_on.wait(30)

    with Front(moto_server.url, holds_the_second) as front, ThreadPoolExecutor(2) as pool:
        sink = S3Sink(bucket, "", front.options(client=s3_client), SMALL_PARTS)
        sink.check()
        storing = pool.submit(store, sink, "k", IN_PARTS)
        assert reached.wait(30)
        closing = pool.submit(sink.close)
        go_on.set()
        closing.result()
        error = storing.exception()
    assert error is None or isinstance(error, SinkError)
    assert moto_server.read(bucket, "k") == (None if error else IN_PARTS)
    assert moto_server.unfinished(bucket) == []
    assert spooled(spool) == []


def test_close_does_not_wait_for_a_part_that_hangs(moto_server: S3Server, s3_client: str) -> None:
    bucket = moto_server.make_bucket()
    reached, go_on = threading.Event(), threading.Event()

    def hangs(asked: Asked) -> tuple[int, str] | None:
        if asked.operation != "PUT part":
            return None
        reached.set()
        assert go_on.wait(2 * READ_TIMEOUT_S)
        return 0, ""

    with Front(moto_server.url, hangs) as front, ThreadPoolExecutor(1) as pool:
        sink = S3Sink(bucket, "", front.options(client=s3_client), SMALL_PARTS)
        sink.check()
        storing = pool.submit(store, sink, "k", IN_PARTS)
        assert reached.wait(30)
        with within(0, room_s=READ_TIMEOUT_S / 2):
            sink.close()
        go_on.set()
        assert isinstance(storing.exception(), SinkError)
    assert moto_server.keys(bucket) == set()


def test_nothing_is_committed_once_the_sink_is_closed(
    moto_server: S3Server, s3_client: str
) -> None:
    bucket = moto_server.make_bucket()
    sink = S3Sink(bucket, "", moto_server.options(client=s3_client))
    sink.check()
    upload = sink.open("k")
    upload.write(b"x")
    sink.close()
    with pytest.raises(SinkError, match="given up"):
        upload.commit(body_of(b"x"))
    with pytest.raises(SinkError, match="given up"):
        upload.write(b"x")
    assert moto_server.keys(bucket) == set()


def test_a_list_is_read_from_s3(server: S3Server) -> None:
    bucket = server.make_bucket()
    server.client.put_object(Bucket=bucket, Key="lists/urls.txt", Body=b"http://a/\n" * 200_000)
    with open_object(f"s3://{bucket}/lists/urls.txt", server.options()) as file:
        assert file.read() == b"http://a/\n" * 200_000


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("s3://{}/none", "there is no such object"),
        ("s3://no-such-bucket-at-all/k", "there is no such bucket"),
        ("s3://{}", "it is not s3://bucket/key"),
        ("s3://{}/", "it is not s3://bucket/key"),
    ],
)
def test_a_list_that_is_not_there_is_named(url: str, reason: str, moto_server: S3Server) -> None:
    url = url.format(moto_server.make_bucket())
    with pytest.raises(ListError) as caught:
        open_object(url, moto_server.options())
    assert str(caught.value).startswith(f"can't open the list '{url}': {reason}")


def test_the_permission_that_a_list_needs_is_named(moto_server: S3Server) -> None:
    with (
        Front(moto_server.url, denying(moto_server, "GetObject")) as front,
        pytest.raises(ListError, match=r"s3:GetObject is denied on s3://bucket/urls\.txt"),
    ):
        open_object("s3://bucket/urls.txt", front.options())


def test_a_list_behind_no_endpoint_is_named() -> None:
    options = SinkOptions(s3=S3(endpoint=f"http://127.0.0.1:{closed_port()}", profile=None))
    with pytest.raises(ListError, match=r"'s3://b/k': can't connect to http://127"):
        open_object("s3://b/k", options)
