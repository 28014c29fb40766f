"""What a sink in S3 can do besides storing bodies: read, list, delete, put on a condition."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from random import Random

import pytest

from scraper.model.errors import DestinationError, SinkError
from scraper.model.settings import S3
from scraper.sinks.base import SinkOptions
from scraper.sinks.objects.metadata import Facts
from scraper.sinks.objects.sizes import MIB
from scraper.sinks.s3.bucket import Bucket
from scraper.sinks.s3.encryption import parse_sse
from scraper.sinks.s3.endpoint import Way, way_of
from scraper.sinks.s3.errors import S3Error
from scraper.sinks.s3.sink import S3Sink
from scraper.testing import store
from tests.s3servers import CUT, Asked, Front, S3Server
from tests.servers import HttpServer, Reply, Request

pytestmark = pytest.mark.usefixtures("aws")


@pytest.fixture
def sink(server: S3Server, s3_client: str) -> Iterator[S3Sink]:
    """One below the prefix `p`, checked."""
    sink = S3Sink(server.make_bucket(), "p", server.options(client=s3_client))
    sink.check()
    yield sink
    sink.close()


def refusing(server: S3Server, status: int, code: str, operation: str = "PUT") -> Front:
    """A front that answers so to what no probe asks."""

    def fault(asked: Asked) -> tuple[int, str] | None:
        hit = asked.operation == operation and ".scraper/probe" not in asked.path
        return (status, code) if hit else None

    return Front(server.url, fault)


def test_what_was_stored_is_read_in_chunks(sink: S3Sink) -> None:
    content = Random(1).randbytes(3 * MIB + 1)
    store(sink, "a/b", content)
    found = sink.get("a/b")
    assert found is not None
    entry, chunks = found
    read = list(chunks)
    assert b"".join(read) == content
    assert max(map(len, read)) <= MIB
    assert (entry.key, entry.size) == ("a/b", len(content))


def test_reading_what_is_not_there_gives_nothing(sink: S3Sink) -> None:
    assert sink.get("none") is None


def test_a_list_is_of_keys_below_the_prefix_in_order(sink: S3Sink, server: S3Server) -> None:
    for key in ("b/2", "b/1", "bc", "a"):
        store(sink, key, key.encode())
    server.client.put_object(Bucket=sink.bucket, Key="elsewhere", Body=b"")
    assert [(entry.key, entry.size) for entry in sink.list("")] == [
        ("a", 1),
        ("b/1", 3),
        ("b/2", 3),
        ("bc", 2),
    ]
    assert [entry.key for entry in sink.list("b/")] == ["b/1", "b/2"]
    assert list(sink.list("none/")) == []


def test_a_list_goes_on_over_every_page(moto_server: S3Server) -> None:
    sink = S3Sink(moto_server.make_bucket(), "", moto_server.options())
    sink.check()
    keys = [f"{number:04}" for number in range(1001)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: store(sink, key, b""), keys))
    assert [entry.key for entry in sink.list("")] == keys
    sink.close()


@pytest.mark.parametrize("answer", [(503, "SlowDown"), (CUT, "")])
def test_a_list_goes_on_behind_a_page_that_failed(
    moto_server: S3Server, s3_client: str, answer: tuple[int, str]
) -> None:
    bucket = moto_server.make_bucket()
    keys = [f"{number:04}" for number in range(1001)]
    for key in keys:
        moto_server.put(bucket, key, b"")
    left = [answer]

    def fault(asked: Asked) -> tuple[int, str] | None:
        return left.pop() if "continuation-token" in asked.path and left else None

    with Front(moto_server.url, fault) as front:
        sink = S3Sink(bucket, "", front.options(client=s3_client))
        sink.check()
        assert [entry.key for entry in sink.list("")] == keys
        sink.close()
    assert left == []


def test_what_is_deleted_is_gone_and_may_be_deleted_again(sink: S3Sink) -> None:
    store(sink, "a", b"x")
    sink.remove("a")
    sink.remove("a")
    assert sink.get("a") is None


def test_the_first_to_create_wins(moto_server: S3Server, s3_client: str) -> None:
    sink = S3Sink(moto_server.make_bucket(), "p", moto_server.options(client=s3_client))
    sink.check()
    with ThreadPoolExecutor(8) as pool:
        etags = list(pool.map(lambda n: sink.put_if("lease", b"%d" % n, None), range(8)))
    winners = [number for number, etag in enumerate(etags) if etag is not None]
    assert len(winners) == 1
    found = sink.get("lease")
    assert found is not None
    assert b"".join(found[1]) == b"%d" % winners[0]
    assert found[0].etag == etags[winners[0]]
    sink.close()


def test_an_update_needs_the_etag_that_is_there(moto_server: S3Server, s3_client: str) -> None:
    sink = S3Sink(moto_server.make_bucket(), "p", moto_server.options(client=s3_client))
    sink.check()
    first = sink.put_if("lease", b"1", None)
    second = sink.put_if("lease", b"2", first)
    assert second not in {None, first}
    assert sink.put_if("lease", b"3", first) is None
    sink.remove("lease")
    assert sink.put_if("lease", b"3", second) is None, "what is gone has no etag"
    assert sink.put_if("lease", b"3", None) is not None
    sink.close()


def test_an_endpoint_that_ignores_conditions_always_writes(rclone_server: S3Server) -> None:
    sink = S3Sink(rclone_server.make_bucket(), "p", rclone_server.options())
    sink.check()
    assert sink.put_if("lease", b"1", None) is not None
    assert sink.put_if("lease", b"2", None) is not None, "so a lock must look for that"
    sink.close()


@pytest.mark.parametrize(
    ("status", "code"), [(412, "PreconditionFailed"), (409, "ConditionalRequestConflict")]
)
def test_who_was_quicker_is_no_error(status: int, code: str, moto_server: S3Server) -> None:
    bucket = moto_server.make_bucket()
    moto_server.client.put_object(Bucket=bucket, Key="lease", Body=b"theirs")
    with refusing(moto_server, status, code) as front:
        sink = S3Sink(bucket, "", front.options(client="boto3"))
        sink.check()
        assert sink.put_if("lease", b"", None) is None
        assert sink.put_if("lease", b"", '"etag"') is None
        assert moto_server.read(bucket, "lease") == b"theirs"
        sink.close()


@pytest.mark.parametrize(
    ("answer", "forms"),
    [
        ({'"': 412}, ['"', "bare"]),
        ({'"': 412, "bare": 412}, ['"', "bare", "none"]),
        ({'"': 412, "bare": 501}, ['"', "bare", "none"]),
        ({'"': 501, "bare": 501}, ['"', "bare", "none"]),
    ],
    ids=["radosgw", "412 to all", "412 and 501", "501 to all"],
)
def test_a_condition_that_holds_and_is_refused_is_asked_otherwise_and_that_is_remembered(
    answer: dict[str, int], forms: list[str], moto_server: S3Server
) -> None:
    """radosgw 16 answers 412 to the right ETag in quotes, and takes it without them."""

    def form(asked: Asked) -> str:
        said = asked.headers.get("if-match")
        return "none" if said is None else '"' if said.startswith('"') else "bare"

    def fault(asked: Asked) -> tuple[int, str] | None:
        status = answer.get(form(asked), 0) if asked.operation == "PUT" else 0
        code = "PreconditionFailed" if status == 412 else "NotImplemented"
        return (status, code) if status else None

    bucket = moto_server.make_bucket()
    with Front(moto_server.url, fault) as front:
        sink = S3Sink(bucket, "", front.options(client="boto3"))
        sink.check()
        first = sink.put_if("lease", b"1", None)
        asked = len(front.asked)
        second = sink.put_if("lease", b"2", first)
        assert second is not None
        assert [form(one) for one in front.asked[asked:] if one.operation == "PUT"] == forms
        asked = len(front.asked)
        assert sink.put_if("lease", b"3", first) is None, "it has another ETag now"
        assert sink.put_if("lease", b"3", second) is not None
        assert {form(one) for one in front.asked[asked:] if one.operation == "PUT"} == {forms[-1]}
        assert moto_server.read(bucket, "lease") == b"3"
        sink.close()


def test_a_put_that_is_refused_as_not_new_though_it_is_goes_through(moto_server: S3Server) -> None:
    def fault(asked: Asked) -> tuple[int, str] | None:
        return (412, "PreconditionFailed") if "if-none-match" in asked.headers else None

    bucket = moto_server.make_bucket()
    with Front(moto_server.url, fault) as front:
        sink = S3Sink(bucket, "", front.options(client="boto3"))
        sink.check()
        assert sink.put_if("lease", b"1", None) is not None
        assert sink.put_if("lease", b"2", None) is None
        assert moto_server.read(bucket, "lease") == b"1"
        sink.close()


@pytest.mark.parametrize("etag", [None, '"etag"'])
def test_a_condition_that_is_refused_otherwise_is_an_error(
    etag: str | None, moto_server: S3Server
) -> None:
    bucket = moto_server.make_bucket()
    for status, code in ((400, "InvalidArgument"), (409, "OperationAborted"), (503, "SlowDown")):
        with refusing(moto_server, status, code) as front:
            sink = S3Sink(bucket, "", front.options(client="boto3"))
            sink.check()
            with pytest.raises(SinkError, match=f"can't store 'lease': {code}"):
                sink.put_if("lease", b"", etag)
            sink.close()


def test_conditions_that_an_endpoint_can_not_judge_are_judged_here(moto_server: S3Server) -> None:
    def knows_none(asked: Asked) -> tuple[int, str] | None:
        conditional = asked.headers.keys() & {"if-match", "if-none-match"}
        return (501, "NotImplemented") if conditional else None

    with Front(moto_server.url, knows_none) as front:
        sink = S3Sink(moto_server.make_bucket(), "p", front.options())
        sink.check()
        assert sink.put_if("lease", b"0", '"none"') is None
        first = sink.put_if("lease", b"1", None)
        assert first is not None
        assert sink.put_if("lease", b"2", None) is None
        assert sink.put_if("lease", b"2", first) is not None
        assert sink.put_if("lease", b"3", first) is None
        sink.close()


def test_what_reading_meets_is_an_error_of_the_sink(moto_server: S3Server) -> None:
    bucket = moto_server.make_bucket()
    with refusing(moto_server, 503, "SlowDown", "GET") as front:
        sink = S3Sink(bucket, "", front.options(client="boto3"))
        sink.check()
        with pytest.raises(SinkError, match="can't read 'k': SlowDown") as caught:
            sink.get("k")
        assert caught.value.transient
        with pytest.raises(SinkError, match="can't list 'k': SlowDown"):
            list(sink.list("k"))
        sink.close()
    with refusing(moto_server, 404, "NoSuchBucket", "GET") as front:
        sink = S3Sink(bucket, "", front.options(client="boto3"))
        sink.check()
        with pytest.raises(DestinationError, match="there is no such bucket"):
            sink.get("k")
        sink.close()


def test_what_breaks_off_while_it_is_read_is_an_error_of_the_sink() -> None:
    def answer(request: Request) -> Reply:
        if request.method != "GET":
            return Reply()
        head = {"ETag": '"x"', "Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"}
        return Reply(200, head | {"Content-Length": str(2 * MIB)}, b"x" * (2 * MIB - 1), close=True)

    with HttpServer(answer) as server:
        sink = S3Sink("b", "", SinkOptions(s3=S3(client="boto3", endpoint=server.url)))
        sink.check()
        found = sink.get("k")
        assert found is not None
        assert len(next(found[1])) == MIB
        with pytest.raises(SinkError, match="can't read 'k': the connection") as caught:
            list(found[1])
        assert caught.value.transient
        sink.close()


def test_records_of_our_own_are_kept_in_the_usual_storage_class(
    moto_server: S3Server, s3_client: str
) -> None:
    bucket = moto_server.make_bucket()
    options = moto_server.options(client=s3_client, storage_class="GLACIER", sse="AES256")
    sink = S3Sink(bucket, "p", options)
    sink.check()
    store(sink, "page", b"x")
    store(sink, ".scraper/manifest-1.jsonl", b"x")
    sink.put_if(".scraper/lease", b"x", None)
    sink.close()
    kept = {}
    for key in moto_server.keys(bucket):
        head = moto_server.client.head_object(Bucket=bucket, Key=key)
        kept[key] = head.get("StorageClass")
        assert head["ServerSideEncryption"] == "AES256"
    assert kept == {
        "p/page": "GLACIER",
        "p/.scraper/manifest-1.jsonl": None,
        "p/.scraper/lease": None,
    }


@pytest.mark.parametrize(
    ("url", "authorization", "way"),
    [
        (
            "https://b.s3.eu-west-1.amazonaws.com/p/%C3%A9%20x/probe",
            b"AWS4-HMAC-SHA256 Credential=AK/ID/20260101/eu-west-1/s3/aws4_request, SignedHeaders",
            Way("https://b.s3.eu-west-1.amazonaws.com", "eu-west-1"),
        ),
        (
            "http://u:secret@h:9000/b/p/%C3%A9%20x/probe",
            "AWS4-HMAC-SHA256 Credential=AK/20260101/auto/s3/aws4_request,SignedHeaders=host",
            Way("http://h:9000/b", "auto"),
        ),
        (
            "https://b--x-s3.s3express-x.eu-west-1.amazonaws.com/p/%C3%A9%20x/probe",
            "AWS4-HMAC-SHA256 Credential=AK/20260101/eu-west-1/s3express/aws4_request, Signed",
            Way(),
        ),
        (
            "https://m.accesspoint.s3-global.amazonaws.com/p/%C3%A9%20x/probe",
            "AWS4-ECDSA-P256-SHA256 Credential=AK/20260101/s3/aws4_request, SignedHeaders",
            Way(),
        ),
        (
            "https://b.example/p/another",
            "AWS4-HMAC-SHA256 Credential=AK/20260101/auto/s3/aws4_request, SignedHeaders",
            Way(),
        ),
    ],
)
def test_the_way_to_a_bucket_is_read_off_a_request(
    url: str, authorization: str | bytes, way: Way
) -> None:
    assert way_of(url, authorization, "p/é x/probe") == way


@pytest.mark.parametrize(
    ("sse", "parsed"),
    [
        ("AES256", ("AES256", None)),
        ("aws:kms", ("aws:kms", None)),
        ("aws:kms:dsse", ("aws:kms:dsse", None)),
        ("aws:kms:arn:aws:kms:x:key/1", ("aws:kms", "arn:aws:kms:x:key/1")),
        ("aws:kms:dsse:key", ("aws:kms:dsse", "key")),
    ],
)
def test_encryption_is_an_algorithm_and_perhaps_a_key(
    sse: str, parsed: tuple[str, str | None]
) -> None:
    assert parse_sse(sse) == parsed


def test_one_bucket_is_asked_by_whole_keys(moto_server: S3Server) -> None:
    bucket = Bucket(moto_server.make_bucket(), moto_server.options())
    way = bucket.probe("k", [Facts(sha256(b"").hexdigest())]).way
    assert way == Way(f"{moto_server.url}/{bucket.name}", "us-east-1", moto_server.url)
    assert [entry.key for entry in bucket.list("")] == ["k"]
    bucket.close()


def test_nothing_is_sent_over_a_connection_that_took_longer_than_the_lease(
    moto_server: S3Server,
) -> None:
    """The lease is looked at before boto3 makes a connection, and once more when it is there."""
    name = moto_server.make_bucket()
    with Front(moto_server.url, lambda _: None) as front:
        bucket = Bucket(name, front.options(client="boto3"))
        looks = iter([True, False])
        bucket.fence(lambda: next(looks))
        with pytest.raises(S3Error):
            bucket.put_if("k", b"x", None)
        assert next(looks, None) is None
        assert bucket.get("k") is None
        bucket.close()
        assert {one.operation for one in front.asked} == {"GET"}
