"""Puts by libcurl beside boto3: when they are taken, that they go boto3's way, what errors mean."""

import json
import os
import re
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from scraper.model.errors import DestinationError, SinkError, UsageError
from scraper.model.records import Response
from scraper.model.settings import S3, Settings
from scraper.run.loop import Run
from scraper.sinks.base import Body, SinkOptions
from scraper.sinks.objects.sizes import MIB, USUAL, Sizes
from scraper.sinks.s3 import errors as s3errors
from scraper.sinks.s3.sink import S3Sink, open_sink
from scraper.testing import body_of, store
from tests.machine import patiently
from tests.s3servers import KEY, Asked, Front, S3Server
from tests.servers import HttpServer, RawServer, Reply, Request, Serve, closed_port

pytestmark = pytest.mark.usefixtures("aws")


def passes(asked: Asked) -> None:
    """Nothing is broken."""


def no_curl(asked: Asked) -> tuple[int, str] | None:
    """An endpoint that takes all from boto3 and nothing from libcurl."""
    return (400, "Peculiar") if by_curl(asked) else None


def by_curl(asked: Asked) -> bool:
    return asked.headers["user-agent"].startswith("scraper/")


def checked(bucket: str, options: SinkOptions, prefix: str = "", sizes: Sizes = USUAL) -> S3Sink:
    sink = S3Sink(bucket, prefix, options, sizes)
    sink.check()
    return sink


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An AWS config file, empty so far."""
    path = tmp_path / "config"
    monkeypatch.setenv("AWS_CONFIG_FILE", str(path))
    return path


# ---------------------------------------------------------------- which client is taken


def test_auto_takes_curl_where_it_is_installed(moto_server: S3Server) -> None:
    bucket = moto_server.make_bucket()
    with Front(moto_server.url, passes) as front:
        sink = checked(bucket, front.options())
        store(sink, "k", b"x")
        sink.close()
    assert (sink.client, sink.remark) == ("curl", "")
    (put,) = [asked for asked in front.asked if asked.path == f"/{bucket}/k"]
    assert by_curl(put)


def test_without_pycurl_auto_takes_boto3(
    moto_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pycurl", None)
    sink = checked(moto_server.make_bucket(), moto_server.options())
    store(sink, "k", b"x")
    sink.close()
    assert (sink.client, sink.remark) == ("boto3", "")
    with pytest.raises(UsageError, match=r"pip install 'scraper\[fast\]'"):
        open_sink("s3://b", moto_server.options(client="curl"))


def test_a_pycurl_that_can_not_be_used_is_left_alone(
    moto_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = ModuleType("pycurl")
    old.__spec__ = ModuleSpec("pycurl", None)
    monkeypatch.setitem(sys.modules, "pycurl", old)
    for name in ("curl_put", "curl_call", "s3.rest_client"):
        monkeypatch.delitem(sys.modules, f"scraper.sinks.{name}", raising=False)
    bucket = moto_server.make_bucket()
    sink = checked(bucket, moto_server.options())
    store(sink, "k", b"x")
    sink.close()
    assert sink.remark.startswith("not curl: it needs pycurl 7.45.7 or later: pip install ")
    with pytest.raises(UsageError, match="--s3-client curl can't be used here: it needs pycurl"):
        checked(bucket, moto_server.options(client="curl"))


def test_boto3_is_taken_if_asked_for(moto_server: S3Server) -> None:
    bucket = moto_server.make_bucket()
    with Front(moto_server.url, passes) as front:
        sink = checked(bucket, front.options(client="boto3"))
        store(sink, "k", b"x")
        sink.close()
    assert sink.client == "boto3"
    assert not any(map(by_curl, front.asked))


def test_an_endpoint_that_refuses_curl_is_asked_by_boto3_and_the_first_line_says_so(
    moto_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = moto_server.make_bucket()
    with Front(moto_server.url, no_curl) as front:
        with Run(Settings.of(to=f"s3://{bucket}", s3_endpoint=front.url), []) as run:
            said = run.describe()
            list(run)
        with pytest.raises(DestinationError, match=r"Peculiar: as the test wants$"):
            checked(bucket, front.options(client="curl"))
    assert ", boto3 client (not curl: Peculiar: as the test wants), at most" in said
    assert moto_server.keys(bucket) == {".scraper/summary.json"}, "no probe is left"


@pytest.mark.parametrize("prefix", ["a/../b", "./a", "a\tb", "a//b", "%2F+é ~'()!*=&?#"])
def test_a_prefix_that_is_no_usual_path_is_kept(
    prefix: str, moto_server: S3Server, s3_client: str
) -> None:
    bucket = moto_server.make_bucket()
    sink = S3Sink(bucket, prefix, moto_server.options(client=s3_client))
    sink.check()
    store(sink, "k", b"x")
    sink.close()
    assert moto_server.keys(bucket) == {f"{prefix}/k"}


def test_what_is_on_disk_is_put_by_boto3(moto_server: S3Server) -> None:
    bucket = moto_server.make_bucket()
    with Front(moto_server.url, passes) as front:
        sizes = Sizes(memory=1000, part_threshold=6 * MIB, part=5 * MIB)
        sink = checked(bucket, front.options(client="curl"), sizes=sizes)
        for key, size in (("memory", 1000), ("disk", 1001), ("parts", 6 * MIB)):
            store(sink, key, b"x" * size)
        sink.close()
    made = {"memory": True, "disk": False, "parts": False}
    for key, by in made.items():
        puts = [a for a in front.asked if a.path.partition("?")[0] == f"/{bucket}/{key}"]
        assert {by_curl(asked) for asked in puts} == {by}


# ---------------------------------------------------------------- boto3's way


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_the_endpoint_may_come_from_the_environment(
    variable: str, moto_server: S3Server, monkeypatch: pytest.MonkeyPatch, s3_client: str
) -> None:
    bucket = moto_server.make_bucket()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed_port()}")
    with Front(moto_server.url, passes) as front:
        monkeypatch.setenv(variable, front.url)
        sink = checked(bucket, SinkOptions(s3=S3(client=s3_client)), "p")
        store(sink, "k", b"x")
        sink.close()
    assert moto_server.keys(bucket) == {"p/k"}


def test_an_endpoint_of_the_command_line_wins(
    moto_server: S3Server, monkeypatch: pytest.MonkeyPatch, s3_client: str
) -> None:
    bucket = moto_server.make_bucket()
    for variable in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.setenv(variable, f"http://127.0.0.1:{closed_port()}")
    sink = checked(bucket, moto_server.options(client=s3_client))
    store(sink, "k", b"x")
    sink.close()
    assert moto_server.keys(bucket) == {"k"}


def test_endpoint_region_and_keys_may_come_from_a_profile(
    moto_server: S3Server, monkeypatch: pytest.MonkeyPatch, config: Path, s3_client: str
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    bucket = moto_server.make_bucket()
    with Front(moto_server.url, passes) as front:
        config.write_text(
            f"[profile other]\nregion = ap-south-1\nendpoint_url = {front.url}\n"
            "aws_access_key_id = from-profile\naws_secret_access_key = secret\n"
        )
        sink = checked(bucket, SinkOptions(s3=S3(client=s3_client, profile="other")))
        store(sink, "k", b"x")
        sink.close()
    scopes = {asked.headers["authorization"].split("/", 1)[0] for asked in front.asked}
    assert scopes == {"AWS4-HMAC-SHA256 Credential=from-profile"}
    assert all("/ap-south-1/s3/" in asked.headers["authorization"] for asked in front.asked)


def test_a_bucket_is_a_part_of_the_host_where_boto3_says_so(
    moto_server: S3Server, monkeypatch: pytest.MonkeyPatch, config: Path, s3_client: str
) -> None:
    config.write_text("[default]\ns3 =\n  addressing_style = virtual\n")
    bucket = moto_server.make_bucket()
    with Front(moto_server.url, passes) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)  # for a host that no resolver knows
        s3 = S3(client=s3_client, endpoint="http://s3.example")
        sink = checked(bucket, SinkOptions(s3=s3), "p")
        store(sink, "k", b"x")
        sink.close()
    assert sink.client == s3_client
    assert [asked.path for asked in proxy.asked][-1] == f"http://{bucket}.s3.example/p/k"
    assert moto_server.read(bucket, "p/k") == b"x"


RENEWED = """
import datetime, json, sys
state = open(sys.argv[1], "a+")
state.write("x")
number = state.tell()
if number > int(sys.argv[2]):
    sys.exit("the vault is closed")
