"""Calls that may never return: their result, their error, and who gives up first."""

import math
import threading
import time

import pytest

from scraper.run.timeout import call_until
from tests.servers import WAIT_S


def never() -> float:
    return math.inf


def test_a_call_gives_its_result() -> None:
    assert call_until(lambda: "result", never) == "result"


def test_a_call_raises_its_error() -> None:
    with pytest.raises(ZeroDivisionError):
        call_until(lambda: 1 // 0, never)


def test_a_call_that_does_not_return_is_given_up() -> None:
    over = threading.Event()
    with pytest.raises(TimeoutError):
        call_until(over.wait, lambda: 0.0)
    over.set()


def test_the_time_may_change_while_the_call_lasts() -> None:
    over, until = threading.Event(), [math.inf]

    def work() -> None:
        until[0] = time.monotonic()
        over.wait(WAIT_S)

    with pytest.raises(TimeoutError):
        call_until(work, lambda: until[0])
    over.set()


def test_a_result_that_comes_too_late_is_undone() -> None:
    over, undone = threading.Event(), threading.Event()
    got: list[str] = []

    def work() -> str:
        over.wait(WAIT_S)
        return "late"

    def undo(result: str) -> None:
        got.append(result)
        undone.set()

    with pytest.raises(TimeoutError):
        call_until(work, lambda: 0.0, undo)
    assert got == []
    over.set()
    assert undone.wait(WAIT_S)
    assert got == ["late"]


def test_a_caller_that_is_interrupted_gives_up_too() -> None:
    over, undone = threading.Event(), threading.Event()

    def interrupted() -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call_until(lambda: over.wait(WAIT_S), interrupted, lambda _: undone.set())
    over.set()
    assert undone.wait(WAIT_S)


def test_where_no_thread_can_be_made_the_call_is_made_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert call_until(threading.get_ident, never) == threading.get_ident()
