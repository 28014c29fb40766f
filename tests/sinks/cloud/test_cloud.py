"""gs:// and az://: what is stored, on which conditions, what is listed, what leaves nothing."""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from random import Random
from threading import Barrier
from typing import Any

import pytest

from scraper.model.errors import DestinationError, Fenced, ListError, SinkError, UsageError
from scraper.model.records import Response
from scraper.model.settings import S3
from scraper.sinks.base import Body, SinkOptions
from scraper.sinks.cloud import open_object
from scraper.sinks.cloud.sink import open_sink
from scraper.sinks.objects.sink import ObjectSink
from scraper.sinks.objects.sizes import MIB, USUAL, Sizes
from scraper.testing import store
from tests.azurite import Azurite
from tests.gcs import Gcs
from tests.s3servers import CUT, LOST, Asked, Fault, Front, Refusal

SMALL_PARTS = Sizes(memory=1000, part_threshold=6 * MIB, part=5 * MIB)
IN_PARTS = Random(1).randbytes(11_000_000)  # three parts
Server = Gcs | Azurite
Made = Callable[..., ObjectSink]


@pytest.fixture(autouse=True)
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go, this test's alone."""
    path = tmp_path / "temporary"
    path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    return path


@pytest.fixture
def sink_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    """Makes sinks that are closed in the end: by way of `front`, checked."""
    made: list[ObjectSink] = []

    def make(
        server: Server, bucket: str, front: Front | None = None, sizes: Sizes = USUAL
    ) -> ObjectSink:
        for name, value in server.environment(front.url if front else "").items():
            monkeypatch.setenv(name, value)
        sink = open_sink(f"{server.scheme}://{bucket}/p", SinkOptions(), sizes)
        made.append(sink)
        sink.check()
        return sink

    yield make
    for sink in made:
        sink.close()


def put(sink: ObjectSink, key: str, url: str, content_type: str | None) -> None:
    response = Response(200, url, content_type=content_type, content_encoding="gzip")
    upload = sink.open(key)
    upload.write(b"x")
    upload.commit(Body(url, 1.5, 1, sha256(b"x").hexdigest(), response))


# ---------------------------------------------------------------- what is stored


@pytest.mark.parametrize("size", [0, 1000, 11_000_000])
def test_bytes_and_what_is_told_of_them_are_kept_whatever_the_size(
    cloud_server: Server, size: int, sink_in: Made
) -> None:
    bucket = cloud_server.make_bucket()
    content = Random(size).randbytes(size)
    sink = sink_in(cloud_server, bucket, sizes=SMALL_PARTS)
    store(sink, "k", content)
    assert cloud_server.read(bucket, "p/k") == content
    told = cloud_server.headers(bucket, "p/k")
    assert told["content-type"] == "text/html; charset=utf-8"
    assert told["sourceurl"] == "http://example.com/page"
    assert told["sha256"] == sha256(content).hexdigest()
    stat = sink.object_stat("k")
    assert stat is not None
    assert (stat.size, stat.sha256) == (size, sha256(content).hexdigest())
    assert cloud_server.keys(bucket) == {"p/k"}, "the probe is gone"
    assert cloud_server.unfinished(bucket) == []


@pytest.mark.parametrize(
    "url", ["http://a/" + "x" * 5000, "http://a/" + "é" * 900, "http://a/ ä b\t日本 "]
)
def test_what_is_told_is_visible_ascii_and_never_costs_the_bytes(
    cloud_server: Server, url: str, sink_in: Made
) -> None:
    """obstore panics at some of what else there is; Azure says 403 to a blank at a value's end."""
    bucket = cloud_server.make_bucket()
    sink = sink_in(cloud_server, bucket)
    for content_type in ("text/html; x=" + "v" * 6900, "text/html ", "text/\xe9", "a\nb", "", None):
        put(sink, "k", url, content_type)
        told = cloud_server.headers(bucket, "p/k")
        assert told["sourceurl"].isascii()
        assert len(told["sourceurl"]) <= 1024
        assert told["content-encoding"] == "gzip"
        if content_type and content_type.startswith("text/html"):
            assert told["content-type"] == "text/html"


def test_odd_keys_come_back_and_are_listed(cloud_server: Server, sink_in: Made) -> None:
    keys = {
        "a b+c",
        "%2F/%C3%A9",
        "é/ß",
        "'()!*~=&",
        "x/\uff5e",
        "x/\U0001f600",
        "d./e",
        "q?a#b;,@:$",
    }
    bucket = cloud_server.make_bucket()
    sink = sink_in(cloud_server, bucket)
    for key in keys:
        store(sink, key, key.encode())
    assert cloud_server.keys(bucket) == {f"p/{key}" for key in keys}
    assert {key: b"".join(sink.read(key)).decode() for key in keys} == {key: key for key in keys}
    assert set(sink.keys()) == keys
    sizes = {found.key: found.size for found in sink.listing("x/")}
    assert sizes == {key: len(key.encode()) for key in keys if key[0] == "x"}


