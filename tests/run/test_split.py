"""Bodies that are fetched in parts (--split), over real sockets: joined right, or not at all."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

import scraper
from scraper.model.errors import Kind, TransferError
from scraper.model.records import Result, Stored
from scraper.sinks.directory.sink import FileUpload
from tests.ranges import Answer, RangeSite, after_leaving, part, spans, torn, wrong
from tests.run.test_continue import left
from tests.run.test_loop import QUICK, fetch, make_run
from tests.servers import WAIT_S, Reply, Request, Routes, Serve

if TYPE_CHECKING:
    from tests.s3servers import S3Server


@pytest.fixture(autouse=True, params=["threads", "curl"])
def _engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With either engine."""
    monkeypatch.setitem(QUICK, "engine", request.param)


BODY = Random(1).randbytes(1_000_000)
OTHER = Random(2).randbytes(900_000)
QUARTER = 250_000
SPLIT: dict[str, Any] = {"split": 4, "split_above": 100_000}
IN_FOUR = [(QUARTER, 499_999), (500_000, 749_999), (750_000, 999_999)]


def run(serve: Serve, to: Path, site: RangeSite, **options: Any) -> Result:
    """The result of the one target of `site`."""
    (result,) = fetch([f"{serve(site).url}/big"], to, **{**SPLIT, **options})
    return result


def check(result: Result, to: Path, parts: int | None, content: bytes = BODY) -> None:
    """That it was stored right, and recorded so, and nothing is left."""
    assert isinstance(result.outcome, Stored), result.outcome
    digest = sha256(content).hexdigest()
    assert (to / result.target.key).read_bytes() == content
    assert (result.outcome.size, result.outcome.sha256) == (len(content), digest)
    assert result.outcome.response.parts == parts
    record = json.loads((to / ".scraper" / "manifest.jsonl").read_bytes().splitlines()[-1])
    assert (record["sha256"], record["size"], record.get("parts")) == (digest, len(content), parts)
    assert record["http_code"] == 200
    assert left(to) == []


# ---------------------------------------------------------------- in parts


def test_a_large_body_comes_in_parts_at_once(serve: Serve, tmp_path: Path) -> None:
    site = RangeSite(BODY, holds=3)
    result = run(serve, tmp_path, site)
    check(result, tmp_path, 4)
    assert result.attempts == 1
    assert spans(site.asked) == IN_FOUR
    assert {one.headers.get("if-range") for one in site.requests} == {None, '"v1"'}
    assert len({one.connection for one in site.requests}) == 4


def test_a_large_body_of_a_mirror_comes_in_parts(serve: Serve, tmp_path: Path) -> None:
    """Its parts are asked of the mirror, not of the URL that failed."""
    gone, site = serve({"/big": Reply(404)}), RangeSite(BODY, holds=3)
    urls = [f"{gone.url}/big", f"{serve(site).url}/big"]
    (result,) = fetch([json.dumps({"urls": urls})], tmp_path, **SPLIT)
    check(result, tmp_path, 4)
    assert result.mirror is not None
    assert (gone.total, result.attempts) == (1, 2)
    assert spans(site.asked) == IN_FOUR


def test_a_body_is_known_by_its_date_too(serve: Serve, tmp_path: Path) -> None:
    dates = {
        "Last-Modified": "Sun, 06 Nov 1994 08:49:37 GMT",
        "Date": "Mon, 07 Nov 1994 08:49:37 GMT",
    }
    site = RangeSite(BODY, holds=3, headers=dates)
    check(run(serve, tmp_path, site), tmp_path, 4)
    assert {one.headers.get("if-range") for one in site.requests} == {None, dates["Last-Modified"]}


@pytest.mark.usefixtures("aws")
def test_it_becomes_one_object_in_s3(serve: Serve, moto_server: "S3Server") -> None:
    store = moto_server
    bucket = store.make_bucket()
    site = RangeSite(BODY, holds=3)
    place = f"s3://{bucket}/p"
    given = {**QUICK, **SPLIT, "s3_endpoint": store.url}
    (result,) = scraper.run([f"{serve(site).url}/big"], to=place, **given)
    assert isinstance(result.outcome, Stored), result.outcome
    assert result.outcome.sha256 == sha256(BODY).hexdigest()
    assert result.outcome.response.parts == 4
    assert store.read(bucket, f"p/{result.target.key}") == BODY


