"""Runs after other runs, against real servers: nothing is done twice, nothing is forgotten."""

import gc
import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scraper.model.errors import DestinationError, Kind, UsageError
from scraper.model.records import Result, Skipped
from scraper.run.build import make_plan
from scraper.run.loop import Run
from tests.manifest.test_sink_store import Flaky
from tests.run.test_loop import QUICK, body, echo, fetch, kinds, make_run, results_of, statuses
from tests.servers import WAIT_S, Reply, Request, Serve


@pytest.fixture(autouse=True, params=["threads", "curl"])
def _engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With either engine."""
    monkeypatch.setitem(QUICK, "engine", request.param)


DATE = "Sun, 06 Nov 1994 08:49:37 GMT"


def manifest(to: Path) -> Path:
    return to / ".scraper" / "manifest.jsonl"


def asked_with(request: Request) -> dict[str, str]:
    """The conditions of a request."""
    names = ("if-none-match", "if-modified-since", "if-range", "range")
    return {name: request.headers[name] for name in names if name in request.headers}


def objects(to: Path) -> dict[str, tuple[int, ...]]:
    """Every object, with all that would differ if it had been written again."""
    found: dict[str, tuple[int, ...]] = {}
    for path in to.rglob("*"):
        if path.is_file() and ".scraper" not in path.parts:
            stat = path.stat()
            found[str(path)] = (stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size)
    return found


class Site:
    """Pages with versions. `tags` and `dates`: whether they have validators of that kind."""

    def __init__(self, *, tags: bool = True, dates: bool = True) -> None:
        self.version: dict[str, int] = {}
        self.tags = tags
        self.dates = dates

    def head(self, path: str) -> dict[str, str]:
        version = self.version.get(path, 1)
        tag = {"ETag": f'"{path}-{version}"'} if self.tags else {}
        return tag | ({"Last-Modified": f"{DATE[:-6]}{version:02} GMT"} if self.dates else {})

    def body(self, path: str) -> bytes:
        return f"{path} as of version {self.version.get(path, 1)}\n".encode() * 50

    def __call__(self, request: Request) -> Reply:
        head = self.head(request.path)
        tag, date = (request.headers.get(name) for name in ("if-none-match", "if-modified-since"))
        same = tag == head.get("ETag") if tag else date == head.get("Last-Modified")
        if (tag or date) and same:
            return Reply(304, head)
        return Reply(200, head, self.body(request.path))


# ---------------------------------------------------------------- resume


def test_a_resumed_run_makes_no_request_for_what_is_done(serve: Serve, tmp_path: Path) -> None:
    server = serve(lambda one: Reply(404) if one.path.endswith("7") else echo(one))
    urls = [f"{server.url}/{number}" for number in range(100)]
    assert statuses(fetch(urls, tmp_path)) == {"stored": 90, "failed": 10}
    before, records = objects(tmp_path), manifest(tmp_path).read_bytes()
    results = fetch(urls, tmp_path, resume=True)
    assert statuses(results) == {"skipped": 90, "failed": 10}
    assert {count for path, count in server.hits.items() if not path.endswith("7")} == {1}
    assert {count for path, count in server.hits.items() if path.endswith("7")} == {2}
    assert objects(tmp_path) == before
    assert manifest(tmp_path).read_bytes().startswith(records)
    assert len(manifest(tmp_path).read_bytes().splitlines()) == 110
    skipped = next(result for result in results if result.status == "skipped")
    assert skipped.outcome == Skipped("done in an earlier run")
    assert skipped.attempts == 0


def test_a_run_that_was_stopped_is_resumed_with_exactly_the_rest(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve(lambda one: Reply(404) if one.path == "/40" else echo(one))
    urls = [f"{server.url}/{number}" for number in range(100)]
    first = fetch(urls, tmp_path, max_concurrency=3, fail_fast=True)
    done = {result.target.url for result in first if result.status == "stored"}
    assert 30 < len(done) < 60
    server.hits.clear()
    server.handler = echo
    second = fetch(urls, tmp_path, resume=True)
    assert statuses(second) == {"skipped": len(done), "stored": 100 - len(done)}
    assert {server.url + path for path in server.hits} == set(urls) - done
    assert len(objects(tmp_path)) == 100
    assert statuses(fetch(urls, tmp_path, resume=True)) == {"skipped": 100}


@pytest.mark.parametrize("option", ["resume", "retry_failed"])
def test_what_is_skipped_is_told_once_counted_once_and_yielded_once(
    serve: Serve, tmp_path: Path, option: str
) -> None:
    server = serve(echo)
    urls = [f"{server.url}/{number}" for number in range(450)]
    fetch(urls, tmp_path)
    server.hits.clear()
    before = manifest(tmp_path).read_bytes()
    told: list[tuple[Result, ...]] = []
    read = threading.Event()

    def tell(*results: Result) -> None:
        told.append(results)

    def listed() -> Iterator[str]:
        yield from [*urls, "bad", urls[0]]
        read.set()

    options: dict[str, Any] = {option: True, "all": option == "retry_failed"}
    with make_run(listed(), tmp_path, [tell], **options) as run:
        assert read.wait(WAIT_S)  # else they may come one by one
        yielded = list(run)
    assert [result for results in told for result in results] == yielded
    assert len(told) < 100, "what is skipped is told of many at once"
    skipped = [result for result in yielded if result.status == "skipped"]
    assert [result.target.url for result in skipped] == urls
    assert run.tally.statuses == {"skipped": 450, "failed": 1, "duplicate": 1}
    assert statuses(yielded) == run.tally.statuses
    assert not server.hits
    after = manifest(tmp_path).read_bytes().removeprefix(before).splitlines()
    assert [json.loads(line)["status"] for line in after] == ["failed", "duplicate"]


@pytest.mark.parametrize("option", ["resume", "retry_failed"])
def test_what_was_read_ahead_when_a_run_was_stopped_stays_done(
    serve: Serve, tmp_path: Path, option: str
) -> None:
    server = serve(echo)
    urls = [f"{server.url}/{number}" for number in range(300)]
    fetch(urls, tmp_path)
    read = threading.Event()

    def listed() -> Iterator[str]:
        yield from urls
        read.set()

    results: list[Result] = []
    options: dict[str, Any] = {option: True}
    with make_run(listed(), tmp_path, **options) as run:
        assert read.wait(WAIT_S)
        for result in run:
            run.stop("enough")
            results.append(result)
    assert statuses(results) == {"skipped": 300}
    assert statuses(fetch(urls, tmp_path, resume=True)) == {"skipped": 300}


def lose(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


@pytest.mark.each_pair
@pytest.mark.parametrize("harm", [lose, cut, grow])
@pytest.mark.parametrize("option", ["resume", "retry_failed", "refresh"])
def test_an_object_that_is_not_as_it_was_stored_is_fetched_again(
    harm: Callable[[Path], None], option: str, serve: Serve, tmp_path: Path
) -> None:
    server = serve(Site())
    urls = [f"{server.url}/{number}" for number in range(5)]
    harmed = fetch(urls, tmp_path)[2]
    whole = body(tmp_path, harmed)
    harm(tmp_path / harmed.target.key)
    server.requests.clear()
    results = fetch(urls, tmp_path, **{option: True})
    assert [one.target.url for one in results if one.status == "stored"] == [harmed.target.url]
    (request,) = [one for one in server.requests if harmed.target.url.endswith(one.path)]
    assert asked_with(request) == {}
    assert body(tmp_path, harmed) == whole
    assert len(server.requests) == (5 if option == "refresh" else 1)


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"refresh": False}, "stored"),  # everything is new
        ({}, "not_modified"),  # servers are asked by the times of the files
        ({"skip_existing": True}, "skipped"),  # they are not asked
    ],
)
def test_after_a_manifest_was_lost(
    serve: Serve, tmp_path: Path, options: dict[str, bool], status: str
) -> None:
    server = serve(Site())
    urls = [f"{server.url}/{number}" for number in range(5)]
    fetch(urls, tmp_path)
    fetch(urls, tmp_path)
    manifest(tmp_path).unlink()
    before, total = objects(tmp_path), server.total
    assert statuses(fetch(urls, tmp_path, resume=True, **options)) == {status: 5}
    assert (objects(tmp_path) == before) is (status != "stored")
    assert server.total == total + (0 if status == "skipped" else 5)
    assert statuses(fetch(urls, tmp_path, resume=True)) == {"skipped": 5}
    assert statuses(fetch(urls, tmp_path)) == {"not_modified": 5}


def test_an_index_that_is_broken_harms_nobody(serve: Serve, tmp_path: Path) -> None:
    server = serve(echo)
    urls = [f"{server.url}/{number}" for number in range(5)]
    fetch(urls, tmp_path)
    index = tmp_path / ".scraper" / "manifest.jsonl.index"
    for content in (b"", b"no index" * 9999):
        index.write_bytes(content)
        assert statuses(fetch(urls, tmp_path, resume=True)) == {"skipped": 5}
    assert server.total == 5


@pytest.mark.parametrize("torn", [1, 20, 200])
def test_a_record_that_was_torn_is_a_target_that_is_not_done(
    torn: int, serve: Serve, tmp_path: Path
) -> None:
    server = serve(echo)
    urls = [f"{server.url}/{number}" for number in range(5)]
    *_, last = fetch(urls, tmp_path, max_concurrency=1)
    os.truncate(manifest(tmp_path), manifest(tmp_path).stat().st_size - 1 - torn)
    server.requests.clear()
    results = fetch(urls, tmp_path, resume=True)
    assert statuses(results) == {"skipped": 4, "stored": 1}
    assert [server.url + one.path for one in server.requests] == [last.target.url]
    assert statuses(fetch(urls, tmp_path, resume=True)) == {"skipped": 5}


@pytest.mark.parametrize("option", ["resume", "refresh"])
def test_another_rule_for_keys_fetches_everything_again(
    option: str, serve: Serve, tmp_path: Path
) -> None:
    server = serve(Site())
    urls = [f"{server.url}/{number}" for number in range(5)]
    fetch(urls, tmp_path)
    server.requests.clear()
    results = fetch(urls, tmp_path, key="hash", **{option: True})
    assert statuses(results) == {"stored": 5}
    assert [asked_with(request) for request in server.requests] == [{}] * 5
    assert len(objects(tmp_path)) == 10
    assert statuses(fetch(urls, tmp_path, key="hash", resume=True)) == {"skipped": 5}
    assert statuses(fetch(urls, tmp_path, resume=True)) == {"skipped": 5}


def test_a_list_that_is_spelled_otherwise_is_the_same_list(serve: Serve, tmp_path: Path) -> None:
    server = serve(echo)
    urls = [f"{server.url}/{number}?q=a%20b" for number in range(5)]
    fetch(urls, tmp_path)
    other = [url.replace("http", "HTTP").replace("%20", " ") + "#top" for url in urls]
    other = [f'{{"url": "{url}"}}' for url in reversed(other)]
    assert statuses(fetch(["# a comment", *other], tmp_path, resume=True)) == {"skipped": 5}
    assert server.total == 5


def test_a_key_of_the_list_belongs_to_the_target(serve: Serve, tmp_path: Path) -> None:
    server = serve(echo)
    fetch([f"{server.url}/a\tone", f"{server.url}/b\ttwo"], tmp_path)
    swapped = [f"{server.url}/a\ttwo", f"{server.url}/b\tone"]
    assert statuses(fetch(swapped, tmp_path, resume=True)) == {"stored": 2}
    assert (tmp_path / "two").read_bytes().endswith(b"/a\n")
    assert server.total == 4


def test_secrets_are_not_kept_and_tell_urls_apart(serve: Serve, tmp_path: Path) -> None:
    server = serve(echo)

    def urls(secret: str) -> list[str]:
        host = server.url.removeprefix("http://")
        return [
            f"http://me:{secret}@{host}/a",
            f"{server.url}/b?X-Amz-Expires=9&X-Amz-Signature={secret}\tb",
            f'{{"url": "{server.url}/c", "headers": {{"Cookie": "{secret}"}}}}',
        ]

    fetch(urls("s3cret"), tmp_path)
    assert statuses(fetch(urls("s3cret"), tmp_path, resume=True)) == {"skipped": 3}
    assert statuses(fetch(urls("an0ther"), tmp_path, resume=True)) == {"stored": 2, "skipped": 1}
    plain = [f"{server.url}/a", f"{server.url}/c"]
    assert statuses(fetch(plain, tmp_path, resume=True)) == {"stored": 1, "skipped": 1}
    kept = [path.read_bytes() for path in (tmp_path / ".scraper").rglob("*") if path.is_file()]
    assert len(kept) >= 2
    assert not any(b"s3cret" in content for content in kept)


def test_a_repeat_is_a_repeat_in_every_run(serve: Serve, tmp_path: Path) -> None:
    server = serve(Site())
    urls = [f"{server.url}/a", f"{server.url}/a#b", f"{server.url}/a\tother"]
    assert statuses(fetch(urls, tmp_path)) == {"stored": 2, "duplicate": 1}
    assert statuses(fetch(urls, tmp_path)) == {"not_modified": 2, "duplicate": 1}
    assert statuses(fetch(urls, tmp_path, resume=True)) == {"skipped": 2, "duplicate": 1}
    assert server.total == 4


def test_a_manifest_elsewhere_is_read_there(serve: Serve, tmp_path: Path) -> None:
    server = serve(echo)
    urls = [f"{server.url}/{number}" for number in range(5)]
    place = {"manifest": str(tmp_path / "records" / "m.jsonl")}
    fetch(urls, tmp_path / "out", **place)
    assert statuses(fetch(urls, tmp_path / "out", resume=True, **place)) == {"skipped": 5}
    assert statuses(fetch(urls, tmp_path / "out", resume=True)) == {"stored": 5}
    assert not (tmp_path / "out" / ".scraper" / "m.jsonl").exists()
    assert manifest(tmp_path / "out").exists()


def test_a_run_that_can_not_remember_lets_go_of_everything(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be read back"):
        fetch(["http://a/"], tmp_path, resume=True, manifest="/dev/null")
    gc.collect()  # what was left open would be said now
    assert fetch([], tmp_path) == []


# ---------------------------------------------------------------- retry-failed


def test_retry_failed_does_only_what_failed(serve: Serve, tmp_path: Path) -> None:
    broken = {"/3", "/5", "/9"}

    def answer(request: Request) -> Reply:
        if request.path in broken:
            return Reply(503, {"Retry-After": "999"}) if request.path == "/9" else Reply(403)
        return echo(request)

    server = serve(answer)
    urls = [f"{server.url}/{number}" for number in range(10)]
    first = fetch(urls, tmp_path, max_concurrency=1)
    assert statuses(first) == {"stored": 7, "failed": 2, "deferred": 1}
    broken.remove("/5")
    server.requests.clear()
    new = [f"{server.url}/new/{number}" for number in range(3)]
    results = fetch([*urls, *new, "no url"], tmp_path, max_concurrency=1, retry_failed=True)
    assert sorted(request.path for request in server.requests) == ["/3", "/5", "/9"]
    assert statuses(results) == {"skipped": 11, "stored": 1, "failed": 1, "deferred": 1}
    reasons = {one.target.url: one.outcome for one in results if one.status == "skipped"}
    assert {reasons[url] for url in new} == {Skipped("not in the manifest", unknown=True)}
    broken.clear()
    assert statuses(fetch(urls, tmp_path, retry_failed=True)) == {"skipped": 8, "stored": 2}
    assert statuses(fetch(urls, tmp_path, retry_failed=True)) == {"skipped": 10}


def test_retry_failed_does_nothing_where_nothing_was_done(serve: Serve, tmp_path: Path) -> None:
    server = serve(echo)
    results = fetch([f"{server.url}/a"], tmp_path, retry_failed=True)
    assert [result.outcome for result in results] == [Skipped("not in the manifest", unknown=True)]
    assert server.total == 0


# ---------------------------------------------------------------- refresh


@pytest.mark.parametrize(
    ("tags", "dates"), [(True, True), (True, False), (False, True)], ids=["both", "tags", "dates"]
)
def test_a_nightly_run_over_an_unchanged_site_is_one_304_each_and_no_write(
    tags: bool, dates: bool, serve: Serve, tmp_path: Path
) -> None:
    site = Site(tags=tags, dates=dates)
    server = serve(site)
    urls = [f"{server.url}/{number}" for number in range(50)]
    fetch(urls, tmp_path)
    before = objects(tmp_path)
    for _ in range(3):
        server.requests.clear()
        results = fetch(urls, tmp_path)
        assert statuses(results) == {"not_modified": 50}
        assert len(server.requests) == 50
        assert objects(tmp_path) == before
        for request in server.requests:
            head = site.head(request.path)
            expected = {"if-none-match": head.get("ETag")} if tags else {}
            expected |= {"if-modified-since": head.get("Last-Modified")} if dates else {}
            assert asked_with(request) == expected
    assert statuses(fetch(urls, tmp_path, resume=True)) == {"skipped": 50}


def test_a_site_without_validators_is_fetched_anew(serve: Serve, tmp_path: Path) -> None:
    server = serve(Site(tags=False, dates=False))
    urls = [f"{server.url}/{number}" for number in range(5)]
    fetch(urls, tmp_path)
    assert statuses(fetch(urls, tmp_path)) == {"stored": 5}
    assert {len(asked_with(request)) for request in server.requests} == {0}


def test_what_has_changed_is_replaced_at_once_and_the_rest_left_alone(
    serve: Serve, tmp_path: Path
) -> None:
    site = Site()
    server = serve(site)
    urls = [f"{server.url}/{number}" for number in range(10)]
    fetch(urls, tmp_path)
    before = objects(tmp_path)
    site.version["/4"] = 2
    changed = tmp_path / fetch([urls[4]], tmp_path / "probe")[0].target.key
    seen: list[bytes] = []

    def answer(request: Request) -> Reply:
        reply = site(request)
        if reply.status != 200:
            return reply
        assert isinstance(reply.body, bytes)
        half = len(reply.body) // 2
        length = str(len(reply.body))

        def pieces() -> Iterable[bytes]:
            yield reply.body[:half]  # type: ignore[index]
            seen.append(changed.read_bytes())
            yield reply.body[half:]  # type: ignore[index]

        return Reply(200, {**site.head(request.path), "Content-Length": length}, pieces())

    server.handler = answer
    assert statuses(fetch(urls, tmp_path)) == {"not_modified": 9, "stored": 1}
    assert seen == [b"/4 as of version 1\n" * 50]
    assert changed.read_bytes() == b"/4 as of version 2\n" * 50
    after = objects(tmp_path)
    assert {path for path in before if before[path] != after[path]} == {str(changed)}
    assert statuses(fetch(urls, tmp_path)) == {"not_modified": 10}


def test_no_refresh_fetches_everything(serve: Serve, tmp_path: Path) -> None:
    server = serve(Site())
    urls = [f"{server.url}/{number}" for number in range(5)]
    fetch(urls, tmp_path)
    assert statuses(fetch(urls, tmp_path, refresh=False)) == {"stored": 5}
    assert {len(asked_with(request)) for request in server.requests} == {0}


def test_validators_go_only_where_they_came_from(serve: Serve, tmp_path: Path) -> None:
    first, second = Site(), Site()
    ends = [serve(first), serve(second)]
    lead = ends[0]
    server = serve(lambda request: Reply(302, {"Location": lead.url + request.path}))
    urls = [f"{server.url}/a"]
    fetch(urls, tmp_path)
    assert statuses(fetch(urls, tmp_path)) == {"not_modified": 1}
    assert [len(asked_with(request)) for request in ends[0].requests] == [0, 2]
    lead = ends[1]
    assert statuses(fetch(urls, tmp_path)) == {"stored": 1}
    assert [len(asked_with(request)) for request in ends[1].requests] == [0]
    assert {len(asked_with(request)) for request in server.requests} == {0}
    server.handler = Site()
    assert statuses(fetch(urls, tmp_path)) == {"stored": 1}, "it redirects no more"
    assert asked_with(server.requests[-1]) == {}
    assert statuses(fetch(urls, tmp_path)) == {"not_modified": 1}
    server.handler = lambda request: Reply(302, {"Location": ends[0].url + request.path})
    assert statuses(fetch(urls, tmp_path)) == {"stored": 1}, "it redirects again"
    assert asked_with(ends[0].requests[-1]) == {}


def test_an_object_that_goes_while_it_is_asked_about_is_fetched(
    serve: Serve, tmp_path: Path
) -> None:
    site = Site()
    server = serve(site)
    (result,) = fetch([f"{server.url}/a"], tmp_path)

    def answer(request: Request) -> Reply:
        reply = site(request)
        if reply.status == 304:
            (tmp_path / result.target.key).unlink()
        return reply

    server.handler = answer
    (again,) = fetch([f"{server.url}/a"], tmp_path)
    assert (again.status, again.attempts) == ("stored", 1)
    assert body(tmp_path, result) == site.body("/a")
    assert [len(asked_with(request)) for request in server.requests] == [0, 2, 0]


def test_a_304_that_nobody_asked_for_is_a_failure(serve: Serve, tmp_path: Path) -> None:
    server = serve(lambda request: Reply(304, {"ETag": '"v1"'}))
    for _ in range(2):
        (result,) = fetch([f"{server.url}/a"], tmp_path)
        assert result.failure is not None
        assert result.failure.kind is Kind.PROTOCOL
        assert asked_with(server.requests[-1]) == {}
    assert server.total == 2


def test_a_body_that_broke_off_is_not_known_by_the_head_that_it_had(
    serve: Serve, tmp_path: Path
) -> None:
    site = Site()
    server = serve(
        lambda one: Reply(200, {**site.head(one.path), "Content-Length": "99"}, b"x", close=True)
    )
    assert kinds(fetch([f"{server.url}/a"], tmp_path, retries=0)) == {Kind.TRUNCATED: 1}
    server.handler = site
    (result,) = fetch([f"{server.url}/a"], tmp_path)
    assert asked_with(server.requests[-1]) == {}
    assert body(tmp_path, result) == site.body("/a")


def test_a_page_that_loses_its_validators_is_asked_for_without(
    serve: Serve, tmp_path: Path
) -> None:
    site = Site()
    server = serve(site)
    fetch([f"{server.url}/a"], tmp_path)
    site.tags = site.dates = False
    for expected in (2, 0, 0):
        assert statuses(fetch([f"{server.url}/a"], tmp_path)) == {"stored": 1}
        assert len(asked_with(server.requests[-1])) == expected


def test_a_304_with_another_etag_changes_nothing_that_is_known(
    serve: Serve, tmp_path: Path
) -> None:
    site = Site()
    server = serve(site)
    fetch([f"{server.url}/a"], tmp_path)
    previous = {"if-none-match": '"/a-1"', "if-modified-since": site.head("/a")["Last-Modified"]}
    server.handler = lambda request: Reply(304, {"ETag": '"another"', "Last-Modified": DATE})
    for _ in range(3):
        assert statuses(fetch([f"{server.url}/a"], tmp_path)) == {"not_modified": 1}
        assert asked_with(server.requests[-1]) == previous


def test_a_refresh_that_fails_keeps_the_object_and_its_validators(
    serve: Serve, tmp_path: Path
) -> None:
    site = Site()
    server = serve(site)
    url = f"{server.url}/a"
    fetch([url], tmp_path)
    before = objects(tmp_path)
    for reply in (Reply(404, {"ETag": '"error"'}, b"gone"), Reply(500), None):
        server.handler = lambda request, reply=reply: reply  # type: ignore[misc]
        assert statuses(fetch([url], tmp_path, retries=0)) == {"failed": 1}
        assert objects(tmp_path) == before
    server.handler = site
    for option in ("resume", "retry_failed"):
        assert statuses(fetch([url], tmp_path, **{option: True})) == {"not_modified": 1}
        assert len(asked_with(server.requests[-1])) == 2
        server.handler = lambda request: Reply(403)
        fetch([url], tmp_path)
        server.handler = site
    assert objects(tmp_path) == before


def test_the_users_own_condition_is_the_only_one(serve: Serve, tmp_path: Path) -> None:
    site = Site()
    server = serve(site)
    url = f"{server.url}/a"
    fetch([url], tmp_path)
    site.version["/a"] = 2
    mine = {"headers": ['If-None-Match: "/a-2"']}
    assert statuses(fetch([url], tmp_path, **mine)) == {"not_modified": 1}
    assert asked_with(server.requests[-1]) == {"if-none-match": '"/a-2"'}
    (result,) = fetch([url], tmp_path)
    assert result.status == "stored", "what is here was not what that 304 was about"
    assert body(tmp_path, result) == site.body("/a")


# ---------------------------------------------------------------- a manifest in segments


def into_segments(run: Run, flaky: Flaky) -> Run:
    """The run, into a sink that keeps its manifest in segments."""
    run._resources.sink = flaky
    run._plan = make_plan(run.settings, flaky)
    run._resources.destination = "memory://bucket"
    return run


def fetch_into(flaky: Flaky, urls: list[str], **options: Any) -> list[Result]:
    flaky.check()  # the run before closed it
    return results_of(into_segments(make_run(urls, flaky.sink.root, **options), flaky))


def test_a_manifest_in_the_sink_itself_is_memory_enough(serve: Serve, tmp_path: Path) -> None:
    site = Site()
    server = serve(lambda one: Reply(403) if one.path == "/7" else site(one))
    urls = [f"{server.url}/{number}" for number in range(20)]
    flaky = Flaky(tmp_path)
    assert statuses(fetch_into(flaky, urls)) == {"stored": 19, "failed": 1}
    assert not manifest(tmp_path).exists()
    assert statuses(fetch_into(flaky, urls, resume=True)) == {"skipped": 19, "failed": 1}
    assert statuses(fetch_into(flaky, urls)) == {"not_modified": 19, "failed": 1}
    server.handler = site
    server.requests.clear()
    assert statuses(fetch_into(flaky, urls, retry_failed=True)) == {"skipped": 19, "stored": 1}
    assert statuses(fetch_into(flaky, urls, resume=True)) == {"skipped": 20}
    assert len(server.requests) == 1
    assert len(flaky.segments) == 4, "a run that did nothing wrote none"


# ---------------------------------------------------------------- the command


def command(*arguments: str, urls: Iterable[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    whole = [sys.executable, "-m", "scraper", "-", *arguments]
    text = "".join(f"{url}\n" for url in urls)
    return subprocess.run(whole, input=text, capture_output=True, text=True, cwd=cwd, check=False)


def test_the_command_resumes_retries_and_refreshes(serve: Serve, tmp_path: Path) -> None:
    site = Site()
    server = serve(lambda one: Reply(403) if one.path == "/1" else site(one))
    urls = [f"{server.url}/{number}" for number in range(3)]

    def ended(*options: str) -> tuple[int, int, list[str]]:
        server.requests.clear()
        done = command("--results", "-", *options, urls=urls, cwd=tmp_path)
        records = [json.loads(line) for line in done.stdout.splitlines()]
        by_line = sorted(records, key=lambda record: record["line"])
        return done.returncode, len(server.requests), [record["status"] for record in by_line]

    assert ended() == (1, 3, ["stored", "failed", "stored"])
    assert ended("--resume") == (1, 1, ["skipped", "failed", "skipped"])
    assert ended() == (1, 3, ["not_modified", "failed", "not_modified"])
    assert ended("--no-refresh") == (1, 3, ["stored", "failed", "stored"])
    server.handler = site
    assert ended("--retry-failed") == (0, 1, ["skipped", "stored", "skipped"])
    assert ended("--resume") == (0, 0, ["skipped", "skipped", "skipped"])
    assert len(objects(tmp_path / "out")) == 3


def test_the_command_says_what_contradicts_itself(tmp_path: Path) -> None:
    done = command("--resume", "--retry-failed", urls=["http://a/"], cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "scraper: --resume and --retry-failed contradict each other\n"
    done = command("--resume", "--manifest", "/dev/null", urls=["http://a/"], cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("scraper: --resume: this destination can't be read back")
    assert len(done.stderr.splitlines()) == 1


def test_an_index_that_fails_ends_the_run_with_a_result_for_every_line(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve(echo)
    lines = [f"{server.url}/{number}" for number in range(3_000)]
    fetch(lines[:2_500], tmp_path, max_concurrency=32)
    asked_before = server.total
    asked = threading.Event()

    def listed() -> Iterator[str]:
        yield lines[0]
        assert asked.wait(WAIT_S)
        yield from lines[1:]

    def taken() -> Iterator[Result]:
        for number, result in enumerate(run):
            if number == 0:
                with sqlite3.connect(f"{manifest(tmp_path)}.index") as index:
                    index.execute("DROP TABLE known")
                index.close()
                asked.set()
            yield result

    run = make_run(listed(), tmp_path, resume=True)
    results: list[Result] = []
    with run, pytest.raises(DestinationError, match="can't use the index of the manifest"):
        results.extend(taken())
    assert isinstance(results[0].outcome, Skipped)
    numbers = sorted(result.target.line for result in results)
    assert numbers == list(range(1, len(numbers) + 1))
    assert kinds(results) == {Kind.INTERRUPTED: len(results) - 1}
    assert server.total == asked_before
