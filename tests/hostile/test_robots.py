"""--robots against real servers: what is asked, in which order, and hostile answers."""

import contextlib
import gzip
import itertools
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

import scraper
from scraper.model.errors import SinkError
from scraper.model.options import EngineName
from scraper.model.records import Result
from scraper.run import stopping
from scraper.sinks.directory.sink import DirectorySink
from tests.e2e.command import Command
from tests.run.test_loop import Faulty, hear, into, make_run
from tests.servers import (
    WAIT_S,
    Farm,
    Misbehave,
    RawServer,
    Reply,
    Request,
    Serve,
    closed_port,
    reset,
)

RULES = b"User-agent: *\nDisallow: /no\n"
ROBOTS = "/robots.txt"


@pytest.fixture(params=["threads", "curl"])
def engine(request: pytest.FixtureRequest) -> str:
    """Robots.txt means the same with every engine."""
    name: str = request.param
    return name


@pytest.fixture
def fetch(engine: EngineName, tmp_path: Path) -> Callable[..., list[Result]]:
    """Runs with --robots and quick retries, by either engine."""

    def run(urls: Iterable[str], **options: Any) -> list[Result]:
        quick = {"backoff_min": 0.01, "backoff_max": 0.02, "retries": 1, **options}
        return list(scraper.run(urls, to=tmp_path, engine=engine, robots=True, **quick))

    return run


Fetch = Callable[..., list[Result]]


def statuses(results: list[Result]) -> Counter[str]:
    return Counter(result.status for result in results)


def whys(results: list[Result]) -> dict[str, str]:
    """Kind and message of each failure, by path; the origin in it is written as `HERE`."""
    found = {}
    for result in results:
        if result.failure is not None:
            origin, path = result.target.url[:8], result.target.url[8:]
            host, _, path = path.partition("/")
            text = f"{result.failure.kind}: {result.failure.message}"
            found[f"/{path}"] = text.replace(f"{origin}{host}", "HERE")
    return found


def answers(robots: bytes | Reply) -> Callable[[Request], Reply]:
    """A site whose robots.txt is this one, and whose pages are there."""

    def answer(request: Request) -> Reply:
        if request.plain_path == ROBOTS:
            return robots if isinstance(robots, Reply) else Reply(body=robots)
        return Reply(body=b"a page")

    return answer


# ---------------------------------------------------------------- one robots.txt, before all else


def test_each_origin_is_asked_once_and_nothing_else_before_it_answered(
    farm: Farm, fetch: Fetch
) -> None:
    answered: set[str] = set()
    early: list[str] = []
    lock = threading.Lock()

    def answer(request: Request) -> Reply:
        with lock:
            if request.path == ROBOTS:
                answered.add(request.address)
                return Reply(body=RULES)
            if request.address not in answered:
                early.append(request.path)
        return Reply(body=b"a page")

    servers = farm(answer)
    urls = [f"{url}/{number}" for number in range(100) for url in servers.urls]
    urls += [f"{url}/no/{number}" for number in range(5) for url in servers.urls]
    results = fetch(urls, max_concurrency=64)
    assert statuses(results) == {"stored": 400, "failed": 20}
    assert set(whys(results).values()) == {"robots: robots.txt of HERE disallows this"}
    assert servers.hits[ROBOTS] == 4
    assert servers.total == 404
    assert not early
    assert servers.max_in_flight <= 64


def test_targets_that_wait_for_it_hold_no_slot(farm: Farm, fetch: Fetch) -> None:
    others = threading.Event()
    count = itertools.count(1)

    def answer(request: Request) -> Reply:
        if request.path == ROBOTS and request.address == "127.0.0.1":
            return Reply(body=RULES, delay=others)
        if request.path != ROBOTS and request.address == "127.0.0.2" and next(count) == 20:
            others.set()
        return Reply(body=b"a page")

    servers = farm(answer)
    slow, quick, *_ = servers.urls
    urls = [f"{slow}/{number}" for number in range(50)] + [f"{quick}/{n}" for n in range(20)]
    results = fetch(urls, max_concurrency=2)
    assert statuses(results) == {"stored": 70}
    assert servers.max_in_flight == 2


