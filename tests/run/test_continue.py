"""Large bodies that break off, over real sockets: continued within the retries, or begun anew."""

import gzip
import itertools
import json
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import pytest

from scraper.model.errors import Kind
from scraper.model.records import Result, Stored
from scraper.run.loop import Run
from tests.machine import patiently
from tests.run.test_loop import QUICK, body, fetch, hear, kinds, make_run, statuses, workspaces
from tests.servers import (
    WAIT_S,
    HttpServer,
    RawServer,
    Reply,
    Request,
    Script,
    Serve,
    drips,
    in_turn,
    read_head,
    reset,
    silent,
)


@pytest.fixture(autouse=True, params=["threads", "curl"])
def _engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With either engine."""
    monkeypatch.setitem(QUICK, "engine", request.param)


BODY = Random(1).randbytes(1_000_000)
OTHER = Random(2).randbytes(900_000)
CUT = 400_000
ABOVE: dict[str, Any] = {"continue_above": 100_000}
TAG = {"ETag": '"v1"'}
DATES = {
    "Last-Modified": "Sun, 06 Nov 1994 08:49:37 GMT",
    "Date": "Mon, 07 Nov 1994 08:49:37 GMT",
}


def torn(content: bytes, after: int, **headers: str) -> Reply:
    """So much of a body that should be as long as `content`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    length = {"Content-Length": str(len(content))}
    return Reply(200, {**TAG, **length, **named}, [content[:after]], close=True)


def part(content: bytes, start: int, upto: int | None = None, **headers: str) -> Reply:
    """The rest of `content`, or only some of it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    pieces = {
        "Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}",
        "Content-Length": str(len(content) - start),
    }
    cut = upto is not None
    return Reply(206, {**TAG, **pieces, **named}, [content[start:upto]], close=cut)


@dataclass
class Answers:
    """A handler that gives one answer after the other, the last again and again."""

    replies: Sequence[Reply | Callable[[Request], Reply]]
    asked: list[str] = field(default_factory=list)  # the ranges

    def __call__(self, request: Request) -> Reply:
        reply = self.replies[min(len(self.asked), len(self.replies) - 1)]
        self.asked.append(request.headers.get("range", ""))
        if "range" in request.headers:
            assert request.headers["if-range"]
        return reply if isinstance(reply, Reply) else reply(request)


def run(
    serve: Serve, to: Path, *replies: Reply | Callable[[Request], Reply], **options: Any
) -> tuple[Result, list[str]]:
    """The result of one target that is answered so, and the ranges it asked for."""
    answers = Answers(replies)
    server = serve(answers)
    (result,) = fetch([f"{server.url}/big"], to, **{**ABOVE, **options})
    return result, answers.asked


def check(result: Result, to: Path, content: bytes = BODY, attempts: int = 2) -> None:
    """That it was stored right, and recorded so, and nothing is left."""
    assert isinstance(result.outcome, Stored), result.outcome
    assert body(to, result) == content
    assert (result.outcome.size, result.outcome.sha256) == (
        len(content),
        sha256(content).hexdigest(),
    )
    assert result.attempts == attempts
    record = json.loads((to / ".scraper" / "manifest.jsonl").read_bytes().splitlines()[-1])
    assert record["sha256"] == sha256(content).hexdigest()
    assert record["http_code"] == 200
    assert left(to) == []


def left(to: Path) -> list[str]:
    """Temporary files, and which of them are open; the run's directory for them may be."""
    place = re.compile(re.escape(f"{to}/.scraper/tmp/run-") + "[^/ ]+/")
    files = [str(path) for path in (to / ".scraper" / "tmp").glob("run-*/*")]
    for fd in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # it was the directory's own
            files.append("open: " + os.readlink(f"/proc/self/fd/{fd}"))
    return [name for name in files if place.search(name) and not name.endswith("lock")]


# ---------------------------------------------------------------- going on


def test_a_body_that_broke_off_is_continued(serve: Serve, tmp_path: Path) -> None:
    result, asked = run(serve, tmp_path, torn(BODY, CUT), part(BODY, CUT))
    check(result, tmp_path)
    assert asked == ["", f"bytes={CUT}-"]


