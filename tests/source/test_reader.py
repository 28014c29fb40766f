"""Intake: reads ahead, within bounds, and never makes anyone wait."""

import os
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from scraper.model.errors import ListError
from scraper.model.records import Result, Target
from scraper.source import keys, lists
from scraper.source.reader import BUFFER, Intake

pytestmark = pytest.mark.timeout(60)


class Bell:
    """Counts how often it was rung, and lets a test wait for the next time."""

    def __init__(self) -> None:
        self.rung = 0
        self._condition = threading.Condition()

    def __call__(self) -> None:
        with self._condition:
            self.rung += 1
            self._condition.notify_all()

    def wait(self, times: int = 1) -> None:
        with self._condition:
            assert self._condition.wait_for(lambda: self.rung >= times, timeout=30)


@pytest.fixture
def bell() -> Bell:
    return Bell()


def intake_of(bell: Callable[[], None], *sources: lists.Source) -> Intake:
    return Intake(sources, keys.url_key, bell)


def numbered(count: int) -> lists.Source:
    return lists.from_iterable(f"http://a/{number}" for number in range(1, count + 1))


def drain(intake: Intake) -> list[lists.Read]:
    """Everything, as the loop takes it: never waiting but for the bell of its own."""
    taken = []
    while not intake.exhausted:
        items = intake.take(200)
        if not items:
            time.sleep(0)  # give the reader its turn; the loop would serve transfers now
        taken += items
    return taken


def test_of_very_long_targets_fewer_are_read_ahead_and_none_is_lost(bell: Bell) -> None:
    full = threading.Event()
    beyond = threading.Event()

    def long() -> Iterator[str]:
        for number in range(1, BUFFER + 1):
            if number == 9:  # of 121 places each
                full.set()
            if number > 9:
                beyond.set()
            yield f"http://a/{number}?" + "x" * 60_000

    intake = intake_of(bell, lists.from_iterable(long()))
    intake.start()
    assert full.wait(30)
    assert not beyond.wait(0.2)  # nothing can tell us that something does not happen
    assert len(drain(intake)) == BUFFER


def test_every_target_of_every_source_comes_in_order(bell: Bell) -> None:
    one = lists.from_iterable(["http://a/1", "bad", "# no", "http://a/2"], "one")
    two = lists.from_iterable(["http://b/1"], "two")
    intake = intake_of(bell, one, two)
    intake.start()
    found = [item.target if isinstance(item, Result) else item for item in drain(intake)]
    assert [(t.source, t.line) for t in found] == [("one", 1), ("one", 2), ("one", 4), ("two", 1)]
    assert intake.lines == 4
    assert intake.complete
    assert intake.empty
    intake.reraise()


def test_nothing_is_lost_or_doubled_when_the_buffer_runs_full_many_times(bell: Bell) -> None:
    count = 20 * BUFFER + 7
    intake = intake_of(bell, numbered(count))
    intake.start()
    lines = [item.line for item in drain(intake) if isinstance(item, Target)]
    assert lines == list(range(1, count + 1))
    assert intake.lines == count


def test_it_reads_ahead_no_further_than_its_buffer(bell: Bell) -> None:
    read = 0
    full = threading.Event()
    beyond = threading.Event()

    def endless() -> Iterator[str]:
        nonlocal read
        while True:
            read += 1
            if read == BUFFER:
                full.set()
            if read > BUFFER:
                beyond.set()
            yield f"http://a/{read}"

    intake = intake_of(bell, lists.from_iterable(endless()))
    intake.start()
    assert full.wait(30)
    assert not beyond.wait(0.2)  # nothing can tell us that something does not happen
    assert intake.lines <= BUFFER
    assert len(intake.take(BUFFER)) == BUFFER
    assert beyond.wait(30)
    intake.close()


