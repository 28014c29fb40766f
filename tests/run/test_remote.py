"""Lists at URLs: fetched with the run's own limits, redirects, headers and retries, or refused."""

import gzip
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scraper.model.errors import ListError
from scraper.model.records import Target
from scraper.model.settings import Settings
from scraper.run.remote import opener
from scraper.source import keys, lists
from scraper.source.sources import open_sources
from tests.s3servers import S3Server
from tests.servers import (
    WAIT_S,
    Farm,
    Misbehave,
    Reply,
    Request,
    Serve,
    closed_port,
    in_turn,
    silent,
)

LIST = b"http://a/1\n# comment\nhttp://a/2\n"
QUICK = {"backoff_min": 0.0, "backoff_max": 0.0}


def fetch(url: str, **options: Any) -> bytes:
    with opener(Settings.of(**{**QUICK, **options}))(url).file as file:
        return file.read()


def refused(url: str, **options: Any) -> str:
    with pytest.raises(ListError) as caught:
        fetch(url, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ---------------------------------------------------------------- http


def test_a_list_at_a_url_is_a_list_like_any_other(serve: Serve) -> None:
    server = serve({"/urls.txt": LIST})
    url = f"{server.url}/urls.txt"
    fetched = opener(Settings())(url)
    with fetched.file:
        (source,) = open_sources([url], lambda _: fetched)
        items = list(lists.read(source, keys.url_key))
    assert [(item.url, item.line, item.source) for item in items if isinstance(item, Target)] == [
        ("http://a/1", 1, url),
        ("http://a/2", 3, url),
    ]
    assert server.total == 1


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=gzip.compress(LIST)),
        Reply(headers={"Content-Encoding": "gzip"}, body=gzip.compress(LIST)),
        Reply(headers={"Content-Encoding": "gzip"}, body=gzip.compress(gzip.compress(LIST))),
        Reply(headers={"Content-Type": "image/png"}, body=LIST),
        Reply(body=[LIST[:5], LIST[5:]]),
    ],
)
def test_it_may_come_in_any_coding_and_under_any_type(serve: Serve, reply: Reply) -> None:
    server = serve({"/l": reply})
    got = fetch(f"{server.url}/l", expect_type="text/html")  # which is meant for bodies
    assert (gzip.decompress(got) if got[:2] == b"\x1f\x8b" else got) == LIST


def test_an_empty_list_is_no_error(serve: Serve) -> None:
    server = serve({"/empty": b"", "/none": Reply(204)})
    assert fetch(f"{server.url}/empty") == b""
    assert fetch(f"{server.url}/none") == b""


def test_redirects_are_followed_up_to_the_limit(serve: Serve) -> None:
    server = serve(
        {
            "/1": Reply(302, {"Location": "/2"}),
            "/2": Reply(301, {"Location": "3"}),
            "/3": LIST,
        }
    )
    assert fetch(f"{server.url}/1", max_redirects=2) == LIST
    assert "more than 1 redirects" in refused(f"{server.url}/1", max_redirects=1)


def test_what_may_pass_is_tried_again(serve: Serve) -> None:
    answers = iter([Reply(503), Reply(429, {"Retry-After": "0"}), Reply(500), Reply(body=LIST)])
    server = serve(lambda _: next(answers))
    assert fetch(f"{server.url}/l", retries=3) == LIST
    assert server.total == 4


def test_retries_have_an_end(serve: Serve) -> None:
    server = serve({"/l": Reply(503)})
    assert refused(f"{server.url}/l", retries=2).endswith("/l': HTTP 503")
    assert server.total == 3


def test_a_longer_wait_than_is_granted_is_not_waited_for(serve: Serve) -> None:
    server = serve({"/l": Reply(429, {"Retry-After": "9000"})})
    assert "HTTP 429" in refused(f"{server.url}/l")
    assert server.total == 1


def test_nothing_is_left_of_an_attempt_that_broke_off(misbehave: Misbehave) -> None:
    torn = b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + b"http://torn/\n" * 20
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(LIST) + LIST
    server = misbehave(in_turn(torn, whole))
    assert fetch(f"{server.url}/l") == LIST


@pytest.mark.parametrize("status", [304, 400, 403, 404, 410])
def test_another_answer_than_a_list_is_no_empty_list(serve: Serve, status: int) -> None:
    server = serve({"/l": Reply(status, body=b"http://error-page/")})
    url = f"{server.url}/l"
    said = "304 Not Modified, though nothing was asked about" if status == 304 else f"HTTP {status}"
    assert refused(url) == f"can't fetch the list '{url}': {said}"
    assert server.total == 1