def test_it_may_break_off_again_and_again(serve: Serve, tmp_path: Path) -> None:
    cuts = [200_000, 200_001, 700_000]
    replies = [torn(BODY, cuts[0])]
    replies += [part(BODY, start, end) for start, end in itertools.pairwise(cuts)]
    result, asked = run(serve, tmp_path, *replies, part(BODY, cuts[-1]))
    check(result, tmp_path, attempts=4)
    assert asked == ["", *(f"bytes={cut}-" for cut in cuts)]


def test_a_continued_body_counts_against_the_retries(serve: Serve, tmp_path: Path) -> None:
    replies = [torn(BODY, CUT), *(part(BODY, CUT + n, CUT + n + 1) for n in range(9))]
    result, asked = run(serve, tmp_path, *replies, retries=3)
    assert (result.status, result.attempts, len(asked)) == ("failed", 4, 4)
    assert result.failure is not None
    assert result.failure.kind is Kind.TRUNCATED
    assert left(tmp_path) == []
    assert not (tmp_path / result.target.key).exists()


def test_what_came_of_a_body_is_known_by_its_date_too(serve: Serve, tmp_path: Path) -> None:
    head = {**DATES, "Content-Length": str(len(BODY))}
    first = Reply(200, head, [BODY[:CUT]], close=True)
    rest = {"Content-Range": f"bytes {CUT}-{len(BODY) - 1}/{len(BODY)}"}
    result, asked = run(serve, tmp_path, first, Reply(206, rest, BODY[CUT:]))
    check(result, tmp_path)
    assert asked == ["", f"bytes={CUT}-"]
    assert result.response is not None
    assert result.response.last_modified == DATES["Last-Modified"]


def test_a_gzip_body_is_continued_where_its_bytes_on_the_wire_ended(
    serve: Serve, tmp_path: Path
) -> None:
    packed, half = gzip.compress(BODY), 500_000
    first = torn(packed, half, Content_Encoding="gzip")
    result, asked = run(serve, tmp_path, first, part(packed, half, Content_Encoding="gzip"))
    check(result, tmp_path)
    assert asked == ["", f"bytes={half}-"]


def test_a_raw_body_is_continued(serve: Serve, tmp_path: Path) -> None:
    packed, half = gzip.compress(BODY), 500_000
    first = torn(packed, half, Content_Encoding="gzip")
    result, asked = run(serve, tmp_path, first, part(packed, half), raw=True)
    check(result, tmp_path, packed)
    assert asked == ["", f"bytes={half}-"]


def chunks(content: bytes) -> Reply:
    """Chunks without an end."""
    size = 50_000
    pieces = (content[at : at + size] for at in range(0, len(content), size))
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return Reply(200, {**TAG, "Transfer-Encoding": "chunked"}, framed, close=True)


