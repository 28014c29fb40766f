"""What is stored beside the bytes never costs the bytes, whatever a site sends."""

from contextlib import closing
from hashlib import sha256

import pytest

from scraper.model.errors import DestinationError
from scraper.model.records import Response
from scraper.sinks.base import Body
from scraper.sinks.objects.metadata import URL_BYTES, facts_of, longest
from scraper.sinks.s3.sink import S3Sink
from tests.s3servers import Asked, Front, S3Server

pytestmark = pytest.mark.usefixtures("aws")

DIGEST = sha256(b"x").hexdigest()
STORES = ("moto", "rclone", "swift", "radosgw")
LONGEST_TYPE = "text/" + "x" * 250


def body(url: str = "http://a/", content_type: str = "text/plain") -> Body:
    changed = "Thu, 01 Jan 1970 00:00:00 GMT"
    return Body(url, 0, 1, DIGEST, Response(200, url, content_type, last_modified=changed))


@pytest.mark.each_pair
@pytest.mark.parametrize("content_type", [10, 1_900, 6_900])
@pytest.mark.parametrize("url", [20, 257, 300, 2_000])
@pytest.mark.parametrize("client", ["boto3", "curl"])
@pytest.mark.parametrize("store", STORES)
def test_a_body_is_stored_on_every_store_whatever_lies_beside_it(
    *,
    store: str,
    client: str,
    url: int,
    content_type: int,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    s3: S3Server = request.getfixturevalue(f"{store}_server")
    for name, value in s3.credentials.items():
        monkeypatch.setenv(name, value)
    bucket = s3.make_bucket()
    with closing(S3Sink(bucket, "p", s3.options(client=client))) as sink:
        sink.check()
        address = "http://a/".ljust(url, "x")
        upload = sink.open("k")
        upload.write(b"x")
        upload.commit(body(address, "text/html; x=".ljust(content_type, "v")))
    assert s3.read(bucket, "p/k") == b"x"
    head = s3.client.head_object(Bucket=bucket, Key="p/k")
    assert head["ContentType"] == ("text/html; x=" if content_type < 255 else "text/html")
    metadata = {name.lower(): value for name, value in head["Metadata"].items()}
    assert metadata["sha256"] == DIGEST
    assert metadata["fetchedat"] == "1970-01-01T00:00:00.000Z"
    assert metadata["sourceurl"] == address[: 256 if store == "swift" else 1024]


@pytest.mark.parametrize("status", [400, 413, 431, 501])
@pytest.mark.parametrize("most", [256, 0])
def test_what_a_store_takes_is_found_out_by_the_probe(
    status: int, most: int, moto_server: S3Server
) -> None:
    def fault(asked: Asked) -> tuple[int, str] | None:
        told = len(asked.headers.get("x-amz-meta-sourceurl", ""))
        return (status, "MetadataTooLarge") if told > most else None

    bucket = moto_server.make_bucket()
    with Front(moto_server.url, fault) as front:
        sink = S3Sink(bucket, "", front.options(client="boto3"))
        with closing(sink):
            sink.check()
            asked = front.count("PUT")
            upload = sink.open("k")
            upload.write(b"x")
            upload.commit(body("http://a/".ljust(600, "x")))
            assert front.count("PUT") == asked + 1, "it is remembered"
    metadata = moto_server.client.head_object(Bucket=bucket, Key="k")["Metadata"]
    assert len(metadata.get("sourceurl", "")) == most


def test_a_store_that_takes_nothing_is_told_of_in_its_own_words(moto_server: S3Server) -> None:
    def fault(asked: Asked) -> tuple[int, str] | None:
        return (400, "InvalidStorageClass") if asked.operation == "PUT" else None

    bucket = moto_server.make_bucket()
    with (
        Front(moto_server.url, fault) as front,
        closing(S3Sink(bucket, "", front.options(client="boto3"))) as sink,
        pytest.raises(DestinationError, match="InvalidStorageClass"),
    ):
        sink.check()


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("text/plain", "text/plain"),
        (LONGEST_TYPE, LONGEST_TYPE),
        (LONGEST_TYPE + "; charset=utf-8", LONGEST_TYPE),
        (LONGEST_TYPE + "x", None),
        ("text/html ;x=" + "v" * 300, "text/html"),
        ("", None),
        ("text/plain; x=\xe9", None),
        ("text/\xe9", None),
    ],
)
def test_a_media_type_is_kept_whole_without_parameters_or_not(sent: str, kept: str | None) -> None:
    assert facts_of(body(content_type=sent), 256, None).content_type == kept


def test_the_probe_carries_the_longest_that_there_can_be() -> None:
    awkward = body("http://a/" + "é" * 3_000, LONGEST_TYPE)
    for most, facts in longest(DIGEST, "GLACIER"):
        found = facts_of(awkward, most, "GLACIER")
        assert found.metadata.keys() == facts.metadata.keys()
        for name, value in found.metadata.items():
            assert len(value) <= len(facts.metadata[name])
        assert len(found.content_type or "") == len(facts.content_type or "")
    assert [most for most, _ in longest(DIGEST, None)] == list(URL_BYTES)


def test_names_are_those_that_every_store_gives_back_as_sent() -> None:
    for name in facts_of(body(), 1024, None).metadata:
        assert name.isalnum()
        assert name.islower()
