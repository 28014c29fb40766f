"""Puts into S3 that the curl engine carries beside its fetches."""

import gzip
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from scraper.engines.curl.engine import CurlEngine
from scraper.model.errors import DestinationError, Kind
from scraper.model.records import Failure, Stored
from scraper.model.settings import S3, Http
from scraper.sinks.base import SinkOptions
from scraper.sinks.objects.sizes import USUAL, Sizes
from scraper.sinks.s3 import errors as s3errors
from scraper.sinks.s3.curl_client import unfit
from scraper.sinks.s3.endpoint import Way
from scraper.sinks.s3.signed_requests import route_of
from scraper.sinks.s3.sink import S3Sink
from scraper.transfer.transfer import Transfer
from tests.conformance.engine_bench import PATIENT, Bench, failure
from tests.machine import patiently
from tests.s3servers import CUT, LOST, Asked, Fault, Front, Refusal, S3Server
from tests.servers import WAIT_S, Reply, Request, Serve, tls_context

pytestmark = pytest.mark.usefixtures("aws")
PROBE = ".scraper/probe"


def of_object(asked: Asked) -> bool:
    """Whether it puts one, and not the probe."""
    return asked.operation == "PUT" and PROBE not in asked.path


def each_object(answer: Refusal | tuple[int, str]) -> Fault:
    return lambda asked: answer if of_object(asked) else None


class Store:
    """A bucket behind a Front, and a bench whose engine stores in it."""

    def __init__(self, server: S3Server, bucket: str, front: Front, bench: Bench) -> None:
        self.server = server
        self.bucket = bucket
        self.front = front
        self.bench = bench

    def read(self, transfer: Transfer) -> bytes:
        """What was stored; fails if nothing was."""
        assert transfer.completion is not None
        assert isinstance(transfer.completion.outcome, Stored), transfer.completion.outcome
        found = self.server.read(self.bucket, f"p/{transfer.attempt.target.key}")
        assert found is not None
        return found

    def puts(self) -> list[Asked]:
        """Requests for objects so far."""
        return [asked for asked in self.front.asked if of_object(asked)]


MakeStore = Callable[..., Store]


@pytest.fixture
def store(tmp_path: Path, moto_server: S3Server) -> Iterator[MakeStore]:
    """Make a Store. `fault` is that of its Front."""
    with ExitStack() as stack:

        def make(fault: Fault = lambda _: None, sizes: Sizes = USUAL, at_once: int = 16) -> Store:
            bucket = moto_server.make_bucket()
            front = stack.enter_context(Front(moto_server.url, fault))
            sink = S3Sink(bucket, "p", front.options(client="curl"), sizes)
            bench = Bench(CurlEngine, tmp_path, PATIENT, Http(), sink=sink, max_concurrency=at_once)
            stack.callback(bench.close)
            assert sink.client == "curl"
            return Store(moto_server, bucket, front, bench)

        yield make


def held_put(store: MakeStore, serve: Serve) -> tuple[Store, Transfer, threading.Event]:
    """A transfer whose put is held by the store until the event is set."""
    put, go = threading.Event(), threading.Event()

    def waits(asked: Asked) -> None:
        if of_object(asked):
            put.set()
            assert go.wait(WAIT_S)

    made, server = store(waits), serve({"/": b"page"})
    transfer = made.bench.start(f"{server.url}/")
    made.bench.poll_until(put.is_set)
    return made, transfer, go


# ---------------------------------------------------------------- who puts