@pytest.mark.parametrize(
    ("headers", "options"),
    [
        ({"ETag": 'W/"v1"'}, {}),
        ({}, {}),
        ({"ETag": '"v1"', "Accept-Ranges": "none"}, {}),
        ({"ETag": '"v1"', "Accept-Ranges": ""}, {}),
        ({"ETag": '"v1"', "Content-Encoding": "br"}, {}),
        ({"ETag": '"v1"'}, {"split_above": 1_000_000}),
        ({"ETag": '"v1"'}, {"split": 1}),
        ({"ETag": '"v1"'}, {"max_concurrency": 1}),
        ({"ETag": '"v1"'}, {"per_host": 1}),
        ({"ETag": '"v1"'}, {"headers": ["If-Match: *"]}),
    ],
)
def test_what_can_not_or_must_not_be_divided_comes_as_one(
    headers: dict[str, str], options: dict[str, Any], serve: Serve, tmp_path: Path
) -> None:
    expected = "failed" if "Content-Encoding" in headers else "stored"  # it is not br
    site = RangeSite(BODY, headers=headers)
    result = run(serve, tmp_path, site, retries=0, **options)
    assert (result.status, site.asked, len(site.requests)) == (expected, [], 1)
    if expected == "stored":
        check(result, tmp_path, None)


def test_a_coded_body_comes_in_parts_where_its_coding_is_kept(serve: Serve, tmp_path: Path) -> None:
    site = RangeSite(BODY, holds=3, headers={"ETag": '"v1"', "Content-Encoding": "gzip"})
    check(run(serve, tmp_path, site, raw=True), tmp_path, 4)


def test_parts_count_at_the_caps(serve: Serve, tmp_path: Path) -> None:
    for number, caps in enumerate([{"max_concurrency": 3}, {"per_host": 3}]):
        site, to = RangeSite(BODY, holds=7), tmp_path / f"{number}"
        server = serve(site)
        (result,) = fetch([f"{server.url}/big"], to, **{**SPLIT, **caps, "split": 8})
        check(result, to, 8)
        assert 2 <= server.max_in_flight <= 3


def test_targets_come_before_parts_that_need_nobody_else(serve: Serve, tmp_path: Path) -> None:
    site = RangeSite(BODY, holds=1)
    asked_by_then: list[int] = []
    runs: list[Any] = []
    known = threading.Event()  # the whole list: one of two that wait for it has seen it

    def answer(request: Request) -> Reply:
        if request.path in {"/big", "/0"} and "range" not in request.headers:
            until = time.monotonic() + WAIT_S
            while not known.wait(0.01) and time.monotonic() < until:
                if len(runs[0]._frontier) >= 29:
                    known.set()
        if request.path == "/big":
            return site(request)
        asked_by_then.append(len(site.asked))
        return Reply(body=b"page")

    server = serve(answer)
    urls = [f"{server.url}/big", *(f"{server.url}/{number}" for number in range(30))]
    with make_run(urls, tmp_path, **SPLIT, max_concurrency=2) as begun:
        runs.append(begun)
        results = list(begun)
    assert {result.status for result in results} == {"stored"}
    assert asked_by_then == [0] * 30
    assert results[-1].url.endswith("/big")
    assert (tmp_path / results[-1].key).read_bytes() == BODY


def test_parts_keep_the_gaps_of_their_host(serve: Serve, tmp_path: Path) -> None:
    seen: list[float] = []
    site = RangeSite(BODY, holds=3)

    def answer(request: Request) -> Reply:
        seen.append(time.monotonic())
        return site(request)

    url, begun = f"{serve(answer).url}/big", time.monotonic()
    (result,) = fetch([url], tmp_path, **SPLIT, delay=0.2)
    check(result, tmp_path, 4)
    assert seen[3] - begun >= 3 * 0.2  # none can be seen before it is sent