def test_a_list_keeps_to_the_limits_of_a_body(serve: Serve, misbehave: Misbehave) -> None:
    server = serve({"/l": LIST, "/zip": Reply(headers={"Content-Encoding": "gzip"},
                                              body=gzip.compress(b"\n" * 1_000_000))})  # fmt: skip
    assert fetch(f"{server.url}/l", max_size=len(LIST)) == LIST
    assert "--max-size" in refused(f"{server.url}/l", max_size=len(LIST) - 1)
    assert "--max-size" in refused(f"{server.url}/zip", max_size=999_999)
    hangs = misbehave(silent)
    assert "no response within" in refused(f"{hangs.url}/l", read_timeout=0.1, retries=0)


def test_who_is_not_there_is_named() -> None:
    url = f"http://127.0.0.1:{closed_port()}/l"
    reason = "can't connect: Connection refused"
    assert refused(url, retries=1) == f"can't fetch the list '{url}': {reason}"


@pytest.mark.parametrize("url", ["http://", "http://a b/", "https://a:99999/"])
def test_what_is_no_url_is_said(url: str) -> None:
    assert refused(url) == f"can't open the list '{url}': not a valid URL"


# ---------------------------------------------------------------- secrets


def test_headers_and_passwords_go_to_the_lists_origin_alone(
    farm: Farm,
) -> None:
    def answer(request: Request) -> Reply:
        if request.address == "127.0.0.1":
            return Reply(302, {"Location": f"{servers.urls[1]}/l"})
        return Reply(body=LIST)

    servers = farm(answer)
    url = servers.urls[0].replace("//", "//me:secret@") + "/l"
    assert fetch(url, headers=["X-Api-Key: 12", "X-Plain: 34"], user_agent="me/1") == LIST
    first, second = servers.requests
    assert first.headers["authorization"].startswith("Basic ")
    assert first.headers["x-api-key"] == "12"
    assert {"authorization", "x-api-key"}.isdisjoint(second.headers)
    for request in servers.requests:
        assert request.headers["x-plain"] == "34"
        assert request.headers["user-agent"] == "me/1"


@pytest.mark.parametrize("status", [302, 304, 404])
def test_the_secrets_of_a_lists_url_are_not_shown(serve: Serve, status: int) -> None:
    location = "ftp://me:hunter2@h/?token=hunter2"
    server = serve({"/l": Reply(status, {"Location": location})})
    url = server.url.replace("//", "//me:hunter2@") + "/l?X-Amz-Signature=hunter2&n=1"
    said = refused(url)
    assert "hunter2" not in said
    assert "//REDACTED@127.0.0.1" in said
    assert "X-Amz-Signature=REDACTED&n=1" in said


@pytest.mark.parametrize("url", ["http://me:hunter2@a:99999/", "s3://me:hunter2@bucket"])
def test_the_secrets_of_what_is_no_url_are_not_shown(url: str) -> None:
    assert "REDACTED@" in refused(url)
    assert "hunter2" not in refused(url)


def test_where_a_list_is_is_the_users_word_and_no_matter_of_public_only(serve: Serve) -> None:
    server = serve({"/l": LIST})
    assert fetch(f"{server.url}/l", public_only=True) == LIST


# ---------------------------------------------------------------- interruption


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_wait_for_a_list(
    number: signal.Signals, misbehave: Misbehave, tmp_path: Path
) -> None:
    server = misbehave(silent)
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "scraper",
            "-i",
            f"{server.url}/l",
            "--to",
            "out",
            "--read-timeout",
            "999",
        ],
        cwd=tmp_path,
        env=os.environ,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            server.wait_until(lambda: server.open_connections == 1)
            process.send_signal(number)
            _, told = process.communicate(timeout=WAIT_S)  # much less than --read-timeout
        finally:
            process.kill()
    assert process.returncode in {128 + number, -number}
    assert "Traceback" not in told
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- s3


@pytest.fixture
def bucket(moto_server: S3Server, aws: None) -> str:
    name = moto_server.make_bucket()
    moto_server.client.put_object(Bucket=name, Key="lists/urls.txt", Body=LIST)
    return name


@pytest.mark.parametrize("scheme", ["s3", "S3"])
def test_a_list_may_be_in_s3(scheme: str, bucket: str, moto_server: S3Server) -> None:
    url = f"{scheme}://{bucket}/lists/urls.txt"
    assert fetch(url, s3_endpoint=moto_server.url) == LIST


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("s3://{}/none", "there is no such object"),
        ("s3://no-such-bucket-at-all/k", "there is no such bucket"),
        ("s3://{}", "it is not s3://bucket/key"),
    ],
)
def test_a_list_that_is_not_in_s3_is_named(
    url: str, reason: str, bucket: str, moto_server: S3Server
) -> None:
    url = url.format(bucket)
    said = refused(url, s3_endpoint=moto_server.url)
    assert said.startswith(f"can't open the list '{url}': {reason}")


def test_a_list_in_s3_needs_credentials(moto_server: S3Server) -> None:
    assert "credentials" in refused("s3://b/k", s3_endpoint=moto_server.url)
