"""`scraper.arun`: the run's thread and the task, however either of them ends."""

import asyncio
import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import scraper
from scraper.model.options import EngineName
from scraper.run import aio
from tests.e2e.command import WAIT_S, Command, parsed
from tests.e2e.half_answered import HalfAnswered, is_free, urls
from tests.e2e.watch import until
from tests.s3servers import CREDENTIALS, S3Server
from tests.servers import Reply, Request, Serve


def page(request: Request) -> Reply:
    return Reply(body=request.path.encode())


def test_every_result_comes_and_the_summary_counts_them(
    engine: EngineName, serve: Serve, tmp_path: Path
) -> None:
    server = serve(page)

    async def main() -> list[scraper.Result]:
        results = scraper.arun([*urls(server, 500), "nonsense"], to=tmp_path, engine=engine)
        found = [result async for result in results]
        assert results.summary.as_record()["targets"] == 501
        return found

    found = asyncio.run(main())
    assert sorted(result.target.line for result in found) == list(range(1, 502))
    for result in found[:500]:
        if result.path is not None:
            assert result.path.read_bytes() == f"/{result.key}".encode()
    records = parsed((tmp_path / ".scraper" / "manifest.jsonl").read_bytes())
    assert [record["line"] for record in records] == [result.target.line for result in found]


def test_nothing_happens_before_the_first_result_is_asked_for(serve: Serve, tmp_path: Path) -> None:
    server = serve(page)

    async def main() -> None:
        results = scraper.arun(urls(server, 1), to=tmp_path / "out")
        await asyncio.sleep(0)
        assert (server.connections, os.listdir(tmp_path)) == (0, [])
        await results.aclose()
        assert [result async for result in results] == []

    asyncio.run(main())
    assert list(tmp_path.iterdir()) == []


def test_a_bad_option_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(scraper.UsageError, match="max_concurrency must be"):
        scraper.arun([], to=tmp_path, max_concurrency=0)


def test_a_slow_task_holds_the_run(engine: EngineName, serve: Serve, tmp_path: Path) -> None:
    server = serve(page)

    async def main() -> int:
        results = scraper.arun(urls(server, 2_000), to=tmp_path, engine=engine, max_concurrency=4)
        await anext(results)
        buffer = results._thread._buffer
        await asyncio.to_thread(until, lambda: len(buffer) >= aio._AHEAD)  # nobody takes any
        await asyncio.sleep(0.2)  # long enough for hundreds more
        assert server.total <= 2 * aio._AHEAD + 20  # those that the task has taken at once, too
        assert len(buffer) <= aio._AHEAD + 20
        return 1 + len([result async for result in results])

    assert asyncio.run(main()) == 2_000


def test_several_runs_in_one_loop_go_on_side_by_side(serve: Serve, tmp_path: Path) -> None:
    """No page of either run is answered before both have asked for theirs."""
    met = threading.Barrier(2)

    def answer(request: Request) -> Reply:
        if request.path == "/0":
            met.wait(60)
        return page(request)

    server = serve(answer)

    async def fetch(name: str) -> int:
        results = scraper.arun(urls(server, 50), to=tmp_path / name)
        return len([result async for result in results if result.ok])

    async def main() -> None:
        assert [*await asyncio.gather(fetch("one"), fetch("two"))] == [50, 50]

    asyncio.run(main())


def test_other_tasks_have_their_turn_while_results_come_all_the_time(
    serve: Serve, tmp_path: Path
) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async def main() -> None:
        counting = asyncio.create_task(count())
        async for result in scraper.arun(["bad"] * 5_000, to=tmp_path):
            assert not result.ok
        counting.cancel()

    asyncio.run(main())
    assert turns > 5_000 / (aio._AHEAD + 250)


# ---------------------------------------------------------------- errors