def test_a_redirect_is_followed_once_and_parts_are_asked_where_it_led(
    serve: Serve, tmp_path: Path
) -> None:
    site = RangeSite(BODY, holds=3)
    end = serve(site)
    server = serve(lambda _: Reply(302, {"Location": f"{end.url}/signed?token=1"}))
    (result,) = fetch([f"{server.url}/a"], tmp_path, **SPLIT, headers=["Authorization: Bearer x"])
    check(result, tmp_path, 4)
    assert server.total == 1
    assert {one.path for one in site.requests} == {"/signed?token=1"}
    assert all("authorization" not in one.headers for one in site.requests)


def test_parts_log_in_as_the_first_request_did(serve: Serve, tmp_path: Path) -> None:
    site = RangeSite(BODY, holds=3)
    answers: list[str] = []

    def answer(request: Request) -> Reply:
        given = request.headers.get("authorization", "")
        if not given.startswith("Digest") or given in answers:  # each is good for one request
            challenge = f'Digest realm="r", nonce="n{len(answers)}{request.connection}", qop="auth"'
            return Reply(401, {"WWW-Authenticate": challenge})
        answers.append(given)
        return site(request)

    (result,) = fetch([f"{serve(answer).url}/big"], tmp_path, **SPLIT, user="me:secret")
    check(result, tmp_path, 4)


# ---------------------------------------------------------------- faults


def test_a_part_that_breaks_off_is_continued(serve: Serve, tmp_path: Path) -> None:
    site = RangeSite(BODY, holds=4, answers={1: torn(10_000)})
    result = run(serve, tmp_path, site)
    check(result, tmp_path, 4)
    first = spans(site.asked[:1])[0]
    assert (first[0] + 10_000, first[1]) in spans(site.asked)


def test_the_first_part_is_continued_too(serve: Serve, tmp_path: Path) -> None:
    site = RangeSite(BODY, holds=3, cut=80_000)
    check(run(serve, tmp_path, site), tmp_path, 4)
    assert spans(site.asked) == [(80_000, QUARTER - 1), *IN_FOUR]


NEVER_A_PART = {
    "breaks off": torn(10_000),
    "is gone": wrong(404, Content_Range=""),
    "is forbidden": wrong(403, Content_Range=""),
    "redirects": wrong(302, Content_Range="", Location="/elsewhere"),
    "has no content": wrong(204, Content_Range=""),
}


@pytest.mark.parametrize("name", NEVER_A_PART)
def test_a_body_whose_parts_can_not_be_had_is_fetched_as_one(
    name: str, serve: Serve, tmp_path: Path
) -> None:
    """What becomes of a part says nothing of the whole, and costs the target no attempt."""
    site = RangeSite(BODY, holds=3, answers=dict.fromkeys(range(1, 100), NEVER_A_PART[name]))
    result = run(serve, tmp_path, site, retries=0)
    assert isinstance(result.outcome, Stored), result.outcome
    assert result.outcome.response.http_code == 200
    check(result, tmp_path, None)


@pytest.mark.parametrize("code", [403, 429, 503, 404])
def test_a_part_that_is_refused_waits_for_another_to_end(
    code: int, serve: Serve, tmp_path: Path
) -> None:
    refusal = wrong(code, Content_Range="", Retry_After="0")
    site = RangeSite(BODY, leaves=1, answers={1: after_leaving, 2: refusal, 3: after_leaving})
    result = run(serve, tmp_path, site)
    assert isinstance(result.outcome, Stored), result.outcome
    check(result, tmp_path, result.outcome.response.parts)
    assert set(IN_FOUR) <= set(spans(site.asked))


def test_a_server_that_gives_two_at_once_gives_all(serve: Serve, tmp_path: Path) -> None:
    site = RangeSite(BODY, holds=1, most=2)
    result = run(serve, tmp_path, site, split=8, max_concurrency=8)
    assert isinstance(result.outcome, Stored), result.outcome
    check(result, tmp_path, result.outcome.response.parts)


