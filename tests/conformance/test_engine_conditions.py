"""Every engine asks with conditions, goes on with bodies, and asks again when that was in vain."""

import socket
from collections.abc import Sequence
from dataclasses import replace

import pytest

from scraper.model.errors import Kind
from scraper.model.records import NotModified, PreviousRecord
from scraper.model.settings import Limits
from scraper.sinks.base import ReadableSink
from scraper.testing import store
from scraper.transfer.partial import Partial
from scraper.transfer.transfer import Transfer
from tests.conformance.engine_bench import Bench, MakeBench, failure
from tests.conformance.engine_cases import PAGE, head, sized
from tests.servers import HttpServer, RawServer, Reply, Request, Script, read_head, silent

DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
TAGGED = 'ETag: "v1"'
HALF = len(PAGE) // 2
KEEP = Limits(continue_above=100, read_timeout=60)
NAMES = ("if-none-match", "if-modified-since", "if-range", "range")
Answer = Reply | bytes


def kept_alive(*answers: bytes, seen: list[bytes] | None = None) -> Script:
    """All answers over one connection, which then stays open."""

    def script(number: int, sock: socket.socket) -> None:
        for answer in answers:
            asked = read_head(sock)
            if seen is not None:
                seen.append(asked)
            sock.sendall(answer)
        silent(number, sock)

    return script


def with_readable_sink(made: Bench) -> Bench:
    assert isinstance(made.sink, ReadableSink)
    made.plan = replace(made.plan, readable=made.sink)
    return made


def cut(made: Bench, content: bytes = PAGE, at: int = HALF, *lines: str) -> tuple[Partial, str]:
    """What an attempt leaves whose body broke off, and who sent it."""
    with RawServer(sized(content[:at], TAGGED, *lines, length=len(content))) as server:
        transfer = made.fetch(f"{server.url}/page")
        assert failure(transfer).kind is Kind.TRUNCATED
        assert transfer.completion is not None
        assert transfer.completion.partial is not None
        assert transfer.completion.partial.body.received == at
        return transfer.completion.partial, server.url


def conditions(request: Request) -> dict[str, str]:
    return {name: request.headers[name] for name in NAMES if name in request.headers}


def moved(partial: Partial, url: str) -> Partial:
    """As if `url` had sent it."""
    return partial._replace(range=partial.range._replace(url=url))


def go_on(made: Bench, url: str, partial: Partial) -> Transfer:
    """Go on with it, wherever it came from, under the key that it has."""
    made.started -= 1
    transfer = made.start(
        f"{url}/page", partial=partial._replace(range=partial.range._replace(url=f"{url}/page"))
    )
    made.wait(transfer)
    return transfer


REST = Reply(
    206,
    {"ETag": '"v1"', "Content-Range": f"bytes {HALF}-{len(PAGE) - 1}/{len(PAGE)}"},
    PAGE[HALF:],
)


@pytest.mark.parametrize(
    "rest",
    [REST, replace(REST, body=[PAGE[HALF : HALF + 9], PAGE[HALF + 9 :]])],
    ids=["sized", "chunks"],
)
def test_the_rest_of_a_body_is_joined_to_what_there_is(rest: Reply, bench: MakeBench) -> None:
    made = bench(KEEP)
    partial, _ = cut(made)
    with HttpServer({"/page": rest}) as server:
        transfer = go_on(made, server.url, partial)
        assert made.body(transfer) == PAGE
        (request,) = server.requests
        assert conditions(request) == {"range": f"bytes={HALF}-", "if-range": '"v1"'}


def test_a_rest_that_breaks_off_is_kept_with_what_there_was(bench: MakeBench) -> None:
    made = bench(KEEP)
    partial, _ = cut(made)
    lines = (TAGGED, f"Content-Range: bytes {HALF}-{len(PAGE) - 1}/{len(PAGE)}")
    torn = head(*lines, f"Content-Length: {len(PAGE) - HALF}", status="HTTP/1.1 206 Part")
    with RawServer(torn + PAGE[HALF : HALF + 100]) as server:
        transfer = go_on(made, server.url, partial)
        assert failure(transfer).kind is Kind.TRUNCATED
        assert transfer.completion is not None
        again = transfer.completion.partial
        assert again is not None
        assert again.body.received == HALF + 100
    last = {"ETag": '"v1"', "Content-Range": f"bytes {HALF + 100}-{len(PAGE) - 1}/{len(PAGE)}"}
    with HttpServer({"/page": Reply(206, last, PAGE[HALF + 100 :])}) as other:
        assert made.body(go_on(made, other.url, again)) == PAGE


@pytest.mark.parametrize(
    "first",
    [
        Reply(416, {"Content-Range": f"bytes */{len(PAGE)}"}, b"no such range"),
        Reply(206, {"ETag": '"v2"', "Content-Range": "bytes 9-9/10"}, b"x"),
        Reply(206, {"ETag": '"v1"', "Content-Range": f"bytes 0-9/{len(PAGE)}"}, PAGE[:10]),
    ],
    ids=["416", "another body", "another part"],
)
def test_all_of_it_is_asked_for_at_once_when_the_rest_can_not_be_had(
    first: Reply, bench: MakeBench
) -> None:
    made = bench(KEEP)
    partial, _ = cut(made)
    answers = iter([first, Reply(200, {"ETag": '"v1"'}, PAGE)])
    with HttpServer(lambda request: next(answers)) as server:
        transfer = go_on(made, server.url, partial)
        assert made.body(transfer) == PAGE
        assert [len(conditions(request)) for request in server.requests] == [2, 0]
        assert server.connections == 1
        assert len(made.leftovers) == 1


