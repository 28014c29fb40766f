"""`scraper.run` in a program that changes its directory, forks, or leaves the iteration.

Nothing is left of a run that was left: no temporary file, lock, thread or socket. What it had
stored is not asked for again.
"""

import gc
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

import scraper
from scraper.model.errors import UsageError
from scraper.model.options import EngineName
from scraper.model.records import Result
from tests.e2e.command import Command, parsed
from tests.e2e.half_answered import HalfAnswered, is_free, urls
from tests.e2e.watch import until
from tests.machine import within
from tests.s3servers import CREDENTIALS, S3Server
from tests.servers import Reply, Request, Serve

MANIFEST = Path(".scraper") / "manifest.jsonl"
SUMMARY = ".scraper/summary.json"


@pytest.fixture
def go() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def page(request: Request) -> Reply:
    return Reply(body=request.path.encode())


def stored(to: Path) -> dict[str, bytes]:
    """Everything but the manifest, the summary and locks."""
    own = {str(MANIFEST), f"{MANIFEST}.index", SUMMARY, ".scraper/lock", ".scraper/tmp/lock"}
    found = {str(path.relative_to(to)): path for path in to.rglob("*") if path.is_file()}
    return {key: path.read_bytes() for key, path in found.items() if key not in own}


def recorded(to: Path) -> list[int]:
    return [record["line"] for record in parsed((to / MANIFEST).read_bytes())]