WRONG: dict[str, Answer] = {
    "ignores ranges": wrong(200, Content_Range=""),
    "another tag": wrong(206, ETag='"v2"'),
    "a weak tag": wrong(206, ETag='W/"v1"'),
    "no tag": wrong(206, ETag=""),
    "another length": wrong(206, Content_Range="bytes {first}-{last}/1000001"),
    "another start": wrong(206, Content_Range="bytes 0-{last}/{size}"),
    "another end": wrong(206, Content_Range="bytes {first}-999998/{size}"),
    "no range": wrong(206, Content_Range=""),
    "too long": wrong(206),
    "coded": wrong(206, Content_Encoding="gzip"),
    "gone": wrong(416, Content_Range="bytes */10"),
    "failed": wrong(412, Content_Range=""),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_answer_that_is_not_the_part_leaves_the_first_transfer_alone(
    name: str, serve: Serve, tmp_path: Path
) -> None:
    site = RangeSite(BODY, leaves=1, answers={1: WRONG[name]})
    result = run(serve, tmp_path, site, max_concurrency=2)
    check(result, tmp_path, None)
    assert site.asked == ["bytes=750000-999999"]
    assert len(site.requests) == 2


def test_a_part_that_never_ends_is_cut_and_not_believed(serve: Serve, tmp_path: Path) -> None:
    def chunked(site: RangeSite, first: int, last: int) -> Reply:
        whole = part(site, first, last)
        pieces = wrong(206)(site, first, last).body
        assert not isinstance(pieces, bytes)
        headers = {k: v for k, v in dict(whole.headers).items() if k != "Content-Length"}
        return Reply(206, headers, pieces)

    site = RangeSite(BODY, leaves=1, answers={1: chunked})
    check(run(serve, tmp_path, site, max_concurrency=2), tmp_path, None)


def test_a_body_that_changed_after_the_first_part_is_begun_anew_as_one(
    serve: Serve, tmp_path: Path
) -> None:
    site = RangeSite(BODY)
    asked: list[str | None] = []

    def answer(request: Request) -> Reply:
        asked.append(request.headers.get("range"))
        if len(asked) == 1:
            head = {"ETag": '"v1"', "Accept-Ranges": "bytes", "Content-Length": str(len(BODY))}
            return Reply(200, head, [BODY[:300_000]], close=True)
        site.content, site.headers = OTHER, {"ETag": '"v2"', "Accept-Ranges": "bytes"}
        return Reply(200, site.headers, OTHER)

    (result,) = fetch([f"{serve(answer).url}/big"], tmp_path, **SPLIT, max_concurrency=1)
    check(result, tmp_path, None, OTHER)
    assert [one is None for one in asked] == [True, False, True]


def test_a_destination_that_refuses_ends_the_target(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, data: bytes, offset: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    site = RangeSite(BODY)
    with pytest.raises(scraper.DestinationError, match="No space left"):
        run(serve, tmp_path, site)
    assert left(tmp_path) == []


def test_a_quota_is_of_all_parts_together(serve: Serve, tmp_path: Path) -> None:
    site = RangeSite(BODY, holds=3)
    result = run(serve, tmp_path, site, max_total_size=999_999)
    assert result.status == "not_reached"
    assert left(tmp_path) == []


def test_a_server_that_vanishes_ends_the_target(serve: Serve, tmp_path: Path) -> None:
    site = RangeSite(BODY, holds=100, answers=dict.fromkeys(range(1, 4), torn(10_000)))
    server = serve(site)

    def vanish() -> None:
        site.wait_for(lambda: len(site.asked) == 3)
        server.close()

    thread = threading.Thread(target=vanish)
    thread.start()
    (result,) = fetch([f"{server.url}/big"], tmp_path, **SPLIT, retry_max_time=0.3)
    thread.join(WAIT_S)
    assert result.status == "failed"
    assert left(tmp_path) == []
    assert not (tmp_path / result.target.key).exists()


def test_time_that_is_over_when_all_parts_are_there_is_a_failure_as_any(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_at, failed = FileUpload.read_at, threading.Event()

    def slow(upload: FileUpload, offset: int, size: int) -> bytes:
        if not failed.is_set():
            failed.set()
            raise TransferError(Kind.TIMEOUT, "not done after --max-time 300 s")
        return read_at(upload, offset, size)

    monkeypatch.setattr(FileUpload, "read_at", slow)
    site = RangeSite(BODY, holds=3)
    result = run(serve, tmp_path, site)
    assert isinstance(result.outcome, Stored), result.outcome
    check(result, tmp_path, result.outcome.response.parts)
    assert failed.is_set()


def test_parts_come_over_tls(serve_tls: Callable[[Routes], Any], tmp_path: Path) -> None:
    site = RangeSite(BODY, holds=3)
    secure = serve_tls(site)
    (result,) = fetch([f"{secure.server.url}/big"], tmp_path, **SPLIT, cacert=str(secure.cacert))
    check(result, tmp_path, 4)
    assert len({one.connection for one in site.requests}) == 4


# ---------------------------------------------------------------- the run ends first


def test_a_run_that_is_stopped_reaches_the_target_no_more(serve: Serve, tmp_path: Path) -> None:
    site = RangeSite(BODY, holds=100)
    with make_run([f"{serve(site).url}/big"], tmp_path, **SPLIT) as begun:

        def stop() -> None:
            site.wait_for(lambda: len(site.asked) == 3)
            begun.stop("enough", 0.0)

        thread = threading.Thread(target=stop)
        thread.start()
        (result,) = begun
        thread.join(WAIT_S)
    assert (result.status, result.target.key) == ("not_reached", result.target.key)
    assert not (tmp_path / result.target.key).exists()
    assert left(tmp_path) == []
    site.release()


def test_what_is_in_flight_ends_within_the_grace(serve: Serve, tmp_path: Path) -> None:
    site = RangeSite(BODY, holds=100)
    with make_run([f"{serve(site).url}/big"], tmp_path, **SPLIT) as begun:

        def stop() -> None:
            site.wait_for(lambda: len(site.asked) == 3)
            begun.stop("enough", WAIT_S)
            site.release()

        thread = threading.Thread(target=stop)
        thread.start()
        (result,) = begun
        thread.join(WAIT_S)
    check(result, tmp_path, 4)


def test_a_killed_run_leaves_nothing_that_is_believed(serve: Serve, tmp_path: Path) -> None:
    site = RangeSite(BODY, holds=100)
    url = f"{serve(site).url}/big"
    engine = ["--engine", QUICK["engine"]]
    command = [sys.executable, "-m", "scraper", url, "-o", str(tmp_path), *engine]
    command += ["--split", "4", "--split-above", "100000", "-q"]
    process = subprocess.Popen(command)
    try:
        site.wait_for(lambda: len(site.asked) == 3)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(WAIT_S)
    assert [path for path in tmp_path.rglob("*") if path.is_file() and "big" in path.name] == []
    site.release()
    done = subprocess.run([*command, "--resume"], check=False, timeout=WAIT_S)
    assert done.returncode == 0
    (stored,) = [path for path in tmp_path.rglob("*") if path.is_file() and "big" in path.name]
    assert stored.read_bytes() == BODY
    assert list((tmp_path / ".scraper" / "tmp").glob("run-*/*")) == []


# ---------------------------------------------------------------- what is seen


def test_all_parts_are_shown_as_one(serve: Serve, tmp_path: Path) -> None:
    site = RangeSite(BODY, holds=100)
    shown: list[Any] = []
    with make_run([f"{serve(site).url}/big"], tmp_path, **SPLIT) as begun:

        def look() -> None:
            site.wait_for(lambda: len(site.asked) == 3)
            for _ in range(1_000):
                shown.append(begun.view().snapshot())
                if any(flight.received >= 30_000 for flight in shown[-1].flights):
                    break
                threading.Event().wait(0.01)
            site.release()

        thread = threading.Thread(target=look)
        thread.start()
        (result,) = begun
        thread.join(WAIT_S)
    check(result, tmp_path, 4)
    (flight,) = shown[-1].flights
    assert flight.expected == len(BODY)
    assert 30_000 <= flight.received <= len(BODY)


def test_a_sink_without_random_access_gets_whole_bodies(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scraper.sinks.directory.sink import DirectorySink

    monkeypatch.setattr(DirectorySink, "random_access", False)
    site = RangeSite(BODY)
    check(run(serve, tmp_path, site), tmp_path, None)
    assert site.asked == []
