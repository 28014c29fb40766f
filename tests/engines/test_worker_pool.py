"""The pool: never more threads than it may have, no work lost, no work begun after its end."""

import threading
from collections.abc import Iterator

import pytest

from scraper.engines.worker_pool import WorkerPool
from tests.servers import WAIT_S

MOST = 3


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    pool = WorkerPool("test-pool", MOST)
    yield pool
    pool.close()


def threads() -> int:
    return sum(thread.name == "test-pool" for thread in threading.enumerate())


def test_all_threads_work_at_once_and_no_more_than_that(pool: WorkerPool) -> None:
    together, released = threading.Barrier(MOST + 1), threading.Semaphore(0)
    begun: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        if number < MOST:
            together.wait(WAIT_S)
        released.release()

    for number in range(10):
        pool.do(lambda number=number: work(number))  # type: ignore[misc]
    assert set(begun) <= set(range(MOST))  # the others wait for a thread
    together.wait(WAIT_S)
    for _ in range(10):
        assert released.acquire(timeout=WAIT_S)
    assert sorted(begun) == list(range(10))
    assert threads() == MOST


def test_a_thread_that_is_free_is_used_again(pool: WorkerPool) -> None:
    threads: set[int | None] = set()
    for _ in range(50):
        ended = threading.Event()

        def work(ended: threading.Event = ended) -> None:
            threads.add(threading.current_thread().ident)
            ended.set()

        pool.do(work)
        assert ended.wait(WAIT_S)
    assert len(threads) <= 2  # one may have told us before it told its pool


def test_after_close_nothing_is_begun_and_all_threads_end(pool: WorkerPool) -> None:
    begun, go_on = threading.Event(), threading.Event()
    after: list[str] = []

    def first() -> None:
        begun.set()
        go_on.wait(WAIT_S)

    for _ in range(MOST):
        pool.do(first)
    pool.do(lambda: after.append("begun"))
    assert begun.wait(WAIT_S)
    pool.close()
    mine = [thread for thread in threading.enumerate() if thread.name == "test-pool"]
    go_on.set()
    for thread in mine:
        thread.join(WAIT_S)
    assert not threads()
    assert after == []
