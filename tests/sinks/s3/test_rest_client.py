"""Small requests to S3 by libcurl: they are answered as boto3's are, and boto3 makes the others."""

import subprocess
import sys
from random import Random
from typing import Any

import pytest

from scraper.model.settings import S3
from scraper.sinks.base import SinkOptions
from scraper.sinks.curl_call import MOST_BYTES
from scraper.sinks.s3.bucket import Bucket
from scraper.sinks.s3.errors import S3Error
from scraper.sinks.s3.listing import parse_list
from scraper.sinks.s3.sink import S3Sink
from scraper.testing import store
from tests.s3servers import Asked, Front, S3Server
from tests.servers import Reply, Serve, closed_port

pytestmark = pytest.mark.usefixtures("aws")
KEYS = ["a/b c", "a/é", "a/%2F+&=#?", "a/" + "x" * 250, "b'()!*~"]


@pytest.fixture
def bucket(server: S3Server) -> Any:
    made = Bucket(server.make_bucket(), server.options())
    assert made.by_libcurl
    yield made
    made.close()


def agent(asked: Asked) -> str:
    return "boto3" if "boto" in asked.headers.get("user-agent", "").lower() else "libcurl"


def test_both_clients_answer_the_same(server: S3Server, bucket: Bucket) -> None:
    client = bucket._s3
    for key in KEYS:
        data = key.encode() * 3
        where: Any = {"Bucket": bucket.name, "Key": key}
        made = client.put_object(**where, Body=data, Metadata={"sha256": "x"}, ContentType="a/b")
        told = server.client.head_object(**where)
        assert made["ETag"] == told["ETag"]
        mine = client.head_object(**where)
        assert {name: mine[name] for name in ("ETag", "ContentLength")} == {
            name: told[name] for name in ("ETag", "ContentLength")
        }
        assert {k.lower(): v for k, v in told["Metadata"].items()} == mine["Metadata"]
        read = client.get_object(**where)
        assert b"".join(read["Body"].iter_chunks(7)) == data
        assert read["LastModified"] == server.client.get_object(**where)["LastModified"]
    listed = client.list_objects_v2(Bucket=bucket.name, Prefix="a/")["Contents"]
    expected = server.client.list_objects_v2(Bucket=bucket.name, Prefix="a/")["Contents"]
    for name in ("Key", "Size", "ETag"):
        assert [found[name] for found in listed] == [found[name] for found in expected]
    seconds = [found["LastModified"].replace(microsecond=0) for found in listed]
    assert seconds == [found["LastModified"].replace(microsecond=0) for found in expected]
    for key in KEYS:
        bucket.delete(key)
    assert list(bucket.list("")) == []


def test_a_list_goes_on_over_every_page(moto_server: S3Server) -> None:
    bucket = Bucket(moto_server.make_bucket(), moto_server.options())
    client: Any = bucket._s3
    for key in KEYS:
        client.put_object(Bucket=bucket.name, Key=key, Body=b"")
    seen: list[str] = []
    asked: dict[str, Any] = {"Bucket": bucket.name, "Prefix": "", "MaxKeys": 2}
    while True:
        page = client.list_objects_v2(**asked)
        seen += [found["Key"] for found in page["Contents"]]
        if not page["IsTruncated"]:
            break
        asked["ContinuationToken"] = page["NextContinuationToken"]
    assert seen == sorted(KEYS, key=str.encode)
    bucket.close()


def test_what_is_large_is_read_by_boto3(moto_server: S3Server) -> None:
    with Front(moto_server.url, lambda _: None) as front:
        bucket = Bucket(moto_server.make_bucket(), front.options())
        content = Random(1).randbytes(MOST_BYTES + 1)
        for key, body in (("exact", content[:-1]), ("large", content)):
            moto_server.client.put_object(Bucket=bucket.name, Key=key, Body=body)
            found = bucket.get(key)
            assert found is not None
            assert found[0].size == len(body)
            assert b"".join(found[1]) == body
        assert [agent(asked) for asked in front.asked] == ["libcurl", "libcurl", "boto3"]
        bucket.close()


def test_small_requests_are_libcurls_and_files_are_boto3s(moto_server: S3Server) -> None:
    with Front(moto_server.url, lambda _: None) as front:
        sink = S3Sink(moto_server.make_bucket(), "p", front.options())
        sink.check()
        sink.put_if("lease", b"1", None)
        sink.get_small("lease")
        assert list(sink.keys()) == ["lease"]
        store(sink, "small", b"x")
        assert {agent(asked) for asked in front.asked} == {"libcurl"}
        front.asked.clear()
        store(sink, "large", b"x" * (9 << 20))
        assert {agent(asked) for asked in front.asked} == {"boto3"}
        sink.close()