def test_it_keeps_to_the_caps_of_its_host(serve: Serve, fetch: Fetch) -> None:
    server = serve(answers(RULES))
    results = fetch([f"{server.url}/{n}" for n in range(9)], max_concurrency=8, per_host=1)
    assert statuses(results) == {"stored": 9}
    assert server.max_in_flight == 1


def test_what_was_done_before_needs_no_robots_txt(serve: Serve, fetch: Fetch) -> None:
    server = serve(answers(RULES))
    urls = [f"{server.url}/{number}" for number in range(5)]
    assert statuses(fetch(urls)) == {"stored": 5}
    assert statuses(fetch(urls, resume=True)) == {"skipped": 5}
    assert server.hits[ROBOTS] == 1


def test_rules_are_compared_octet_by_octet(serve: Serve, fetch: Fetch) -> None:
    rules = b"User-agent: *\nDisallow: /private/\nAllow: /*?page=\nAllow: /abc\nDisallow: /*?\n"
    rules += b"Foo: bar\nDisallow: /caf%E9\nDisallow: /end$\nAllow: /d/index.html\nDisallow: /d/\n"
    server = serve(answers(rules))
    good = ["/abc?x", "/caf%E8", "/end$", "/d/", "/d/index.html", "/q?page=2"]
    bad = ["/private/x?page=2", "/q?x", "/caf%e9", "/end", "/d/x"]
    found = fetch([server.url + path for path in (*good, *bad)])
    assert {one.target.url.removeprefix(server.url): one.ok for one in found} == {
        **dict.fromkeys(good, True),
        **dict.fromkeys(bad, False),
    }