def test_a_list_of_several_pages_is_whole(gs_server: Gcs, sink_in: Made) -> None:
    bucket = gs_server.make_bucket()
    for number in range(2_005):
        gs_server.put(bucket, f"p/k{number}", b"")
    assert len(set(sink_in(gs_server, bucket).keys())) == 2_005


def test_a_list_goes_on_behind_a_page_that_failed(gs_server: Gcs, sink_in: Made) -> None:
    bucket = gs_server.make_bucket()
    for number in range(2_005):
        gs_server.put(bucket, f"p/k{number}", b"")
    left = [Refusal(503, "ServiceUnavailable"), Refusal(503, "ServiceUnavailable")]

    def fault(asked: Asked) -> Refusal | None:
        return left.pop() if "continuation-token" in asked.path and left else None

    with Front(gs_server.url, fault) as front:
        told = list(sink_in(gs_server, bucket, front).keys())
    assert (len(told), len(set(told)), left) == (2_005, 2_005, [])


def test_a_list_that_cannot_be_read_to_its_end_is_an_error(gs_server: Gcs, sink_in: Made) -> None:
    """A key of another program ends obstore's list. Our own directory is listed all the same."""
    bucket = gs_server.make_bucket()
    gs_server.put(bucket, "p/line\nfeed", b"x")
    sink = sink_in(gs_server, bucket)
    store(sink, ".scraper/manifest-1", b"x")
    with pytest.raises(SinkError, match="can't list '': obstore reads no such key") as caught:
        list(sink.keys())
    assert not caught.value.transient
    assert list(sink.keys(".scraper/manifest-")) == [".scraper/manifest-1"]


# ---------------------------------------------------------------- conditions


def test_a_small_object_is_put_on_a_condition(cloud_server: Server, sink_in: Made) -> None:
    sink = sink_in(cloud_server, cloud_server.make_bucket())
    first = sink.put_if("k", b"1", None)
    assert first is not None
    assert sink.put_if("k", b"2", None) is None, "there is one"
    found = sink.get_small("k")
    assert found is not None
    assert (found.data, found.etag) == (b"1", first)
    second = sink.put_if("k", b"2", first)
    assert second not in {None, first}
    assert sink.put_if("k", b"3", first) is None, "it is another one now"
    assert sink.put_if("none", b"3", second) is None, "there is none"
    sink.remove("k")
    assert sink.put_if("k", b"3", second) is None
    assert sink.get_small("k") is None
    sink.remove("k")  # harmless


def test_of_several_that_put_at_once_one_wins(cloud_server: Server, sink_in: Made) -> None:
    sink = sink_in(cloud_server, cloud_server.make_bucket())
    barrier = Barrier(5)

    def puts(key: str) -> bool:
        barrier.wait()
        return sink.put_if(key, b"x", None) is not None

    with ThreadPoolExecutor(5) as pool:
        won = [sum(pool.map(puts, [f"k{number}"] * 5)) for number in range(8)]
    assert won == [1] * 8


# ---------------------------------------------------------------- what leaves nothing


def on(operation: str, number: int, answer: Any) -> Fault:
    return lambda asked: answer if (asked.operation, asked.number) == (operation, number) else None


def is_of_parts(asked: Asked) -> bool:
    return "partNumber=" in asked.path or "comp=block&" in asked.path


@pytest.mark.parametrize("answer", [Refusal(500, "InternalError"), (CUT, ""), Refusal(403, "X")])
def test_an_upload_in_parts_that_fails_leaves_nothing(
    cloud_server: Server, answer: Refusal | tuple[int, str], sink_in: Made
) -> None:
    seen: list[Asked] = []

    def fault(asked: Asked) -> Refusal | tuple[int, str] | None:
        seen.extend([asked] * is_of_parts(asked))
        return answer if is_of_parts(asked) and len(seen) == 2 else None

    bucket = cloud_server.make_bucket()
    with Front(cloud_server.url, fault) as front:
        sink = sink_in(cloud_server, bucket, front, SMALL_PARTS)
        with pytest.raises((SinkError, DestinationError)) as caught:
            store(sink, "k", IN_PARTS)
    assert getattr(caught.value, "transient", False) == (answer[0] != 403)
    assert cloud_server.keys(bucket) == set()
    if isinstance(cloud_server, Gcs):  # Azure has no abort: it drops blocks nobody sees by itself
        assert cloud_server.unfinished(bucket) == []