@pytest.mark.parametrize("client", ["auto", "curl"])
def test_a_bucket_in_another_region_is_asked_there_by_boto3_first(
    client: str, moto_server: S3Server
) -> None:
    """moto is in any region. The front wants another one, as Amazon says it."""

    def elsewhere(asked: Asked) -> tuple[int, str] | None:
        here = "/eu-west-3/" in asked.headers.get("authorization", "")
        return None if here else (400, "AuthorizationHeaderMalformed")

    name = moto_server.make_bucket()
    with Front(moto_server.url, elsewhere) as front:
        sink = S3Sink(name, "", front.options(client=client))
        with pytest.raises(Exception, match="wrong region"):
            sink.check()
        assert {agent(asked) for asked in front.asked} == {"libcurl", "boto3"}
        sink.close()


def test_who_only_reads_falls_back_to_boto3_too(moto_server: S3Server) -> None:
    def refuses_libcurl(asked: Asked) -> tuple[int, str] | None:
        return (403, "AccessDenied") if agent(asked) == "libcurl" else None

    name = moto_server.make_bucket()
    moto_server.client.put_object(Bucket=name, Key="k", Body=b"x")
    with Front(moto_server.url, refuses_libcurl) as front:
        sink = S3Sink(name, "", front.options())
        sink.reach()
        assert list(sink.keys()) == ["k"]
        sink.close()


def test_what_boto3_would_meet_too_is_told_of_what_libcurl_met(serve: Serve) -> None:
    server = serve(lambda _: Reply(307, {"Location": "https://s3.example.com/"}))
    bucket = Bucket("b-1", SinkOptions(s3=S3(endpoint=server.url)))
    with pytest.raises(S3Error, match=r"redirects to https://s3\.example\.com"):
        bucket.reach("")
    assert server.total == 1
    bucket.close()


def test_an_endpoint_that_is_gone_is_told_by_boto3() -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    bucket = Bucket("b-1", SinkOptions(s3=S3(endpoint=url)))
    with pytest.raises(S3Error, match=f"can't connect to {url}"):
        bucket.reach("")
    bucket.close()


def test_a_run_that_puts_small_objects_makes_no_client_of_boto3(moto_server: S3Server) -> None:
    script = f"""
import sys
from scraper.model.settings import S3
from scraper.sinks.base import SinkOptions
from scraper.sinks.s3.sink import S3Sink
from scraper.testing import store
sink = S3Sink({moto_server.make_bucket()!r}, "", SinkOptions(s3=S3(endpoint={moto_server.url!r})))
sink.check()
store(sink, "k", b"x")
sink.close()
print(sink.client, *sys.modules)
"""
    ran = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout.split()
    assert ran[0] == "curl"
    assert {"boto3", "s3transfer"} & set(ran) == set()
    assert "botocore.session" in ran


# ---------------------------------------------------------------- a list as XML

NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
FOUND = (
    "<Contents><Key>a%20b</Key><LastModified>2026-11-28T01:02:03.000Z</LastModified>"
    "<ETag>&quot;1&quot;</ETag><Size>3</Size><Owner><ID>1</ID></Owner></Contents>"
)


def listed(text: str) -> dict[str, Any]:
    return parse_list(text.encode(), "http://h")


def test_keys_are_decoded_only_where_the_answer_says_that_they_are_coded() -> None:
    body = f"<ListBucketResult {NAMESPACE}><IsTruncated>false</IsTruncated>{FOUND}"
    (plain,) = listed(f"{body}</ListBucketResult>")["Contents"]
    (coded,) = listed(f"{body}<EncodingType>url</EncodingType></ListBucketResult>")["Contents"]
    assert (plain["Key"], coded["Key"]) == ("a%20b", "a b")
    assert (plain["Size"], plain["ETag"]) == (3, '"1"')
    assert plain["LastModified"].isoformat() == "2026-11-28T01:02:03+00:00"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html><br></html>",
        "<ListBucketResult>",
        f"<ListBucketResult>{FOUND.replace('<Size>3', '<Size>x')}</ListBucketResult>",
        f"<ListBucketResult>{FOUND.replace('2026-', '')}</ListBucketResult>",
        f"<ListBucketResult>{FOUND.replace('Key>', 'Name>')}</ListBucketResult>",
        '<!DOCTYPE l [<!ENTITY a "aaaa">]><ListBucketResult>&a;</ListBucketResult>',
    ],
)
def test_what_is_no_list_is_an_error_of_one_line(text: str) -> None:
    with pytest.raises(S3Error, match="http://h answers no list of objects") as caught:
        listed(text)
    assert caught.value.fatal