expires = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=5)
print(json.dumps({"Version": 1, "AccessKeyId": f"key-{number}", "SecretAccessKey": "s",
    "SessionToken": f"token-{number}", "Expiration": expires.isoformat()}))
"""


def vault(config: Path, directory: Path, times: int) -> None:
    """Credentials from a program that gives others each time, and `times` times in all."""
    script, state = directory / "vault.py", directory / "state"
    script.write_text(RENEWED)
    command = f"{sys.executable} {script} {state} {times}"
    config.write_text(f"[default]\ncredential_process = {command}\n")


@pytest.fixture
def _impatient(aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials come from no environment."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("_impatient")
def test_credentials_that_expire_are_renewed(
    moto_server: S3Server, config: Path, tmp_path: Path, s3_client: str
) -> None:
    vault(config, tmp_path, 1000)
    bucket = moto_server.make_bucket()
    seen: set[str] = set()
    with Front(moto_server.url, passes) as front:
        sink = checked(bucket, front.options(client=s3_client))
        while len(seen) < 5:  # boto3 gives those for 5 minutes away at once
            store(sink, "k", b"x")
            seen.add(front.asked[-1].headers["x-amz-security-token"])
        sink.close()
    assert sink.client == s3_client
    for asked in front.asked:
        key = asked.headers["authorization"].partition("=")[2].partition("/")[0]
        assert asked.headers["x-amz-security-token"] == key.replace("key", "token")


@pytest.mark.usefixtures("_impatient")
def test_credentials_that_can_not_be_renewed_are_the_destinations_fault(
    moto_server: S3Server, config: Path, tmp_path: Path, s3_client: str
) -> None:
    vault(config, tmp_path, 10)
    sink = checked(moto_server.make_bucket(), moto_server.options(client=s3_client))
    with pytest.raises(DestinationError, match=r"takes no more objects: .*the vault is closed"):
        store_for_ever(sink)
    sink.close()


def store_for_ever(sink: S3Sink) -> None:
    while True:
        store(sink, "k", b"x")


def test_credentials_that_stay_are_asked_for_once(
    moto_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = moto_server.make_bucket()
    with Front(moto_server.url, passes) as front:
        sink = checked(bucket, front.options(client="curl"))
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")
        store(sink, "k", b"x")
        sink.close()
    assert all(f"={KEY}/" in asked.headers["authorization"] for asked in front.asked)


@pytest.mark.parametrize("sse", ["AES256", "aws:kms", "aws:kms:dsse", "aws:kms:dsse:key-id"])
def test_encryption_is_asked_for_in_the_same_words(
    sse: str, moto_server: S3Server, s3_client: str
) -> None:
    bucket = moto_server.make_bucket()
    with Front(moto_server.url, passes) as front:
        # moto tells the key of aws:kms, not that of aws:kms:dsse.
        sink = checked(bucket, front.options(client=s3_client, sse=sse, unconfirmed=True))
        store(sink, "k", b"x")
        sink.close()
    for asked in front.asked:
        if asked.operation == "PUT":
            prefix = "x-amz-server-side-encryption"
            said = {n: v for n, v in asked.headers.items() if n.startswith(prefix)}
            key = said.pop(f"{prefix}-aws-kms-key-id", None)
            assert ":".join(filter(None, [said.pop(prefix), key])) == sse
            assert said == {}


@pytest.mark.parametrize("value", ["text/plain\x01", "text/\x7f", "text/plain; x=\xe9", "a\tb"])
def test_what_no_header_may_hold_is_left_out(
    value: str, moto_server: S3Server, s3_client: str
) -> None:
    bucket = moto_server.make_bucket()
    sink = checked(bucket, moto_server.options(client=s3_client))
    response = Response(200, "http://a/", content_type=value, content_encoding=value)
    upload = sink.open("k")
    upload.write(b"x")
    upload.commit(Body("http://a/\x01\x7f", 0, 1, body_of(b"x").sha256, response))
    sink.close()
    head = moto_server.client.head_object(Bucket=bucket, Key="k")
    assert head["ContentType"] == "binary/octet-stream"
    assert "ContentEncoding" not in head
    assert head["Metadata"]["sourceurl"] == "http://a/%01%7F"


# ---------------------------------------------------------------- what errors mean


def told(sink: S3Sink) -> SinkError:
    with pytest.raises(SinkError) as caught:
        store(sink, "k", b"x")
    sink.close()
    assert caught.value.transient
    return caught.value


def test_an_endpoint_that_falls_silent_is_told(
    moto_server: S3Server, monkeypatch: pytest.MonkeyPatch, s3_client: str
) -> None:
    def trial(times: int) -> bool:
        """Whether all that was answered came in time."""
        most_s, over = 0.5 * times, threading.Event()
        monkeypatch.setattr(s3errors, "READ_TIMEOUT_S", most_s)

        def falls_silent(asked: Asked) -> None:
            if asked.path.endswith("/k"):
                assert over.wait(20), "the limit holds"

        with Front(moto_server.url, falls_silent) as front:
            options = front.options(client=s3_client)
            try:
                sink = checked(moto_server.make_bucket(), options, sizes=Sizes(memory=1000))
            except DestinationError:
                return False
            error = told(sink)
            over.set()
        start = f"can't store 'k': no answer from {front.url} within {most_s:g}"
        assert error.message.startswith(start)
        return True

    assert patiently(trial, bool)


def test_an_endpoint_that_is_gone_is_told(moto_server: S3Server, s3_client: str) -> None:
    with Front(moto_server.url, passes) as front:
        sink = checked(moto_server.make_bucket(), front.options(client=s3_client))
    with pytest.raises(SinkError):  # a connection that was kept may break first
        store(sink, "k", b"x")
    error = told(sink)
    assert f"can't store 'k': can't connect to {front.url}: " in error.message
    assert "Connection refused" in error.message


def test_a_page_of_some_proxy_is_told_by_its_status(s3_client: str) -> None:
    def answer(request: Request) -> Reply:
        if not request.plain_path.endswith("/k"):
            return Reply(200, {"ETag": '"x"'})
        return Reply(502, {"Content-Type": "text/html"}, b"<html><h1>Bad gateway</h1><br></html>")

    with HttpServer(answer) as server:
        s3 = S3(client=s3_client, endpoint=server.url)
        error = told(checked("b", SinkOptions(s3=s3)))
    assert error.message == "can't store 'k': 502: Bad Gateway"


def test_many_threads_put_at_once(moto_server: S3Server, s3_client: str) -> None:
    bucket = moto_server.make_bucket()
    sink = checked(bucket, moto_server.options(client=s3_client))
    contents = {f"{number}": os.urandom(100) for number in range(200)}
    with ThreadPoolExecutor(32) as pool:
        list(pool.map(lambda key: store(sink, key, contents[key]), contents))
    sink.close()
    assert {key: moto_server.read(bucket, key) for key in moto_server.keys(bucket)} == contents


def test_a_put_is_sent_again_where_a_kept_connection_turns_out_to_be_closed() -> None:
    """Stores close idle connections, and a put may meet that moment."""

    def closes_at_second(number: int, sock: socket.socket) -> None:
        del number
        for answer in (b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: 0\r\n\r\n', b""):
            head = server.read_head(sock)
            found = re.search(rb"(?i)content-length: (\d+)", head)
            for _ in range(int(found[1]) if found else 0):
                sock.recv(1)
            sock.sendall(answer)

    with RawServer(closes_at_second) as server:
        sink = S3Sink("b", "", SinkOptions(s3=S3(client="curl", endpoint=server.url)))
        sink.check()
        for key in "abc":
            store(sink, key, b"page")
        sink.close()
        sent = [head.split()[1] for head in server.heads if head.startswith(b"PUT")]
    assert [path.decode() for path in sent if b".scraper" not in path] == [
        "/b/a",  # closed
        "/b/a",
        "/b/b",  # closed
        "/b/b",
        "/b/c",  # closed
        "/b/c",
    ]


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN"])
@pytest.mark.parametrize("value", ["it\n", "i\nt: x", "k\u00fc"])
def test_a_credential_that_no_header_may_have_is_told(
    name: str, value: str, s3_client: str, monkeypatch: pytest.MonkeyPatch, serve: Serve
) -> None:
    """A secret that was read from a file with its end of line."""
    server = serve(lambda _: Reply(200, {"ETag": '"1"'}))
    monkeypatch.setenv(name, value)
    sink = S3Sink("bucket", "", SinkOptions(s3=S3(client=s3_client, endpoint=server.url)))
    with pytest.raises(DestinationError, match="line break or another character") as caught:
        sink.check()
    sink.close()
    assert value not in str(caught.value)
    assert caught.value.hint == ""
    assert server.total == 0


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("echo hello", "the program printed no JSON object"),
        ("echo [1]", "the program printed no JSON object"),
        ("true", "the program printed no JSON object"),
        ("/nowhere/vault", "'/nowhere/vault': No such file or directory"),
        ("sh -c 'echo no vault >&2; exit 3'", "no vault"),
    ],
)
def test_a_program_that_gives_no_credentials_is_told(
    command: str, said: str, config: Path, s3_client: str
) -> None:
    config.write_text(f"[default]\ncredential_process = {command}\n")
    s3 = S3(client=s3_client, endpoint="http://127.0.0.1:9")
    with pytest.raises(DestinationError, match=f"from custom-process: {re.escape(said)}"):
        S3Sink("b", "", SinkOptions(s3=s3)).check()


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ({"AccessKeyId": None}, "an AccessKeyId that is no text"),
        ({"SecretAccessKey": 5}, "a SecretAccessKey that is no text"),
        ({"Expiration": "nonsense"}, "an Expiration that is no date"),
        ({"Expiration": "2030-01-01T00:00:00"}, "an Expiration that is no date with a time zone"),
    ],
)
def test_credentials_that_no_request_can_have_are_told(
    printed: dict[str, Any], said: str, config: Path, s3_client: str
) -> None:
    good = {"Version": 1, "AccessKeyId": "key", "SecretAccessKey": "hidden", **printed}
    made = config.with_name("printed")
    made.write_text(json.dumps(good))
    config.write_text(f"[default]\ncredential_process = cat {made}\n")
    s3 = S3(client=s3_client, endpoint="http://127.0.0.1:9")
    with pytest.raises(DestinationError, match=said) as caught:
        S3Sink("b", "", SinkOptions(s3=s3)).check()
    assert "hidden" not in str(caught.value)


SOURCE = """source_profile = other
role_arn = arn:aws:iam::123456789012:role/x
[profile other]
credential_process = echo hello"""


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize(
    ("profile", "said"),
    [
        ("credential_process = cat 'a", "from profile: No closing quotation"),
        (
            SOURCE,
            "the program that gives credentials printed no JSON|from profile: ",
        ),
    ],
)
def test_a_profile_that_gives_no_credentials_is_told(
    profile: str, said: str, config: Path, s3_client: str
) -> None:
    config.write_text(f"[default]\n{profile}\n")
    s3 = S3(client=s3_client, endpoint="http://127.0.0.1:9")
    with pytest.raises(DestinationError, match=said):
        S3Sink("b", "", SinkOptions(s3=s3)).check()