def test_no_thread_puts_what_is_in_memory(store: MakeStore, serve: Serve) -> None:
    """All puts are under way at once, and the pool has no more than its first thread."""
    all_there, go = threading.Barrier(9), threading.Event()

    def waits(asked: Asked) -> None:
        if of_object(asked):
            all_there.wait(WAIT_S)
            assert go.wait(WAIT_S)

    made, server = store(waits, at_once=8), serve({"/": b"page"})
    transfers = [made.bench.start(f"{server.url}/") for _ in range(8)]

    def watch() -> None:
        all_there.wait(WAIT_S)
        threads.append(sum(one.name.startswith("commit") for one in threading.enumerate()))
        go.set()

    threads: list[int] = []
    before = sum(one.name.startswith("commit") for one in threading.enumerate())
    watching = threading.Thread(target=watch)
    watching.start()
    made.bench.wait(*transfers)
    watching.join()
    assert threads == [before]
    assert {made.read(transfer) for transfer in transfers} == {b"page"}


def test_a_transfer_ends_only_when_its_object_is_stored(store: MakeStore, serve: Serve) -> None:
    made, transfer, go = held_put(store, serve)
    assert transfer.completion is None
    go.set()
    made.bench.wait(transfer)
    assert made.read(transfer) == b"page"


@pytest.mark.parametrize("size", [0, 1, 70_000, 1_000_000, 3_000_000])
def test_bodies_of_every_size_arrive(store: MakeStore, serve: Serve, size: int) -> None:
    """Those above a megabyte have a thread for their digest, and above the limit a file."""
    made = store(sizes=Sizes(memory=2_000_000))
    body = bytes(range(251)) * (size // 251) + bytes(size % 251)
    server = serve({"/": body})
    assert made.read(made.bench.fetch(f"{server.url}/")) == body
    (put,) = made.puts()
    assert put.headers["user-agent"].startswith("scraper/") is (size < 2_000_000)
    assert "expect" not in put.headers or size >= 2_000_000


def test_a_coded_body_is_stored_as_it_was_meant(store: MakeStore, serve: Serve) -> None:
    made = store()
    coded = gzip.compress(b"page" * 1000)
    whole, cut = Reply(200, {"Content-Encoding": "gzip"}, coded), coded[:-9]
    server = serve({"/": whole, "/cut": Reply(200, {"Content-Encoding": "gzip"}, cut)})
    assert made.read(made.bench.fetch(f"{server.url}/")) == b"page" * 1000
    assert failure(made.bench.fetch(f"{server.url}/cut")).kind is Kind.TRUNCATED
    assert len(made.puts()) == 1


def test_a_connection_is_kept_for_the_next_put(store: MakeStore, serve: Serve) -> None:
    made, server = store(), serve({"/": b"page"})
    made.bench.fetch(f"{server.url}/")
    before = len(made.front.connections)
    for _ in range(5):
        made.bench.fetch(f"{server.url}/")
    assert len(made.front.connections) == before


# ---------------------------------------------------------------- what its end means


@pytest.mark.parametrize(
    ("fault", "transient", "said"),
    [
        ((503, "SlowDown"), True, "SlowDown: as the test wants"),
        ((500, "InternalError"), True, "InternalError: as the test wants"),
        ((400, "RequestTimeout"), True, "RequestTimeout: as the test wants"),
        ((408, "408"), True, "408: as the test wants"),
        ((400, "KeyTooLongError"), False, "KeyTooLongError: as the test wants"),
        ((CUT, ""), True, "broke"),
        ((LOST, ""), True, "broke"),
    ],
)
def test_an_object_is_refused_for_now_or_for_good(
    store: MakeStore, serve: Serve, fault: tuple[int, str], transient: bool, said: str
) -> None:
    made, server = store(each_object(fault)), serve({"/": b"page"})
    transfer = made.bench.fetch(f"{server.url}/")
    found = failure(transfer)
    assert (found.kind, found.transient) == (Kind.SINK, transient)
    key = transfer.attempt.target.key
    assert found.message.startswith(f"can't store {key!r}: ")
    if fault[0] > 0:
        assert found.message.endswith(said)
    else:
        assert f"the connection to {made.front.url} broke" in found.message
    assert len(made.puts()) == 1, "one attempt: retrying is the frontier's"


def test_the_wait_that_s3_asks_for_is_passed_on(store: MakeStore, serve: Serve) -> None:
    busy = Refusal(503, "SlowDown", headers={"Retry-After": "7"})
    made, server = store(each_object(busy)), serve({"/": b"page"})
    found: Failure = failure(made.bench.fetch(f"{server.url}/"))
    assert found.retry_after_s == 7


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Refusal(403, "AccessDenied"), "s3:PutObject is denied on "),
        (Refusal(404, "NoSuchBucket"), "there is no such bucket"),
        (Refusal(400, "ExpiredToken"), "ExpiredToken: as the test wants"),
        (
            Refusal(301, "Moved", headers={"Location": "https://other.example/x?secret=1"}),
            "the endpoint redirects to https://other.example/x",
        ),
        (
            Refusal(301, "PermanentRedirect", headers={"x-amz-bucket-region": "eu-west-3"}),
            "wrong region: the bucket is in eu-west-3 (PermanentRedirect)",
        ),
    ],
)
def test_what_every_object_would_meet_ends_the_run(
    store: MakeStore, serve: Serve, answer: Refusal, said: str
) -> None:
    made, server = store(each_object(answer)), serve({"/": b"page"})
    completion = made.bench.fetch(f"{server.url}/").completion
    assert completion is not None
    assert isinstance(completion.error, DestinationError)
    text = str(completion.error)
    assert text.startswith(f"s3://{made.bucket} takes no more objects: ")
    assert said in text
    assert "secret=1" not in text