def test_an_unusable_destination_is_raised(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    async def main() -> None:
        await anext(scraper.arun(["http://127.0.0.1:1/"], to=tmp_path / "file"))

    with pytest.raises(scraper.DestinationError, match="can't write to directory"):
        asyncio.run(main())


def test_what_the_iterable_raises_comes_after_what_it_gave(serve: Serve, tmp_path: Path) -> None:
    server = serve(page)

    def lines() -> Iterator[str]:
        yield from urls(server, 3)
        raise RuntimeError("the database went away")

    seen = []

    async def main() -> None:
        async for result in scraper.arun(lines(), to=tmp_path):
            seen.append(result.status)  # noqa: PERF401 - an error ends it

    with pytest.raises(RuntimeError, match="the database went away"):
        asyncio.run(main())
    assert seen == ["stored"] * 3
    assert is_free(tmp_path)


def test_a_held_destination_is_raised(tmp_path: Path, serve: Serve) -> None:
    server = serve(page)

    async def main() -> None:
        async with scraper.arun(urls(server, 500), to=tmp_path, max_concurrency=1) as results:
            await anext(results)
            with pytest.raises(scraper.Held):
                await anext(scraper.arun([], to=tmp_path))

    asyncio.run(main())
    assert is_free(tmp_path)


# ---------------------------------------------------------------- left


class OwnError(Exception):
    """Of the program."""


Leave = Callable[[scraper.AsyncResults, asyncio.Event], Awaitable[None]]


async def cancelled_while_it_waits(results: scraper.AsyncResults, ready: asyncio.Event) -> None:
    async def consume() -> None:
        async for _ in results:
            ready.set()

    await cancel(asyncio.create_task(consume()), ready)


async def cancelled_in_the_body(results: scraper.AsyncResults, ready: asyncio.Event) -> None:
    async def consume() -> None:
        async for _ in results:
            ready.set()
            await asyncio.Event().wait()

    await cancel(asyncio.create_task(consume()), ready)


async def cancel(task: "asyncio.Task[None]", ready: asyncio.Event) -> None:
    await ready.wait()
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert caught.traceback  # it keeps the frames of the task, and the iterator in them


async def timed_out(results: scraper.AsyncResults, ready: asyncio.Event) -> None:
    async def consume() -> None:
        async with asyncio.timeout(0.5):
            async for _ in results:
                pass

    with pytest.raises(TimeoutError):
        await consume()


async def waited_for_too_long(results: scraper.AsyncResults, ready: asyncio.Event) -> None:
    async def consume() -> None:
        while True:
            await asyncio.wait_for(anext(results), 0.3)

    with pytest.raises(TimeoutError):
        await consume()


async def closed(results: scraper.AsyncResults, ready: asyncio.Event) -> None:
    await anext(results)
    await results.aclose()


async def broken_off(results: scraper.AsyncResults, ready: asyncio.Event) -> None:
    async for _ in results:
        break


async def broken_off_in_aclosing(results: scraper.AsyncResults, ready: asyncio.Event) -> None:
    async with contextlib.aclosing(results) as iterator:
        async for _ in iterator:
            break


async def failed_in_the_body(results: scraper.AsyncResults, ready: asyncio.Event) -> None:
    async def consume() -> None:
        async with results:
            async for _ in results:
                raise OwnError

    with pytest.raises(OwnError):
        await consume()


async def thrown_in(results: scraper.AsyncResults, ready: asyncio.Event) -> None:
    await anext(results)
    with pytest.raises(OwnError):
        await results.athrow(OwnError())


@pytest.mark.parametrize(
    "leave",
    [
        cancelled_while_it_waits,
        cancelled_in_the_body,
        timed_out,
        waited_for_too_long,
        closed,
        broken_off,
        broken_off_in_aclosing,
        failed_in_the_body,
        thrown_in,
    ],
    ids=lambda leave: leave.__name__,
)
def test_nothing_is_left_of_an_iteration_that_is_left(
    leave: Leave, engine: EngineName, serve: Serve, tmp_path: Path
) -> None:
    site, before = HalfAnswered(serve, 3), set(threading.enumerate())

    async def main() -> None:
        await leave(
            scraper.arun(site.urls, to=tmp_path, engine=engine, max_concurrency=4),
            asyncio.Event(),
        )

    asyncio.run(main())
    gc.collect()
    left = {thread for thread in threading.enumerate() if thread.name == "run"} - before
    for thread in left:  # only its last line may be left of it
        thread.join(5)
        assert not thread.is_alive()
    assert not list((tmp_path / ".scraper").glob("tmp/run-*"))
    assert is_free(tmp_path)
    until(site.is_left_alone)
    site.is_finished_by_another_run(tmp_path, engine)


def test_an_iterator_that_outlives_its_event_loop_lets_the_run_end(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve(page)
    results = scraper.arun(urls(server, 2_000), to=tmp_path)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(anext(results))
    loop.close()
    del results
    gc.collect()
    until(lambda: not any(thread.name == "run" for thread in threading.enumerate()))
    assert is_free(tmp_path)


def test_a_task_that_only_handed_the_iterator_on_may_be_cancelled(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve(page)

    async def main() -> int:
        results = scraper.arun(urls(server, 300), to=tmp_path)
        took = asyncio.Event()

        async def take_one() -> None:
            await anext(results)
            took.set()
            await asyncio.Event().wait()

        first = asyncio.create_task(take_one())
        await took.wait()
        second = [await anext(results)]
        first.cancel()
        await asyncio.wait([first])
        return 1 + len(second) + len([result async for result in results])

    assert asyncio.run(main()) == 300


def test_a_run_into_s3_that_is_cancelled_gives_the_lease_back(
    engine: EngineName, serve: Serve, moto_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    server, bucket = serve(page), moto_server.make_bucket()
    options: dict[str, Any] = {"to": f"s3://{bucket}/p", "s3_endpoint": moto_server.url}

    async def main() -> None:
        results = scraper.arun(urls(server, 500), engine=engine, max_concurrency=2, **options)
        ready = asyncio.Event()
        await cancelled_in_the_body(results, ready)
        await results.aclose()

    asyncio.run(main())
    assert not [key for key in moto_server.keys(bucket) if key.endswith("lock.json")]


@pytest.mark.parametrize("place", ["directory", "bucket"])
def test_the_wait_for_a_lock_can_be_cancelled(
    place: str,
    serve: Serve,
    tmp_path: Path,
    moto_server: S3Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    server = serve(page)
    to = str(tmp_path) if place == "directory" else f"s3://{moto_server.make_bucket()}/p"
    options: dict[str, Any] = {"to": to, "s3_endpoint": moto_server.url}

    async def main() -> None:
        results = scraper.arun(urls(server, 3), lock="wait", **options)
        await asyncio.wait_for(anext(results), 1.0)

    before = set(threading.enumerate())
    with scraper.run(urls(server, 500), max_concurrency=1, **options) as holder:
        next(holder)
        with pytest.raises(TimeoutError):
            asyncio.run(main())
        ours = {"run", "call"}
        until(
            lambda: (
                not [
                    thread
                    for thread in set(threading.enumerate()) - before
                    if thread.name in ours and thread.is_alive()
                ]
            )
        )
        assert next(holder).ok


PROGRAM = """
import asyncio, sys, threading
import scraper

async def main():
    async for result in scraper.arun(sys.stdin, to="out", engine=sys.argv[1]):
        print(result.status, flush=True)

try:
    asyncio.run(main())
except KeyboardInterrupt:
    names = [thread.name for thread in threading.enumerate() if thread.name == "run"]
    print("interrupted", names, flush=True)
"""


def test_a_keyboard_interrupt_ends_the_run(engine: EngineName, cli: Command, serve: Serve) -> None:
    """One page is answered, the next hangs, and stdin stays open."""
    go = threading.Event()
    server = serve(lambda one: Reply(body=b"x", delay=go if one.path == "/1" else None))
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, engine],
        cwd=cli.directory,
        env=cli.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("\n".join(urls(server, 2)) + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "stored\n"
        until(lambda: server.total == 2)
        os.kill(process.pid, signal.SIGINT)
        assert process.stdout.readline() == "interrupted []\n"
        process.stdin.close()
        assert process.wait(WAIT_S) == 0
    go.set()
    assert not list((cli.directory / "out" / ".scraper").glob("tmp/run-*"))
    records = parsed((cli.directory / "out" / ".scraper" / "manifest.jsonl").read_bytes())
    assert [record["line"] for record in records] == [1]