def test_a_body_of_unknown_length_is_continued_when_the_rest_says_how_long_it_is(
    serve: Serve, tmp_path: Path
) -> None:
    result, asked = run(serve, tmp_path, chunks(BODY[:CUT]), part(BODY, CUT))
    check(result, tmp_path)
    assert asked == ["", f"bytes={CUT}-"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_refusal_in_between_costs_an_attempt_and_no_byte(
    status: int, serve: Serve, tmp_path: Path
) -> None:
    result, asked = run(serve, tmp_path, torn(BODY, CUT), Reply(status), part(BODY, CUT))
    check(result, tmp_path, attempts=3)
    assert asked == ["", f"bytes={CUT}-", f"bytes={CUT}-"]


def test_a_connection_that_is_lost_in_between_costs_no_byte(tmp_path: Path) -> None:
    first = b'HTTP/1.1 200 OK\r\nETag: "v1"\r\nContent-Length: %d\r\n\r\n' % len(BODY)
    second = b'HTTP/1.1 206 Partial\r\nETag: "v1"\r\nContent-Range: bytes %d-%d/%d\r\n\r\n' % (
        CUT,
        len(BODY) - 1,
        len(BODY),
    )

    def resets(number: int, sock: socket.socket) -> None:
        read_head(sock)
        reset(sock)

    scripts: list[Script | bytes] = [first + BODY[:CUT], resets, b"", second + BODY[CUT:]]
    with RawServer(in_turn(*scripts)) as server:
        (result,) = fetch([f"{server.url}/big"], tmp_path, **ABOVE)
        check(result, tmp_path, attempts=4)


def test_a_redirect_is_followed_anew_and_what_it_leads_to_is_continued(
    serve: Serve, tmp_path: Path
) -> None:
    answers = Answers([torn(BODY, CUT), part(BODY, CUT)])
    end = serve(answers)
    server = serve(lambda request: Reply(302, {"Location": f"{end.url}/big"}))
    (result,) = fetch([f"{server.url}/a"], tmp_path, **ABOVE)
    check(result, tmp_path)
    assert answers.asked == ["", f"bytes={CUT}-"]
    assert [one.headers.get("range") for one in server.requests] == [None, None]
    assert result.response is not None
    assert (result.response.redirects, result.response.url_effective) == (1, f"{end.url}/big")


def test_a_body_that_takes_longer_than_one_attempt_may_is_continued(tmp_path: Path) -> None:
    head = b'HTTP/1.1 200 OK\r\nETag: "v1"\r\nContent-Length: %d\r\n\r\n' % len(BODY)
    stop = threading.Event()
    ranges: list[bytes] = []

    def rest(number: int, sock: socket.socket) -> None:
        found = re.search(rb"Range: bytes=(\d+)-", read_head(sock))
        if found is None:
            return
        start = int(found[1])
        ranges.append(found[0])
        given = b'ETag: "v1"\r\nContent-Range: bytes %d-%d/%d\r\n\r\n'
        sock.sendall(b"HTTP/1.1 206 Partial\r\n" + given % (start, len(BODY) - 1, len(BODY)))
        sock.sendall(BODY[start:])

    def fetched(times: int) -> tuple[Result, Path]:
        ranges.clear()
        script = in_turn(drips(head + BODY[:CUT], stop, BODY[CUT : CUT + 1], 60), rest)
        with RawServer(script) as server:
            to = tmp_path / f"{times}"
            (result,) = fetch([f"{server.url}/big"], to, max_time=times * 2.0, **ABOVE)
            return result, to

    wanted = [b"Range: bytes=%d-" % CUT]
    result, to = patiently(fetched, lambda _: ranges == wanted)
    stop.set()
    check(result, to)
    assert ranges == wanted


def test_a_changed_body_that_broke_off_while_it_was_refreshed_is_continued(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve({"/big": Reply(200, TAG, OTHER)})
    (old,) = fetch([f"{server.url}/big"], tmp_path)
    answers = Answers([torn(BODY, CUT, ETag='"v2"'), part(BODY, CUT, ETag='"v2"')])
    server.handler = answers
    (result,) = fetch([f"{server.url}/big"], tmp_path, **ABOVE)
    check(result, tmp_path)
    assert answers.asked == ["", f"bytes={CUT}-"]
    conditions = [one.headers.get("if-none-match") for one in server.requests]
    assert conditions == [None, '"v1"', None]
    assert old.target.key == result.target.key


# ---------------------------------------------------------------- begun anew


WHOLE = Reply(200, TAG, BODY)


@pytest.mark.parametrize(
    "first",
    [
        torn(BODY, CUT, ETag='W/"v1"'),
        torn(BODY, CUT, ETag=""),
        torn(BODY, CUT, ETag="v1"),
        torn(BODY, 99_999),
        torn(BODY, 0),
    ],
    ids=["weak", "none", "unquoted", "short", "nothing"],
)
def test_what_is_too_short_or_can_not_be_known_again_is_begun_anew(
    first: Reply, serve: Serve, tmp_path: Path
) -> None:
    result, asked = run(serve, tmp_path, first, WHOLE)
    check(result, tmp_path)
    assert asked == ["", ""]


@pytest.mark.parametrize(
    ("second", "content"),
    [
        (WHOLE, BODY),
        (Reply(200, {"ETag": '"v2"'}, OTHER), OTHER),
        (Reply(200, {}, b""), b""),
        (torn(OTHER, len(OTHER), ETag='"v2"'), OTHER),
    ],
    ids=["no ranges", "changed", "emptied", "changed, with a length"],
)
def test_a_server_that_sends_all_of_it_is_believed(
    second: Reply, content: bytes, serve: Serve, tmp_path: Path
) -> None:
    result, asked = run(serve, tmp_path, torn(BODY, CUT), second)
    check(result, tmp_path, content)
    assert asked == ["", f"bytes={CUT}-"]


@pytest.mark.parametrize(
    "second",
    [
        Reply(416, {"Content-Range": f"bytes */{len(BODY)}"}, b"no such range"),
        part(BODY, 0),
        part(BODY, CUT - 1),
        part(OTHER, CUT),
        part(BODY, CUT, ETag='"v2"'),
        part(BODY, CUT, ETag=""),
        part(BODY, CUT, Content_Encoding="gzip"),
        Reply(206, {**TAG, "Content-Range": f"bytes {CUT}-{CUT + 9}/{len(BODY)}"}, b"ten bytes."),
        Reply(206, {**TAG, "Content-Type": "multipart/byteranges; boundary=x"}, b"--x--"),
        Reply(206, TAG, BODY[CUT:]),
    ],
    ids=lambda reply: f"{reply.status} {reply.headers.get('Content-Range')}",
)
def test_an_answer_that_is_not_the_rest_costs_no_attempt(
    second: Reply, serve: Serve, tmp_path: Path
) -> None:
    result, asked = run(serve, tmp_path, torn(BODY, CUT), second, WHOLE)
    check(result, tmp_path)
    assert asked == ["", f"bytes={CUT}-", ""]


def test_a_body_that_is_coded_on_the_fly_is_begun_anew(serve: Serve, tmp_path: Path) -> None:
    packed = gzip.compress(BODY)
    coded = {"Content-Encoding": "gzip"}
    first, whole = chunks(packed[:CUT]), Reply(200, {**TAG, **coded}, packed)
    assert isinstance(first.headers, dict)
    first.headers.update(coded)
    result, asked = run(serve, tmp_path, first, whole)
    check(result, tmp_path)
    assert asked == ["", ""]


def test_the_largest_size_is_meant_of_all_attempts_together(serve: Serve, tmp_path: Path) -> None:
    result, asked = run(
        serve, tmp_path, chunks(BODY[:CUT]), part(BODY, CUT), max_size=len(BODY) - 1
    )
    assert result.failure is not None
    assert result.failure.kind is Kind.TOO_LARGE
    assert asked == ["", f"bytes={CUT}-"]
    assert left(tmp_path) == []
    result, _ = run(
        serve, tmp_path, chunks(BODY[:CUT]), part(BODY, CUT), max_size=len(BODY), retries=1
    )
    check(result, tmp_path)


def test_a_server_that_answers_every_range_with_nonsense_ends_as_a_failure(
    serve: Serve, tmp_path: Path
) -> None:
    result, asked = run(serve, tmp_path, torn(BODY, CUT), part(BODY, 0))
    assert result.failure is not None
    assert (result.failure.kind, result.attempts) == (Kind.PROTOCOL, 2)
    assert asked == ["", f"bytes={CUT}-", ""]
    assert left(tmp_path) == []


def test_a_page_that_is_gone_in_between_is_a_failure(serve: Serve, tmp_path: Path) -> None:
    result, asked = run(serve, tmp_path, torn(BODY, CUT), Reply(404))
    assert result.failure is not None
    assert result.failure.http_code == 404
    assert left(tmp_path) == []
    assert len(asked) == 2


# ---------------------------------------------------------------- nothing left, nothing too much


def test_bodies_that_never_become_whole_leave_nothing(serve: Serve, tmp_path: Path) -> None:
    server = serve(lambda request: torn(BODY, CUT))
    urls = [f"{server.url}/{number}" for number in range(10)]
    results = fetch(urls, tmp_path, max_concurrency=3, retries=2, **ABOVE)
    assert statuses(results) == {"failed": 10}
    assert left(tmp_path) == []
    assert workspaces(tmp_path) == []


class Heard:
    """Retries that a run tells of; after `count` of them something is done, in its thread."""

    def __init__(self, run: Run, count: int, then: Callable[[], None]) -> None:
        self.left = count
        self.then = then
        hear(run, self)

    def __call__(self, level: str, name: str, record: object) -> None:
        if name == "retry":
            self.left -= 1
            if self.left == 0:
                self.then()


LONG: dict[str, Any] = {"backoff_min": 900.0, "backoff_max": 900.0, "retry_max_time": 10_000.0}


def test_no_more_bodies_are_kept_than_there_are_slots(serve: Serve, tmp_path: Path) -> None:
    server = serve(lambda request: torn(BODY, CUT))
    urls = [f"{server.url}/{number}" for number in range(9)]
    run = make_run(urls, tmp_path, max_concurrency=2, **LONG, **ABOVE)
    seen: list[int] = []

    def look(*_: object) -> None:
        seen.append(len([name for name in left(tmp_path) if name.startswith("open: ")]))

    server.on_request = look
    Heard(run, 9, lambda: run.stop("enough"))
    with run:
        assert statuses(run) == {"not_reached": 9}
        look()
    assert len(seen) == 10
    assert max(seen) <= 2 + 2  # of those that wait, of those in flight
    assert seen[-1] == 2
    assert left(tmp_path) == []


def test_a_run_that_is_stopped_lets_go_of_what_it_kept(serve: Serve, tmp_path: Path) -> None:
    server = serve(lambda request: torn(BODY, CUT))
    urls = [f"{server.url}/{number}" for number in range(5)]
    run = make_run(urls, tmp_path, max_concurrency=5, **LONG, **ABOVE)
    kept: list[int] = []

    def stop() -> None:
        kept.append(len(run._failure_policy._partials))
        run.stop("enough")

    Heard(run, 5, stop)
    with run:
        assert statuses(run) == {"not_reached": 5}
    assert kept == [4]  # the last one is put aside after it was told of
    assert left(tmp_path) == []
    assert len((tmp_path / ".scraper" / "manifest.jsonl").read_bytes().splitlines()) == 5


def test_leaving_the_iteration_lets_go_of_what_was_kept(serve: Serve, tmp_path: Path) -> None:
    def answer(request: Request) -> Reply:
        return torn(BODY, CUT) if request.path != "/last" else Reply(body=b"x")

    server = serve(answer)
    urls = [f"{server.url}/{number}" for number in range(3)] + [f"{server.url}/last"]
    run = make_run(urls, tmp_path, max_concurrency=1, **LONG, **ABOVE)
    with run:
        assert next(iter(run)).status == "stored"
        assert len(run._failure_policy._partials) == 1
        assert left(tmp_path)
    assert left(tmp_path) == []


def test_a_run_stopped_while_the_rest_comes_leaves_nothing(tmp_path: Path) -> None:
    first = b'HTTP/1.1 200 OK\r\nETag: "v1"\r\nContent-Length: %d\r\n\r\n' % len(BODY)
    second = b'HTTP/1.1 206 Partial\r\nETag: "v1"\r\nContent-Range: bytes %d-%d/%d\r\n\r\n' % (
        CUT,
        len(BODY) - 1,
        len(BODY),
    )
    going = threading.Event()

    def stuck(number: int, sock: socket.socket) -> None:
        read_head(sock)
        sock.sendall(second + BODY[CUT : CUT + 100_000])
        going.set()
        silent(number, sock)

    with RawServer(in_turn(first + BODY[:CUT], stuck)) as server:
        run = make_run([f"{server.url}/big"], tmp_path, **ABOVE)

        def stop() -> None:
            assert going.wait(WAIT_S)
            run.stop("enough", grace_s=0.0)

        stopper = threading.Thread(target=stop)
        stopper.start()
        with run:
            assert statuses(run) == {"not_reached": 1}
        stopper.join()
    assert left(tmp_path) == []


@pytest.fixture
def vanishing() -> Iterator[HttpServer]:
    with HttpServer(lambda request: torn(BODY, CUT)) as server:
        yield server


def test_a_host_that_goes_down_takes_what_was_kept_of_it_along(
    vanishing: HttpServer, tmp_path: Path
) -> None:
    urls = [f"{vanishing.url}/{number}" for number in range(12)]
    run = make_run(urls, tmp_path, max_concurrency=4, retries=9, retry_max_time=2.0, **ABOVE)
    kept: list[int] = []

    def vanish() -> None:
        kept.append(len(run._failure_policy._partials))
        vanishing.close()

    Heard(run, 4, vanish)
    with run:
        results = list(run)
        assert run._failure_policy._partials == {}
        assert left(tmp_path) == []
    assert kept[0] >= 2
    assert statuses(results) == {"failed": 12}
    assert kinds(results)[Kind.HOST_DOWN] >= 2
    assert left(tmp_path) == []


def test_the_server_may_ask_for_more_patience_than_there_is(serve: Serve, tmp_path: Path) -> None:
    deferring = Reply(503, {"Retry-After": "99999"})
    result, asked = run(serve, tmp_path, torn(BODY, CUT), deferring)
    assert result.status == "deferred"
    assert len(asked) == 2
    assert left(tmp_path) == []