def test_a_put_that_is_not_answered_in_time_fails(
    moto_server: S3Server, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve({"/": b"page"})

    def trial(times: int) -> str:
        """What is said; "" if even the probe was late."""
        over = threading.Event()
        monkeypatch.setattr(s3errors, "READ_TIMEOUT_S", 0.5 * times)

        def is_silent(asked: Asked) -> None:
            if of_object(asked):
                over.wait(WAIT_S)

        with Front(moto_server.url, is_silent) as front:
            sink = S3Sink(moto_server.make_bucket(), "", front.options(client="curl"))
            try:
                bench = Bench(CurlEngine, tmp_path, PATIENT, Http(), sink=sink)
            except DestinationError:
                return ""
            found = failure(bench.fetch(f"{server.url}/"))
            over.set()
            bench.close()
        assert found.transient
        return found.message

    assert ": no answer from http://127.0.0.1:" in patiently(trial, bool)


# ---------------------------------------------------------------- the end of a run


def test_what_is_stored_after_it_was_given_up_is_known(store: MakeStore, serve: Serve) -> None:
    made, transfer, go = held_put(store, serve)
    made.bench.engine.give_up()
    go.set()
    made.bench.wait(transfer)
    assert made.read(transfer) == b"page"


def test_no_put_begins_once_the_run_has_given_up(store: MakeStore, serve: Serve) -> None:
    last_byte, asked = threading.Event(), threading.Event()

    def late(request: Request) -> Reply:
        asked.set()
        assert last_byte.wait(WAIT_S)
        return Reply(body=b"page")

    made, server = store(), serve(late)
    transfer = made.bench.start(f"{server.url}/")
    made.bench.poll_until(asked.is_set)
    transfer.abandon()
    last_byte.set()
    made.bench.wait(transfer)
    assert failure(transfer).kind is Kind.INTERRUPTED
    assert made.puts() == []


def test_an_engine_that_closes_waits_for_no_put(store: MakeStore, serve: Serve) -> None:
    put, over = threading.Event(), threading.Event()

    def is_silent(asked: Asked) -> None:
        if of_object(asked):
            put.set()
            over.wait(WAIT_S)

    made, server = store(is_silent), serve({"/": b"page"})
    transfer = made.bench.start(f"{server.url}/")
    made.bench.poll_until(put.is_set)
    made.bench.engine.give_up()
    made.bench.engine.close()
    over.set()
    assert transfer.completion is None


# ---------------------------------------------------------------- boto3's way

RENEWED = """
import datetime, json, sys
with open(sys.argv[1], "a+") as state:
    state.write("x")
    number = state.tell()
expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=5)
print(json.dumps({"Version": 1, "AccessKeyId": f"key-{number}", "SecretAccessKey": "s",
    "SessionToken": f"token-{number}", "Expiration": expires.isoformat()}))
"""


def test_credentials_that_expire_are_renewed(
    store: MakeStore, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are good for five minutes, and boto3 renews them from fifteen before their end on."""
    script, config = tmp_path / "vault.py", tmp_path / "config"
    script.write_text(RENEWED)
    command = f"{sys.executable} {script} {tmp_path / 'state'}"
    config.write_text(f"[default]\ncredential_process = {command}\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    made, server = store(), serve({"/": b"page"})
    for _ in range(3):
        assert made.read(made.bench.fetch(f"{server.url}/")) == b"page"
    tokens = [asked.headers["x-amz-security-token"] for asked in made.puts()]
    assert len(set(tokens)) == 3
    for asked in made.puts():
        key = asked.headers["authorization"].partition("=")[2].partition("/")[0]
        assert asked.headers["x-amz-security-token"] == key.replace("key", "token")


def test_the_authorities_and_the_proxy_are_those_of_s3(
    moto_server: S3Server, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve({"/": b"page"})
    context, pem = tls_context(tmp_path)
    bucket = moto_server.make_bucket()
    with Front(moto_server.url, lambda _: None, tls=context) as front:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(pem))
        sink = S3Sink(bucket, "", front.options(client="curl"))
        bench = Bench(CurlEngine, tmp_path, PATIENT, Http(), sink=sink)
        bench.fetch(f"{server.url}/")
        bench.close()
    assert moto_server.keys(bucket) == {"1"}
    config = tmp_path / "config"
    config.write_text("[default]\ns3 =\n  addressing_style = virtual\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    with Front(moto_server.url, lambda _: None) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        s3 = S3(client="curl", endpoint="http://s3.example")
        sink = S3Sink(bucket, "behind", SinkOptions(s3=s3))
        bench = Bench(CurlEngine, tmp_path, PATIENT, Http(), sink=sink)
        bench.fetch(f"{server.url}/")
        bench.close()
    assert moto_server.keys(bucket) == {"1", "behind/1"}
    assert proxy.asked[-1].path.startswith(f"http://{bucket}.s3.example/")


@pytest.mark.parametrize(
    ("variables", "proxy"),
    [
        ({}, None),
        ({"http_proxy": "http://u:p@proxy:1"}, "http://u:p@proxy:1"),
        ({"http_proxy": "proxy:1"}, "http://proxy:1"),
        ({"https_proxy": "http://proxy:1"}, None),
        ({"http_proxy": "http://proxy:1", "no_proxy": "s3.example"}, None),
        ({"http_proxy": "http://proxy:1", "no_proxy": "other.example"}, "http://proxy:1"),
        ({"all_proxy": "http://proxy:1"}, None),  # boto3 knows it not
    ],
)
def test_the_proxy_is_the_one_that_boto3_takes(
    variables: dict[str, str], proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        for spelled in (name, name.upper()):
            monkeypatch.delenv(spelled, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    route = route_of("http://s3.example:80/bucket", "/etc/ssl/x.pem")
    assert route.proxy == proxy
    assert (route.ca_file, route.ca_directory) == ("/etc/ssl/x.pem", None)
    assert route_of("http://s3.example/", "/etc").ca_directory == "/etc"


def test_a_bucket_with_another_signature_is_left_to_boto3() -> None:
    assert unfit(Way()) == "the bucket is not asked with S3's usual signature"
    assert unfit(Way("http://127.0.0.1:1/b", "us-east-1")) is None