def test_parts_end_when_the_lease_ran_out(cloud_server: Server, sink_in: Made) -> None:
    """Also between the last part and the request that makes the object visible."""
    bucket = cloud_server.make_bucket()
    holds = [True]

    def fault(asked: Asked) -> None:
        holds[0] &= not is_of_parts(asked)

    with Front(cloud_server.url, fault) as front:
        sink = sink_in(cloud_server, bucket, front, SMALL_PARTS)
        sink.fence(lambda: holds[0])
        with pytest.raises(Fenced):
            store(sink, "k", IN_PARTS)
        with pytest.raises(Fenced):
            store(sink, "small", b"x")
    assert cloud_server.keys(bucket) == set()


def test_gs_notices_bytes_that_are_damaged_on_the_way(gs_server: Gcs, sink_in: Made) -> None:
    """By the MD5 that its ETag is; what is stored is deleted, and put again."""
    bucket, damaged = gs_server.make_bucket(), [True]

    def alter(asked: Asked, body: bytes) -> bytes:
        return b"Y" + body[1:] if asked.path.endswith("p%2Fk") and damaged[0] else body

    with Front(gs_server.url, lambda _: None, alter=alter) as front:
        sink = sink_in(gs_server, bucket, front)
        with pytest.raises(SinkError, match="damaged on the way") as caught:
            store(sink, "k", b"x" * 100)
        assert caught.value.transient
        assert gs_server.keys(bucket) == set()
        damaged[0] = False
        store(sink, "k", b"x" * 100)
    assert gs_server.read(bucket, "p/k") == b"x" * 100


@pytest.mark.parametrize("answer", [Refusal(503, "ServerBusy"), (429, ""), (CUT, ""), (LOST, "")])
def test_a_put_that_may_succeed_later_is_asked_once_and_told_so(
    cloud_server: Server, answer: Refusal | tuple[int, str], sink_in: Made
) -> None:
    bucket = cloud_server.make_bucket()

    def fault(asked: Asked) -> Refusal | tuple[int, str] | None:
        return answer if asked.operation == "PUT" and asked.path.endswith("k") else None

    with Front(cloud_server.url, fault) as front:
        sink = sink_in(cloud_server, bucket, front)
        with pytest.raises(SinkError) as caught:
            store(sink, "k", b"x")
        assert caught.value.transient
        assert front.count("PUT") == 2, "the probe, and one attempt"
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- usage


@pytest.mark.parametrize(
    ("to", "options", "said"),
    [
        ("gs://", SinkOptions(), "names no bucket: gs://bucket/prefix"),
        ("az:///p", SinkOptions(), "names no container: az://container/prefix"),
        ("gs://b", SinkOptions(s3=S3(sse="AES256")), "--s3-sse is for s3://, not for gs://"),
        ("AZ://b", SinkOptions(s3=S3(storage_class="Cool")), "--s3-storage-class is for s3://"),
    ],
)
def test_wrong_usage_is_told(to: str, options: SinkOptions, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        open_sink(to, options)


def test_without_obstore_it_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(UsageError, match=r"needs obstore: pip install 'scraper\[fast\]'"):
        open_sink("gs://b/p", SinkOptions())
    with pytest.raises(ListError, match=r"it needs obstore: pip install 'scraper\[fast\]'"):
        open_object("az://b/p", SinkOptions())


def test_opening_a_sink_imports_nothing_heavy() -> None:
    script = (
        "import sys; from scraper.sinks.base import SinkOptions, find_sink;"
        "find_sink('GS://b/p', SinkOptions());"
        "sys.exit('obstore' in sys.modules or 'boto3' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("{}/none", "there is no such object"),
        ("no-such-bucket-at-all/k", "there is no such (bucket|container)"),
        ("{}/", r"it is not (gs://bucket|az://container)/key"),
    ],
)
def test_a_list_is_read_from_there_or_what_is_wrong_is_named(
    cloud_server: Server, path: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in cloud_server.environment().items():
        monkeypatch.setenv(name, value)
    bucket = cloud_server.make_bucket()
    cloud_server.put(bucket, "lists/urls.txt", b"http://a/\n" * 200_000)
    start = f"{cloud_server.scheme}://"
    with closing(open_object(f"{start}{bucket}/lists/urls.txt", SinkOptions())) as file:
        assert file.read() == b"http://a/\n" * 200_000
    url = start + path.format(bucket)
    with pytest.raises(ListError, match=f"can't open the list '{url}': {reason}"):
        open_object(url, SinkOptions())