def test_without_the_option_nobody_asks_and_nothing_is_loaded_for_it(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve(answers(b"User-agent: *\nDisallow: /\n"))
    script = (
        "import sys, scraper\n"
        "(one,) = scraper.run([sys.argv[1]], to=sys.argv[2])\n"
        "assert one.status == 'stored', one\n"
        "assert 'scraper.schedule.robots' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script, f"{server.url}/a", str(tmp_path)], check=True)
    assert server.hits == {"/a": 1}


def test_a_robots_txt_in_the_list_is_fetched_whatever_it_says(serve: Serve, fetch: Fetch) -> None:
    server = serve(answers(b"User-agent: *\nDisallow: /\n"))
    results = fetch([f"{server.url}{ROBOTS}", f"{server.url}/a"])
    assert statuses(results) == {"stored": 1, "failed": 1}
    assert server.hits == {ROBOTS: 2}


# ---------------------------------------------------------------- hops


def test_a_redirect_to_what_is_disallowed_is_not_followed(serve: Serve, fetch: Fetch) -> None:
    def answer(request: Request) -> Reply:
        if request.path == "/hop":
            return Reply(302, {"Location": "/no/x?token=secret"})
        return answers(RULES)(request)

    server = serve(answer)
    (result,) = fetch([f"{server.url}/hop"])
    assert whys([result]) == {
        "/hop": "robots: robots.txt of HERE disallows this: redirect to HERE/no/x?token=REDACTED"
    }
    assert result.attempts == 1
    assert server.hits == {ROBOTS: 1, "/hop": 1}


def test_a_redirect_to_an_origin_that_nobody_asked_is_followed(farm: Farm, fetch: Fetch) -> None:
    def answer(request: Request) -> Reply:
        if request.path == "/hop":
            return Reply(302, {"Location": f"{servers.urls[1]}/no"})
        return answers(RULES)(request)

    servers = farm(answer)
    results = fetch([f"{servers.url}/hop"])
    assert statuses(results) == {"stored": 1}
    assert servers.hits == {ROBOTS: 1, "/hop": 1, "/no": 1}


def test_secrets_go_with_it_to_its_own_origin_alone(farm: Farm, fetch: Fetch) -> None:
    def answer(request: Request) -> Reply:
        if request.path == ROBOTS and request.address == "127.0.0.1":
            return Reply(301, {"Location": f"{servers.urls[1]}/there"})
        return Reply(body=RULES)

    servers = farm(answer)
    url = servers.url.replace("//", "//me:mine@")
    line = json.dumps({"url": f"{url}/no", "headers": {"X-Token": "line"}})
    results = fetch([line], headers={"Authorization": "Bearer all"})
    assert list(whys(results)) == ["/no"]
    first, second = servers.requests
    assert first.headers["authorization"] == "Bearer all"
    assert "x-token" not in first.headers
    assert (second.address, second.path) == ("127.0.0.2", "/there")
    assert "authorization" not in second.headers


# ---------------------------------------------------------------- Crawl-delay, patience, stopping


def test_a_crawl_delay_spaces_the_requests_and_one_that_is_too_long_defers(
    farm: Farm, fetch: Fetch
) -> None:
    moments: list[tuple[float, str]] = []
    begun = time.monotonic()  # before the first request; the server may look late at its clock

    def answer(request: Request) -> Reply:
        said = b"0.25" if request.address == "127.0.0.1" else b"3600"
        moments.append((time.monotonic(), request.address))
        if request.path == ROBOTS:
            return Reply(body=b"User-agent: *\nCrawl-delay: " + said)
        return Reply(body=b"a page")

    servers = farm(answer)
    spaced, endless, *_ = servers.urls
    results = fetch([f"{spaced}/1", f"{spaced}/2", f"{endless}/3"])
    assert statuses(results) == {"stored": 2, "deferred": 1}
    assert whys(results) == {
        "/3": "robots: robots.txt of HERE wants 3600 s between requests (Crawl-delay), more than"
        " max_retry_after 120"
    }
    times = [moment for moment, address in moments if address == "127.0.0.1"]
    assert len(times) == 3
    assert times[2] - begun >= 2 * 0.25


def test_a_run_that_is_stopped_meanwhile_ends_those_who_wait_as_interrupted(
    serve: Serve, engine: EngineName, tmp_path: Path
) -> None:
    never = threading.Event()
    server = serve(answers(Reply(body=RULES, delay=never)))
    urls = [f"{server.url}/{number}" for number in range(30)]
    run = make_run(urls, tmp_path, engine=engine, robots=True)
    server.on_request = lambda request: run.stop("enough", grace_s=0.0)
    with run:
        results = list(run)
    never.set()
    assert {(one.failure.kind, one.attempts) for one in results if one.failure} == {
        ("interrupted", 0)
    }
    assert len(results) == 30
    assert server.hits == {ROBOTS: 1}
    assert len((tmp_path / ".scraper/manifest.jsonl").read_bytes().splitlines()) == 30


def test_a_robots_txt_that_is_left_in_flight_has_no_result_of_its_own(
    serve: Serve, engine: EngineName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stopping, "LAST_GRACE_S", 0.0)
    never = threading.Event()
    server = serve(answers(Reply(body=RULES, delay=never)))
    run = make_run([f"{server.url}/{n}" for n in range(3)], tmp_path, engine=engine, robots=True)
    server.on_request = lambda request: run.stop("enough", grace_s=0.0)
    with run:
        assert run._engine is not None
        monkeypatch.setattr(run._engine, "give_up", lambda: None)
        assert [result.target.line for result in run] == [1, 2, 3]
        monkeypatch.undo()
        assert run.in_flight == 1
    never.set()


def test_a_robots_txt_says_nothing_of_the_destination(
    farm: Farm, engine: EngineName, tmp_path: Path
) -> None:
    servers = farm(answers(RULES))
    heard: list[str] = []
    nine = threading.Event()

    def listed() -> Iterator[str]:
        yield from (f"{servers.urls[0]}/{number}" for number in range(9))
        assert nine.wait(WAIT_S)
        yield f"{servers.urls[1]}/last"

    def note(level: str, name: str, record: object) -> None:
        heard.append(name)
        if heard.count("retry") == 9:
            nine.set()
        if heard.count("retry") == 10:
            run.stop("seen enough")

    def refuse(key: str) -> None:
        raise SinkError("503 SlowDown", transient=True)

    late: dict[str, Any] = {"backoff_min": 900.0, "backoff_max": 900.0, "retry_max_time": 10_000.0}
    run = make_run(listed(), tmp_path, engine=engine, robots=True, max_concurrency=1, **late)
    hear(run, note)
    with into(run, Faulty(DirectorySink(tmp_path), "commit", refuse)):
        assert statuses(list(run)) == {"not_reached": 10}
    assert servers.hits[ROBOTS] == 2
    assert "circuit_breaker" in heard, "ten refused in a row, whatever was fetched in between"


def test_more_patience_than_there_is_defers_those_who_wait(serve: Serve, fetch: Fetch) -> None:
    read = threading.Event()  # what is read later is deferred too, and told so in other words
    server = serve(answers(Reply(503, {"Retry-After": "9999"}, delay=read)))

    def listed() -> Iterator[str]:
        yield from (f"{server.url}/{number}" for number in range(5))
        read.set()

    results = fetch(listed())
    assert statuses(results) == {"deferred": 5}
    assert set(whys(results).values()) == {"http_status: robots.txt of HERE: HTTP 503"}
    assert server.hits == {ROBOTS: 1}


# ---------------------------------------------------------------- hostile answers

OK = b"HTTP/1.1 200 OK\r\n"
BOMB = gzip.compress(RULES + b"#" * 50_000_000)
Say = Callable[[socket.socket], None]


def of_length(body: bytes, *more: bytes) -> bytes:
    return b"\r\n".join([OK.rstrip(), b"Content-Length: %d" % len(body), *more, b"", body])


def bare(head: str) -> bytes:
    return f"HTTP/1.1 {head}\r\nContent-Length: 0\r\n\r\n".encode()


def endless(sock: socket.socket) -> None:
    sock.sendall(OK + b"\r\n" + RULES)
    while True:
        sock.sendall(b"# and more\n" * 5000)


def drip(sock: socket.socket) -> None:
    """One rule after the other, none of them late."""
    sock.settimeout(0.05)
    sock.sendall(OK + b"\r\n" + RULES)
    while True:
        sock.sendall(b"Allow: /\n")
        with contextlib.suppress(TimeoutError):
            if not sock.recv(1):
                return


def silent(sock: socket.socket) -> None:
    while sock.recv(65_536):
        pass


def cut_off(sock: socket.socket) -> None:
    sock.sendall(OK + b"Content-Length: 99\r\n\r\n" + RULES)
    sock.shutdown(socket.SHUT_WR)


def reset_in_the_body(sock: socket.socket) -> None:
    sock.sendall(OK + b"Content-Length: 99\r\n\r\n" + RULES)
    reset(sock)


def denied(message: str) -> str:
    return f"robots: robots.txt of HERE can't be had ({message}), so nothing is allowed"


OBEYED = {"/no": "robots: robots.txt of HERE disallows this"}
NOWHERE = "redirect to 'gopher://x/': scheme 'gopher' is not http or https"
GZIP = b"Content-Encoding: gzip"
# What a server says as its robots.txt; what becomes of /yes and /no, if they are not stored (a
# text: both alike); how often it is asked for, where one retry is allowed.
CASES: dict[str, tuple[Say | bytes, dict[str, str] | str, int]] = {
    "rules": (of_length(RULES), OBEYED, 1),
    "rules with a BOM and CR line ends": (
        of_length(b"\xef\xbb\xbf" + RULES.replace(b"\n", b"\r")),
        OBEYED,
        1,
    ),
    "rules, of which some are no UTF-8": (of_length(RULES + b"Disallow: /\xff\n"), OBEYED, 1),
    "endless": (endless, OBEYED, 1),
    "long, as it says": (of_length(RULES + b"#" * 999_999), OBEYED, 1),
    "rules after 500 KiB": (of_length(b"User-agent: *\n" + b"#\n" * 260_000 + RULES), {}, 1),
    "a gzip bomb": (of_length(BOMB, GZIP), OBEYED, 1),
    "gzip that is none": (of_length(RULES, GZIP), denied("NO GZIP"), 1),
    "a page of HTML": (of_length(b"<html>User-agent: *<p>Disallow: /</html>"), {}, 1),
    "binary": (of_length(bytes(range(256)) * 1000), {}, 1),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", {}, 1),
    "not found": (bare("404 No"), {}, 1),
    "forbidden": (bare("403 No"), {}, 1),
    "unavailable": (bare("503 No"), denied("HTTP 503"), 2),
    "too many": (bare("429 No"), denied("HTTP 429"), 2),
    "unchanged, though nobody asked": (
        b"HTTP/1.1 304 Same\r\n\r\n",
        denied("304 Not Modified, though nothing was asked about"),
        1,
    ),
    "a redirect loop": (bare("302 Found\r\nLocation: /robots.txt"), {}, 11),
    "a redirect to nothing": (bare("302 Found\r\nLocation: gopher://x/"), denied(NOWHERE), 1),
    "cut off": (cut_off, denied("CUT"), 2),
    "reset in the body": (reset_in_the_body, denied("CUT"), 2),
    "reset": (reset, denied("connection was closed before a response"), 2),
    "no HTTP": (b"\x00" * 100 + b"\r\n\r\n", denied("NOT HTTP"), 1),
    "wildcards without number": (
        of_length(b"User-agent: *\n" + b"Allow:/*a*b$\n" * 30_000),
        "robots: robots.txt of HERE has more than 2,000 rules with wildcards",
        1,
    ),
    "names without number": (
        of_length(RULES + b"".join(b"User-agent: %d\n" % n for n in range(14_000)) + RULES),
        OBEYED,
        1,
    ),
}
SLOW: dict[str, tuple[Say | bytes, dict[str, str] | str, int]] = {
    "silence": (silent, denied("no response within the time"), 1),
    "drip": (drip, denied("not done after max_time 1 s"), 1),
}
# One limit is short in each case, so that a busy machine does not meet the other one first.
SHORT = {
    "silence": {"read_timeout": 0.5, "max_time": WAIT_S},
    "drip": {"read_timeout": WAIT_S, "max_time": 1.0},
}
# libcurl and http.client say it in words of their own.
WORDS = [
    (r"\((?:not HTTP|TLS): .*?\), so", "(NOT HTTP), so"),
    (r"\(body is not what its coding says: .*?\), so", "(NO GZIP), so"),
    (r"\((?:body ended after|connection broke in the body).*?\), so", "(CUT), so"),
]


def site(misbehave: Misbehave, said: Say | bytes) -> RawServer:
    """Pages, and a robots.txt that is said in this way."""

    def script(number: int, sock: socket.socket) -> None:
        head = server.read_head(sock)
        if not head.startswith(b"GET /robots.txt "):
            sock.sendall(of_length(b"a page", b"Connection: close") if head else b"")
        elif isinstance(said, bytes):
            sock.sendall(said)
            sock.shutdown(socket.SHUT_WR)
        else:
            said(sock)

    server = misbehave(script)
    return server


def check(case: tuple[Say | bytes, dict[str, str] | str, int], run: Fetch, at: RawServer) -> None:
    _, expected, asked = case
    results = run([f"{at.url}/yes", f"{at.url}/no"])
    found = whys(results)
    for pattern, word in WORDS:
        found = {path: re.sub(pattern, word, why) for path, why in found.items()}
    if isinstance(expected, str):
        expected = {"/yes": expected, "/no": expected}
    assert found == expected
    heads = Counter(head.split(b" ", 2)[1].decode() for head in at.heads)
    assert heads.pop(ROBOTS) == asked
    assert heads == {path: 1 for path in ("/yes", "/no") if path not in expected}


@pytest.mark.parametrize("case", CASES)
def test_whatever_a_robots_txt_is_it_means_one_thing(
    case: str, misbehave: Misbehave, fetch: Fetch
) -> None:
    check(CASES[case], fetch, site(misbehave, CASES[case][0]))


@pytest.mark.parametrize("case", SLOW)
def test_a_robots_txt_that_does_not_come_is_not_waited_for_without_end(
    case: str, misbehave: Misbehave, fetch: Fetch
) -> None:
    def quick(urls: list[str]) -> list[Result]:
        return fetch(urls, retries=0, **SHORT[case])

    check(SLOW[case], quick, site(misbehave, SLOW[case][0]))


def test_a_server_that_is_not_there_allows_nothing(fetch: Fetch) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    results = fetch([f"{url}/1", f"{url}/2"], retry_max_time=0.5)
    said = denied("can't connect: Connection refused")
    assert {why.lower() for why in whys(results).values()} == {said.lower()}
    assert [result.attempts for result in results] == [0, 0]


# ---------------------------------------------------------------- what is told


def test_the_command_tells_of_each_robots_txt_and_counts_it_nowhere(
    cli: Command, serve: Serve
) -> None:
    server = serve(answers(RULES + b"Crawl-delay: 0.01\n"))
    ran = cli("-v", "--robots", "-", stdin=f"{server.url}/yes\n{server.url}/no\n")
    assert ran.status == 1
    assert f"robots.txt of {server.url}: HTTP 200, 46 bytes, Crawl-delay 0.01 s" in ran.errors
    assert any("2 targets: 1 stored, 1 failed in" in line for line in ran.errors)
    assert any("failed:    1 robots" in line for line in ran.errors)
    assert [record["status"] for record in cli.records()] == ["failed", "stored"]


def test_the_name_in_the_user_agent_is_what_counts(cli: Command, serve: Serve) -> None:
    text = b"User-agent: scraper\nDisallow: /\n\nUser-agent: MyBot\nDisallow: /mine\n"
    server = serve(answers(text))
    listed = f"{server.url}/mine\n{server.url}/other\n"
    assert cli("--robots", "-", stdin=listed).status == 1
    assert server.hits == {ROBOTS: 1}
    ran = cli("--robots", "-A", "mybot/1.0 (+http://me)", "-", stdin=listed)
    assert ran.status == 1
    assert server.hits == {ROBOTS: 2, "/other": 1}


# ---------------------------------------------------------------- X-Robots-Tag, --robots-agent


def tagged(request: Request) -> Reply:
    """A page with the X-Robots-Tag that its query names."""
    return Reply(200, {"X-Robots-Tag": request.path.partition("?")[2]}, b"a page")


def test_a_body_with_a_tag_that_the_user_minds_is_not_stored(
    serve: Serve, engine: EngineName, tmp_path: Path
) -> None:
    server = serve(tagged)
    tags = ("noai", "noimageai", "otherbot:noai", "scraper:noai", "nofollow")
    urls = [f"{server.url}/{place}?{tag}" for place, tag in enumerate(tags)]
    options = {"robots_tags": "NoAI, noimageai", "retries": 2}
    results: list[Result] = [*scraper.run(urls, to=tmp_path, engine=engine, **options)]  # type: ignore[arg-type]
    assert sorted(one.target.line for one in results if one.ok) == [3, 5]
    assert set(whys(results).values()) == {
        "robots: X-Robots-Tag says 'noai'",
        "robots: X-Robots-Tag says 'noimageai'",
    }
    assert server.total == 5  # nobody asks again, and without --robots nobody asks for robots.txt
    assert len([path for path in tmp_path.glob("*/*") if not path.match(".scraper/*")]) == 2


def test_an_unchanged_body_with_such_a_tag_is_a_failure_and_stays(
    serve: Serve, engine: EngineName, tmp_path: Path
) -> None:
    tags: list[str] = ["all", "noai"]

    def answer(request: Request) -> Reply:
        code = 304 if "if-none-match" in request.headers else 200
        return Reply(code, {"ETag": '"a"', "X-Robots-Tag": tags.pop(0)}, b"a page"[: 500 - code])

    server = serve(answer)
    for status in ("stored", "failed"):
        (one,) = scraper.run(
            [(f"{server.url}/a", "k")], to=tmp_path, engine=engine, robots_tags=["noai"]
        )
        assert one.status == status
    assert (tmp_path / "k").read_bytes() == b"a page"


def test_our_name_may_be_another_than_the_first_word_of_the_user_agent(
    serve: Serve, fetch: Fetch
) -> None:
    def answer(request: Request) -> Reply:
        if request.path == ROBOTS:
            return Reply(body=b"User-agent: FooBot\nDisallow: /no\n\nUser-agent: *\nDisallow: /\n")
        return tagged(request)

    server = serve(answer)
    browser = "Mozilla/5.0 (compatible; FooBot/2.1)"
    urls = [f"{server.url}/{path}" for path in ("yes", "no", "x?foobot:noai", "y?mozilla:noai")]
    results = fetch(urls, user_agent=browser, robots_agent="FooBot", robots_tags="noai")
    assert whys(results) == {
        "/no": "robots: robots.txt of HERE disallows this",
        "/x?foobot:noai": "robots: X-Robots-Tag says 'noai'",
    }
    assert {request.headers["user-agent"] for request in server.requests} == {browser}
