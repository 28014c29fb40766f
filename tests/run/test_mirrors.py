"""Targets with several URLs: the next one is asked when one fails for good or its host is down."""

import hashlib
import json
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import scraper
from scraper.manifest import lines_from, reading_of, to_record
from scraper.manifest.not_done import Missing, list_line, not_done
from scraper.manifest.verify import Verdict
from scraper.model.errors import Kind
from scraper.model.records import NotReached, Result
from scraper.model.urls import parse
from scraper.sinks.directory.sink import DirectorySink
from scraper.source import keys, lists
from scraper.source.sources import from_iterable
from tests.run.test_digests import verified
from tests.run.test_loop import hear, make_run, results_of
from tests.servers import WAIT_S, Farm, HttpFarm, Reply, Request, Serve, closed_port, free_port

QUICK: dict[str, Any] = {"backoff_min": 0.01, "backoff_max": 0.03, "retries": 1}
BODY = b"the body\n" * 100
OTHER = b"another!\n" * 100


@pytest.fixture(autouse=True, params=["threads", "curl", "processes"])
def _engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With both engines, and in child processes."""
    if request.param == "processes":
        monkeypatch.setitem(QUICK, "processes", 2)
    else:
        monkeypatch.setitem(QUICK, "engine", request.param)


def one(line: Mapping[str, Any], to: Path, **options: Any) -> Result:
    """The result of a list of one line."""
    (result,) = scraper.run([dict(line)], to=to, **{**QUICK, **options})
    return result


def records(to: Path) -> list[dict[str, Any]]:
    """The manifest."""
    return [json.loads(line) for line in lines_from(None, str(to), DirectorySink(to))()]


def ok(request: Request) -> Reply:
    """The body, with validators, also where nothing has changed."""
    if request.headers.get("if-none-match") == '"v1"':
        return Reply(304, {"ETag": '"v1"'})
    return Reply(headers={"ETag": '"v1"'}, body=BODY)


def test_the_next_url_is_asked_when_one_fails_for_good(serve: Serve, tmp_path: Path) -> None:
    bad, good = serve({"/a": Reply(404)}), serve(ok)
    first, mirror = f"{bad.url}/a", f"{good.url}/b"
    result = one({"urls": [first, mirror]}, tmp_path)
    assert (result.status, result.attempts, result.url) == ("stored", 2, first)
    assert result.mirror is not None
    assert result.mirror.listed == mirror
    assert result.key == key_of(first)
    (record,) = records(tmp_path)
    assert record["url"] == first
    assert record["mirror"] == mirror
    assert record["urls"] == [first, mirror]
    assert record["url_effective"] == record["mirror"]
    assert (bad.total, good.total) == (1, 1)
    # It is the same target in a later run, which asks for it by the first URL.
    assert one({"url": first}, tmp_path, resume=True).status == "skipped"
    again = one({"url": first, "urls": [first, mirror]}, tmp_path)
    assert (again.status, again.response and again.response.http_code) == ("not_modified", 304)
    assert [request.headers.get("if-none-match") for request in bad.requests] == [None, None]


def key_of(url: str) -> str:
    """The default key of a URL."""
    return keys.url_key(parse(url))


def test_a_host_that_is_down_is_not_waited_for(serve: Serve, tmp_path: Path) -> None:
    good = serve(ok)
    down = f"http://127.0.0.2:{closed_port('127.0.0.2')}"
    lines = [{"urls": [f"{down}/{number}", f"{good.url}/{number}"]} for number in range(20)]
    options = {**QUICK, "retries": 3, "retry_max_time": 300, "per_host": 1}
    results = list(scraper.run(lines, to=tmp_path, **options))
    assert {(one.status, one.mirror and one.mirror.host) for one in results} == {
        ("stored", good.url.removeprefix("http://"))
    }
    assert good.total == 20
    assert all(result.attempts <= 2 for result in results)
    assert (
        sum(result.attempts for result in results) < 30
    )  # most of them asked the first not at all


def test_a_host_that_was_down_is_asked_after_the_others(serve: Serve, tmp_path: Path) -> None:
    """Nobody else has the page, and the host comes back."""
    port = free_port()
    first = f"http://127.0.0.1:{port}/a"
    with ExitStack() as stack:

        def back(_: Request) -> Reply:
            stack.enter_context(HttpFarm(ok, ["127.0.0.1"], port))
            return Reply(404)

        mirror = serve(back).url.replace("127.0.0.1", "localhost") + "/b"
        result = one({"urls": [first, mirror]}, tmp_path, retries=3)
    assert (result.status, result.mirror) == ("stored", None)
    assert result.attempts >= 3


def test_each_url_has_its_attempts_and_all_are_counted(serve: Serve, tmp_path: Path) -> None:
    busy, good = serve(lambda _: Reply(500)), serve(ok)
    result = one({"urls": [f"{busy.url}/a", f"{good.url}/a"]}, tmp_path, retries=2)
    assert (result.status, result.attempts, busy.total, good.total) == ("stored", 4, 3, 1)


def test_a_body_that_differs_sends_the_target_to_the_next_url(serve: Serve, tmp_path: Path) -> None:
    bad, good = serve(lambda _: Reply(body=OTHER)), serve(ok)
    digest = hashlib.sha256(BODY).hexdigest()
    urls = [f"{bad.url}/a", f"{good.url}/a"]
    result = one({"urls": urls, "key": "k", "sha256": digest}, tmp_path)
    assert (result.status, bad.total, good.total) == ("stored", 1, 1)
    assert (tmp_path / "k").read_bytes() == BODY
    assert [found.verdict for found in verified(tmp_path)] == [Verdict.WHOLE]


def test_what_a_later_run_may_better_is_told(serve: Serve, tmp_path: Path) -> None:
    """No URL has it: the failure is not the 404 of a mirror, since another one may have it."""
    bad = serve({"/a": Reply(500), "/b": Reply(404)})
    result = one({"urls": [f"{bad.url}/a", f"{bad.url}/b", "ftp://a/b"]}, tmp_path)
    assert result.failure is not None
    assert (result.failure.http_code, result.mirror, result.attempts) == (500, None, 3)
    bad.handler = lambda _: Reply(404)
    result = one({"urls": [f"{bad.url}/a", f"{bad.url}/b"]}, tmp_path)
    assert result.failure is not None
    assert (result.failure.http_code, result.attempts) == (404, 2)
    assert result.mirror is not None
    assert result.mirror.listed.endswith("/b")


def not_done_of(to: Path) -> list[bytes]:
    """What `scraper failed` tells."""
    sink = DirectorySink(to)
    reading = reading_of(None, str(to), sink)
    lines = [list_line(one) for one in not_done(lines_from(None, str(to), sink), reading)]
    return [line for line in lines if isinstance(line, bytes)]


def test_what_is_not_done_is_listed_with_its_mirrors(serve: Serve, tmp_path: Path) -> None:
    bad, good = serve(lambda _: Reply(403)), serve(ok)
    urls = [f"{bad.url}/a", f"{bad.url}/b"]
    assert one({"urls": urls}, tmp_path).status == "failed"
    (text,) = not_done_of(tmp_path)
    line = json.loads(text)
    assert (line["url"], line["urls"]) == (urls[0], urls[1:2])
    bad.handler = good.handler
    assert one(line, tmp_path, retry_failed=True).status == "stored"
    assert not_done_of(tmp_path) == []


def test_politeness_is_of_the_mirrors_own_host(farm: Farm, tmp_path: Path) -> None:
    def answer(request: Request) -> Reply:
        if request.plain_path == "/robots.txt":
            rules = "Disallow: /no" if request.address == "127.0.0.2" else "Allow: /"
            return Reply(body=f"User-agent: *\n{rules}\n".encode())
        return Reply(404) if request.address == "127.0.0.1" else ok(request)

    site = farm(answer)
    one_, two, three = (f"http://127.0.0.{number}:{site.port}" for number in (1, 2, 3))
    lines = [{"urls": [f"{one_}/no/{n}", f"{two}/no/{n}", f"{three}/{n}"]} for n in range(6)]
    lines += [{"urls": [f"{one_}/{n}", f"{two}/{n}"]} for n in range(10, 16)]
    results = list(scraper.run(lines, to=tmp_path, **{**QUICK, "robots": True, "per_host": 2}))
    assert [result.status for result in results] == ["stored"] * 12
    at = [result.mirror.host.partition(":")[0] for result in results if result.mirror]
    assert sorted(at) == ["127.0.0.2"] * 6 + ["127.0.0.3"] * 6
    assert max(site.max_in_flight_by_address.values()) <= 2
    assert not [hit for hit in site.requests if hit.address == "127.0.0.2" and "/no" in hit.path]


def test_with_shards_a_target_is_of_the_host_of_its_first_url(farm: Farm, tmp_path: Path) -> None:
    site = farm(lambda request: Reply(404) if request.address == "127.0.0.1" else ok(request))
    hosts = [f"http://127.0.0.{number}:{site.port}" for number in (1, 2, 3, 4)]
    lines = [{"urls": [f"{hosts[0]}/{n}", f"{hosts[1 + n % 3]}/{n}"]} for n in range(6)]
    lines += [{"urls": [f"{host}/own", f"{hosts[0]}/own"]} for host in hosts[1:]]
    told = [
        result
        for shard in ("0/3", "1/3", "2/3")
        for result in scraper.run(lines, to=tmp_path, **{**QUICK, "shard": shard})
    ]
    assert sorted(one.target.line or 0 for one in told) == [*range(1, 10)]
    assert {one.status for one in told} == {"stored"}
    assert [one.mirror is not None for one in told if one.url.startswith(hosts[0])] == [True] * 6
    assert len(site.requests) == 6 * 2 + 3


def test_headers_of_the_line_go_to_each_of_its_urls_and_are_not_told(
    serve: Serve, tmp_path: Path
) -> None:
    bad, good = serve(lambda _: Reply(404)), serve(ok)
    told: list[object] = []
    line = {
        "urls": [f"{bad.url}/a", f"{good.url}/a"],
        "headers": {"Authorization": "Bearer secret-1"},
    }
    run = make_run([json.dumps(line)], tmp_path, **QUICK)
    hear(run, lambda *event: told.append(event))
    (result,) = results_of(run)
    assert result.status == "stored"
    sent = [server.requests[0].headers.get("authorization") for server in (bad, good)]
    assert sent == ["Bearer secret-1"] * 2
    assert [event for event in told if "mirror" in str(event)]
    assert "secret-1" not in f"{told}{to_record(result)}{result!r}"


def test_lines_with_mirrors_are_read_as_all_others() -> None:
    told: list[str] = []
    lines = [
        '{"url": "http://a/x", "urls": ["http://a/x", "http://b/x", "ftp://c/x", "http://b/x#y"]}',
        '{"urls": ["ftp://c/x", "http://b/y"]}',
        '{"urls": ["ftp://c/x"]}',
        '{"urls": []}',
        '{"urls": "http://b/x"}',
        '{"urls": ["http://b/x", 1]}',
        '{"url": "http://a/x", "urls": ["http://d/x"]}',
    ]
    found = list(lists.read(from_iterable(lines), keys.url_key, told.append))
    targets = [item for item in found if not isinstance(item, Result)]
    assert [(one.url, [other.url for other in one.mirrors]) for one in targets] == [
        ("http://a/x", ["http://b/x"]),
        ("http://b/y", []),
        ("http://a/x", ["http://d/x"]),
    ]
    assert targets[0].key == "a_http/" + key_of("http://a/x").partition("/")[2]
    failures = [item.failure for item in found if isinstance(item, Result)]
    assert all(failure is not None and failure.kind is Kind.BAD_URL for failure in failures)
    assert len(failures) == 4
    assert len(told) == 1
    assert "ftp://c/x" in told[0]


def test_a_stop_before_the_next_url_is_no_failure_for_good(serve: Serve, tmp_path: Path) -> None:
    asked, goes_on = threading.Event(), threading.Event()

    def late(_: Request) -> Reply:
        asked.set()
        goes_on.wait(WAIT_S)
        return Reply(404)

    bad, good = serve(late), serve(ok)
    line = {"urls": [f"{bad.url}/a", f"{good.url}/a"]}
    run = make_run([json.dumps(line)], tmp_path, **QUICK)

    def stop() -> None:
        assert asked.wait(WAIT_S)
        run.stop("told")
        goes_on.set()

    thread = threading.Thread(target=stop)
    thread.start()
    (result,) = results_of(run)
    thread.join()
    assert (result.status, result.attempts) == ("not_reached", 1)
    assert isinstance(result.outcome, NotReached)
    assert result.outcome.failure.message == "not finished: told"
    assert one(line, tmp_path, retry_failed=True).status == "stored"


def test_a_target_with_a_secret_mirror_is_left_out_of_the_list_that_the_manifest_gives(
    serve: Serve, tmp_path: Path
) -> None:
    bad = serve({"/a": Reply(404), "/b?token=s": Reply(503)})
    line = {"urls": [f"{bad.url}/a", f"{bad.url}/b?token=s"]}
    assert one(line, tmp_path, retries=0).status == "failed"
    (record,) = records(tmp_path)
    assert list_line(record) is Missing.SECRET