def test_a_large_part_that_is_not_the_rest_is_not_read(bench: MakeBench) -> None:
    made = bench(KEEP)
    partial, _ = cut(made)
    wrong = head(TAGGED, "Content-Range: bytes 0-999999999/1000000000", status="HTTP/1.1 206 Part")

    def script(number: int, sock: socket.socket) -> None:
        if b"range: " in read_head(sock).lower():
            sock.sendall(wrong)
            silent(number, sock)
        else:
            sock.sendall(sized(PAGE))

    with RawServer(script) as server:
        assert made.body(go_on(made, server.url, partial)) == PAGE


def previous(size: int = len(PAGE)) -> PreviousRecord:
    return PreviousRecord(True, size, '"v1"', DATE, variant="plain")


@pytest.mark.parametrize(
    "lines",
    [[], ["Content-Length: 0"], [f"Content-Length: {len(PAGE)}"], ["Transfer-Encoding: chunked"]],
    ids=lambda lines: lines[0] if lines else "bare",
)
def test_a_304_has_no_body_whatever_its_head_says(lines: Sequence[str], bench: MakeBench) -> None:
    made = with_readable_sink(bench(KEEP))
    answer = head(TAGGED, *lines, status="HTTP/1.1 304 Not Modified")
    seen: list[bytes] = []
    with RawServer(kept_alive(answer, sized(PAGE), seen=seen)) as server:
        store(made.sink, "1", PAGE)
        transfer = made.start(f"{server.url}/page", previous=previous())
        made.wait(transfer)
        assert transfer.completion is not None
        assert isinstance(transfer.completion.outcome, NotModified)
        assert b'if-none-match: "v1"\r\n' in seen[0].lower().replace(b'"V1"', b'"v1"')
        assert f"if-modified-since: {DATE}\r\n".lower().encode() in seen[0].lower()
        if "Transfer-Encoding: chunked" not in lines:  # urllib3 gives such a connection up
            assert made.body(made.fetch(f"{server.url}/other")) == PAGE
            assert server.connections == 1


def test_what_is_not_modified_and_not_there_is_asked_for_over_the_same_connection(
    bench: MakeBench,
) -> None:
    def answer(request: Request) -> Reply:
        return Reply(304) if conditions(request) else Reply(body=PAGE)

    with HttpServer(answer) as server:
        made = with_readable_sink(bench(KEEP))
        transfer = made.start(f"{server.url}/page", previous=previous())
        made.wait(transfer)
        assert made.body(transfer) == PAGE
        assert [len(conditions(request)) for request in server.requests] == [2, 0]
        assert server.connections == 1


def test_many_at_once_are_asked_again(bench: MakeBench) -> None:
    def answer(request: Request) -> Reply:
        return Reply(304) if conditions(request) else Reply(body=request.path.encode() * 50)

    with HttpServer(answer) as server:
        made = with_readable_sink(bench(KEEP))
        running = [
            made.start(f"{server.url}/{number}", previous=previous()) for number in range(40)
        ]
        made.wait(*running)
        for number, transfer in enumerate(running):
            assert made.body(transfer) == f"/{number}".encode() * 50
        assert server.total == 80


def test_a_304_that_nobody_asked_for_ends_it(bench: MakeBench) -> None:
    with HttpServer({"/page": Reply(304)}) as server:
        made = with_readable_sink(bench(KEEP))
        found = failure(made.fetch(f"{server.url}/page"))
        assert (found.kind, found.transient) == (Kind.PROTOCOL, False)
        assert server.total == 1


def test_giving_up_while_the_rest_comes_keeps_nothing(bench: MakeBench) -> None:
    made = bench(KEEP)
    partial, _ = cut(made)
    lines = (TAGGED, f"Content-Range: bytes {HALF}-{len(PAGE) - 1}/{len(PAGE)}")
    begun = head(*lines, status="HTTP/1.1 206 Part") + PAGE[HALF : HALF + 100]
    with RawServer(kept_alive(begun)) as server:
        transfer = made.start(
            f"{server.url}/page",
            partial=partial._replace(range=partial.range._replace(url=f"{server.url}/page")),
        )
        made.poll_until(lambda: server.connections == 1)
        made.engine.give_up()
        made.wait(transfer)
        assert transfer.completion is not None
        assert transfer.completion.partial is None
        assert made.leftovers == []


@pytest.mark.parametrize(
    ("lines", "etag", "media_type"),
    [
        (['ETag: "x"', 'ETag: "x"', "Content-Type: text/a", "Content-Type: text/a"], '"x"', "a"),
        (['ETag: "x"', 'ETag: "y"', "Content-Type: text/a", "Content-Type: text/b"], None, "b"),
    ],
    ids=["alike", "different"],
)
def test_of_single_fields_that_come_twice_each_is_decided(
    lines: list[str], etag: str | None, media_type: str, bench: MakeBench
) -> None:
    moved = head(*["Location: /page"] * 2, "Content-Length: 0", *lines, status="HTTP/1.1 302 Found")
    with RawServer(
        kept_alive(moved, sized(PAGE, *lines, f"Content-Length: {len(PAGE)}"))
    ) as server:
        transfer = (made := bench()).fetch(server.url)
        assert made.body(transfer) == PAGE
    response = transfer.completion and transfer.completion.outcome.response
    assert response
    assert (response.etag, response.content_type) == (etag, f"text/{media_type}")