def test_taking_never_waits(bell: Bell) -> None:
    go = threading.Event()

    def slow() -> Iterator[str]:
        go.wait(30)
        yield "http://a/1"

    intake = intake_of(bell, lists.from_iterable(slow()))
    intake.start()
    assert not intake.take(1)
    assert intake.empty
    assert not intake.exhausted
    assert not intake.complete
    intake.hungry = True
    go.set()
    bell.wait(1)
    (item,) = intake.take(2)
    assert isinstance(item, Target)
    assert item.listed == "http://a/1"


def test_the_bell_rings_once_for_each_hunger_and_once_at_the_end(bell: Bell) -> None:
    gates = [threading.Event() for _ in range(4)]

    def gated() -> Iterator[str]:
        for number, gate in enumerate(gates):
            gate.wait(30)
            yield f"http://a/{number}"

    intake = intake_of(bell, lists.from_iterable(gated()))
    intake.start()
    intake.hungry = True
    gates[0].set()
    bell.wait(1)
    assert intake.hungry is False
    intake.hungry = True
    gates[1].set()
    bell.wait(2)
    gates[2].set()  # nobody is hungry: nobody is told
    gates[3].set()
    bell.wait(3)
    assert bell.rung == 3
    assert intake.complete
    assert len(drain(intake)) == 4


def test_the_bell_rings_at_the_end_of_an_empty_list(bell: Bell) -> None:
    intake = intake_of(bell, lists.from_iterable([]))
    intake.start()
    bell.wait(1)
    assert intake.exhausted
    assert intake.complete
    assert intake.lines == 0


@pytest.mark.parametrize("error", [ValueError("theirs"), OSError("theirs"), ListError("theirs")])
def test_what_ends_the_reading_is_raised_again_after_what_was_read(
    bell: Bell, error: Exception
) -> None:
    def broken() -> Iterator[str]:
        yield "http://a/1"
        raise error

    intake = intake_of(bell, lists.from_iterable(broken()), numbered(3))
    intake.start()
    bell.wait(1)
    assert intake.complete
    assert len(drain(intake)) == 1
    with pytest.raises(type(error), match="theirs") as caught:
        intake.reraise()
    assert caught.value is error


def test_a_pipe_that_hangs_does_not_stop_closing() -> None:
    reader, writer = os.pipe()
    arrived = Bell()
    (source,) = lists.open_sources([f"/dev/fd/{reader}"], lambda _: pytest.fail("no"))
    intake = intake_of(arrived, source)
    intake.start()
    intake.hungry = True
    os.write(writer, b"http://a/1\n")
    arrived.wait(1)
    intake.close()  # would hang here
    assert isinstance(intake.take(1)[0], Target)
    os.write(writer, b"http://a/2\n")
    os.close(writer)  # the thread ends by itself
    intake._thread.join(30)
    os.close(reader)
    assert not intake._thread.is_alive()
    assert intake.lines == 1
    assert arrived.rung == 1


def test_closing_while_the_buffer_is_full_ends_the_thread(bell: Bell) -> None:
    full = threading.Event()

    def endless() -> Iterator[str]:
        number = 0
        while True:
            number += 1
            if number == BUFFER:
                full.set()
            yield f"http://a/{number}"

    intake = intake_of(bell, lists.from_iterable(endless()))
    intake.start()
    assert full.wait(30)
    intake.close()
    intake._thread.join(30)
    assert not intake._thread.is_alive()


def test_after_closing_what_is_counted_is_what_was_taken() -> None:
    for _ in range(30):
        some = threading.Event()

        def endless(some: threading.Event = some) -> Iterator[str]:
            number = 0
            while True:
                number += 1
                yield f"http://a/{number}"
                if number == 10:
                    some.set()

        intake = intake_of(lambda: None, lists.from_iterable(endless()))
        intake.start()
        assert some.wait(30)
        intake.close()
        taken = intake.take(BUFFER)
        intake._thread.join(30)
        assert len(taken) == intake.lines


def test_the_reading_thread_does_not_keep_the_process_alive(bell: Bell) -> None:
    assert intake_of(bell)._thread.daemon