# ---------------------------------------------------------------- os.chdir


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_program_may_change_its_directory_while_it_iterates(
    scheme: str, engine: EngineName, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(page)
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for _ in range(2):  # the second run reads and compacts what the first has written
        results = scraper.run(
            urls(server, 20), to=f"{scheme}out", manifest="records.jsonl", engine=engine
        )
        monkeypatch.chdir(tmp_path / "there")
        for _ in results:
            os.chdir(tmp_path / "there")
        monkeypatch.chdir(tmp_path / "here")
    assert list((tmp_path / "there").iterdir()) == []
    assert len(stored(tmp_path / "here" / "out")) == 20
    records = parsed((tmp_path / "here" / "records.jsonl").read_bytes())
    assert len(records) >= 20
    assert server.total <= 40


# ---------------------------------------------------------------- os.fork


def in_child(work: Callable[[], object]) -> int:
    """Do `work` in a forked process, then end it as Python ends; its status."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            gc.collect()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_that_leaves_the_iteration_touches_nothing(
    engine: EngineName, serve: Serve, tmp_path: Path, go: threading.Event
) -> None:
    server = serve(lambda one: Reply(body=b"x", delay=go if one.path > "/2" else None))
    results = scraper.run(urls(server, 6), to=tmp_path, max_concurrency=2, engine=engine)
    first = next(results)
    (temporary,) = (tmp_path / ".scraper" / "tmp").glob("run-*")
    before = (tmp_path / MANIFEST).read_bytes()
    assert in_child(results.close) == 0
    assert (tmp_path / MANIFEST).read_bytes() == before
    assert temporary.is_dir()
    with pytest.raises(scraper.ScraperError, match="another run holds"):  # the lock is ours still
        next(scraper.run([], to=tmp_path))
    go.set()
    lines = {first.target.line, *(result.target.line for result in results)}
    assert lines == set(range(1, 7))
    assert server.total == 6
    assert sorted(recorded(tmp_path)) == list(range(1, 7))
    assert is_free(tmp_path)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_can_not_go_on_with_the_iteration(
    engine: EngineName, serve: Serve, tmp_path: Path
) -> None:
    server = serve(page)
    results = scraper.run(urls(server, 50), to=tmp_path, max_concurrency=2, engine=engine)
    next(results)

    def go_on() -> None:
        with pytest.raises(UsageError, match="belongs to the process that began it"):
            list(results)

    assert in_child(go_on) == 0
    assert len(list(results)) == 49
    assert server.total == 50
    assert sorted(recorded(tmp_path)) == list(range(1, 51))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_child_that_lives_on_does_not_keep_the_lock(serve: Serve, tmp_path: Path) -> None:
    server = serve(page)
    results = scraper.run(urls(server, 5), to=tmp_path)
    next(results)
    pid = os.fork()
    if pid == 0:
        while True:
            signal.pause()
    try:
        list(results)
        assert is_free(tmp_path)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


# ---------------------------------------------------------------- left early


def close(results: Generator[Result, None, None]) -> None:
    results.close()


def throw(results: Generator[Result, None, None]) -> None:
    with pytest.raises(RuntimeError, match="of the caller"):
        results.throw(RuntimeError("of the caller"))


def drop(results: Generator[Result, None, None]) -> None:
    """The caller's name is gone with this call; see below."""


@pytest.mark.parametrize(
    ("leave", "quick"),
    [(leave, quick) for leave in (close, throw, drop) for quick in (3, 9)],
    ids=lambda one: getattr(one, "__name__", f"{one} answered"),
)
def test_nothing_is_left_of_an_iteration_that_is_left(
    leave: Callable[[Any], None], quick: int, engine: EngineName, serve: Serve, tmp_path: Path
) -> None:
    site = HalfAnswered(serve, quick)
    threads = set(threading.enumerate())
    results = scraper.run(site.urls, to=tmp_path, max_concurrency=4, engine=engine)
    next(results)
    leave(results)
    del results
    gc.collect()
    until(lambda: not any(map(is_ours, set(threading.enumerate()) - threads)))
    until(site.is_left_alone)
    found = stored(tmp_path)
    assert all(body == f"/{key}".encode() for key, body in found.items())
    assert not list((tmp_path / ".scraper").glob("tmp/run-*"))
    asked = dict(site.server.hits)
    site.is_finished_by_another_run(tmp_path, engine)
    assert len(stored(tmp_path)) == 9
    for key in found:
        assert site.server.hits[f"/{key}"] == asked[f"/{key}"], "what was stored is asked for again"


OURS = "reader", "transfer", "commit", "look-up", "manifest", "lease", "call"


def is_ours(thread: threading.Thread) -> bool:
    return thread.name.startswith(OURS)


def test_a_run_into_s3_that_is_left_gives_the_lease_back(
    engine: EngineName, serve: Serve, moto_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    server, bucket = serve(page), moto_server.make_bucket()
    options: dict[str, Any] = {"to": f"s3://{bucket}/p", "s3_endpoint": moto_server.url}
    results = scraper.run(urls(server, 50), engine=engine, max_concurrency=2, **options)
    next(results)
    results.close()
    assert not [key for key in moto_server.keys(bucket) if key.endswith("lock.json")]
    asked = server.total
    kept = len([key for key in moto_server.keys(bucket) if "/.scraper/" not in key])
    list(scraper.run(urls(server, 50), engine=engine, resume=True, **options))
    assert server.total <= asked + 50 - kept


# ---------------------------------------------------------------- told after it is recorded


def test_a_result_is_told_when_the_file_has_it(
    engine: EngineName, serve: Serve, tmp_path: Path
) -> None:
    server = serve(page)
    told = set()
    for result in scraper.run(urls(server, 200), to=tmp_path, engine=engine):
        told.add(result.target.line)
        assert told <= set(recorded(tmp_path))


def test_a_result_is_told_when_s3_has_it(
    engine: EngineName, serve: Serve, moto_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The consumer sends the next line when it has heard of the last, and need not wait long."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    server, bucket = serve(page), moto_server.make_bucket()
    heard = threading.Semaphore(1)

    def lines() -> Iterator[str]:
        for number in range(5):
            heard.acquire()
            yield f"{server.url}/{number}\t{number}"

    options: dict[str, Any] = {"to": f"s3://{bucket}/p", "s3_endpoint": moto_server.url}
    told = set()
    with within(0, room_s=20):  # less than four segments of five seconds each
        for result in scraper.run(lines(), engine=engine, **options):
            told.add(result.target.line)
            keys = [key for key in moto_server.keys(bucket) if "/manifest-" in key]
            text = b"".join(moto_server.read(bucket, key) or b"" for key in keys)
            assert told <= {record["line"] for record in parsed(text)}
            heard.release()
    assert told == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("where", ["directory", "bucket"])
def test_a_killed_run_has_told_nothing_that_the_next_one_tells_again(
    where: str, cli: Command, serve: Serve, moto_server: S3Server
) -> None:
    """A slow reader of `--results`, and SIGKILL in the middle of a line."""
    server = serve(page)
    cli.write("list", *(str(line) for line in urls(server, 600)))
    to = "out" if where == "directory" else f"s3://{moto_server.make_bucket()}/p"
    words = ["list", "-q", "--to", to, "--results", "-", "--s3-endpoint", moto_server.url]
    with cli.start(*words, env=CREDENTIALS) as process:
        assert process.stdout is not None
        first = process.stdout.read(40_000)  # and then it reads no more
        process.kill()
        first += process.stdout.read()
    told = [record["line"] for record in parsed(first[: first.rfind(b"\n") + 1])]
    assert told
    ran = cli(*words, "--resume", env=CREDENTIALS)
    again = [one["line"] for one in ran.records if one["status"] != "skipped"]
    assert not set(told) & set(again)
    assert len(told) == len(set(told))
