"""ListReader: reads ahead, within bounds, and never makes anyone wait."""

import gzip
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scraper.model.errors import ListError
from scraper.model.records import Result, Target
from scraper.source import keys, lists
from scraper.source.reader import BUFFER, ListReader
from scraper.source.sources import Source, from_iterable, open_sources
from tests.lists import reason, seen

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


def reader_of(bell: Callable[[], None], *sources: Source) -> ListReader:
    return ListReader(sources, keys.url_key, bell)


def numbered(count: int) -> Source:
    return from_iterable(f"http://a/{number}" for number in range(1, count + 1))


def drain(reader: ListReader) -> list[lists.Read]:
    """Everything, as the loop takes it: never waiting but for the bell of its own."""
    taken = []
    while not reader.exhausted:
        items = reader.take(200)
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

    reader = reader_of(bell, from_iterable(long()))
    reader.start()
    assert full.wait(30)
    assert not beyond.wait(0.2)  # nothing can tell us that something does not happen
    assert len(drain(reader)) == BUFFER


def test_every_target_of_every_source_comes_in_order(bell: Bell) -> None:
    one = from_iterable(["http://a/1", "bad", "# no", "http://a/2"], "one")
    two = from_iterable(["http://b/1"], "two")
    reader = reader_of(bell, one, two)
    reader.start()
    found = [item.target if isinstance(item, Result) else item for item in drain(reader)]
    assert [(t.source, t.line) for t in found] == [("one", 1), ("one", 2), ("one", 4), ("two", 1)]
    assert reader.lines == 4
    assert reader.complete
    assert reader.empty
    reader.reraise()


def test_nothing_is_lost_or_doubled_when_the_buffer_runs_full_many_times(bell: Bell) -> None:
    count = 20 * BUFFER + 7
    reader = reader_of(bell, numbered(count))
    reader.start()
    lines = [item.line for item in drain(reader) if isinstance(item, Target)]
    assert lines == list(range(1, count + 1))
    assert reader.lines == count


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

    reader = reader_of(bell, from_iterable(endless()))
    reader.start()
    assert full.wait(30)
    while reader.lines < BUFFER:  # the list has given the last one; the reader takes it
        assert reader._thread.is_alive()
    assert not beyond.wait(0.2)  # nothing can tell us that something does not happen
    assert reader.lines <= BUFFER
    assert len(reader.take(BUFFER)) == BUFFER
    assert beyond.wait(30)
    reader.close()


def test_taking_never_waits(bell: Bell) -> None:
    go = threading.Event()

    def slow() -> Iterator[str]:
        go.wait(30)
        yield "http://a/1"

    reader = reader_of(bell, from_iterable(slow()))
    reader.start()
    assert not reader.take(1)
    assert reader.empty
    assert not reader.exhausted
    assert not reader.complete
    reader.hungry = True
    go.set()
    bell.wait(1)
    (item,) = reader.take(2)
    assert isinstance(item, Target)
    assert item.listed == "http://a/1"


def test_the_bell_rings_once_for_each_hunger_and_once_at_the_end(bell: Bell) -> None:
    gates = [threading.Event() for _ in range(4)]

    def gated() -> Iterator[str]:
        for number, robots_queue in enumerate(gates):
            robots_queue.wait(30)
            yield f"http://a/{number}"

    reader = reader_of(bell, from_iterable(gated()))
    reader.start()
    reader.hungry = True
    gates[0].set()
    bell.wait(1)
    assert reader.hungry is False
    reader.hungry = True
    gates[1].set()
    bell.wait(2)
    gates[2].set()  # nobody is hungry: nobody is told
    gates[3].set()
    bell.wait(3)
    assert bell.rung == 3
    assert reader.complete
    assert len(drain(reader)) == 4


def test_the_bell_rings_at_the_end_of_an_empty_list(bell: Bell) -> None:
    reader = reader_of(bell, from_iterable([]))
    reader.start()
    bell.wait(1)
    assert reader.exhausted
    assert reader.complete
    assert reader.lines == 0


@pytest.mark.parametrize("error", [ValueError("theirs"), OSError("theirs")])
def test_what_ends_the_reading_is_raised_again_after_what_was_read(
    bell: Bell, error: Exception
) -> None:
    def broken() -> Iterator[str]:
        yield "http://a/1"
        raise error

    reader = reader_of(bell, from_iterable(broken()), numbered(3))
    reader.start()
    bell.wait(1)
    assert reader.complete
    assert len(drain(reader)) == 1
    with pytest.raises(type(error), match="theirs") as caught:
        reader.reraise()
    assert caught.value is error


def test_what_is_no_list_costs_no_line_of_the_others_and_the_first_is_raised(bell: Bell) -> None:
    def no_list(name: str) -> Iterator[str]:
        yield f"http://a/{name}"
        raise ListError(f"{name} is none")

    sources = [from_iterable(no_list("one")), numbered(2), from_iterable(no_list("two"))]
    reader = reader_of(bell, *sources)
    reader.start()
    bell.wait(1)
    assert len(drain(reader)) == 4
    with pytest.raises(ListError, match="one is none"):
        reader.reraise()


def test_a_list_that_breaks_off_is_a_failure_at_that_place(bell: Bell, tmp_path: Path) -> None:
    whole = b"".join(b"http://a/%d/%s\n" % (number, b"x" * 400) for number in range(900))
    (tmp_path / "torn.gz").write_bytes(gzip.compress(whole, 0)[:-2_000])
    torn = open_sources([str(tmp_path / "torn.gz")], lambda _: pytest.fail("no"))
    reader = reader_of(bell, *torn, numbered(1))
    reader.start()
    bell.wait(1)
    *before, broken, last = drain(reader)
    assert before
    assert all(isinstance(item, Target) for item in before)
    assert isinstance(last, Target)
    assert "torn.gz' broke off" in reason(broken)
    assert seen([broken]) == [(len(before) + 1, "")]
    assert reader.incomplete
    reader.reraise()


def test_a_pipe_that_hangs_does_not_stop_closing() -> None:
    end, writer = os.pipe()
    arrived = Bell()
    (source,) = open_sources([f"/dev/fd/{end}"], lambda _: pytest.fail("no"))
    reader = reader_of(arrived, source)
    reader.start()
    reader.hungry = True
    os.write(writer, b"http://a/1\n")
    arrived.wait(1)
    reader.close()  # would hang here
    assert isinstance(reader.take(1)[0], Target)
    os.write(writer, b"http://a/2\n")
    os.close(writer)  # the thread ends by itself
    reader._thread.join(30)
    os.close(end)
    assert not reader._thread.is_alive()
    assert reader.lines == 1
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

    reader = reader_of(bell, from_iterable(endless()))
    reader.start()
    assert full.wait(30)
    reader.close()
    reader._thread.join(30)
    assert not reader._thread.is_alive()


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

        reader = reader_of(lambda: None, from_iterable(endless()))
        reader.start()
        assert some.wait(30)
        reader.close()
        taken = reader.take(BUFFER)
        reader._thread.join(30)
        assert len(taken) == reader.lines


def test_the_reading_thread_does_not_keep_the_process_alive(bell: Bell) -> None:
    reader = reader_of(bell)
    reader.start()
    assert reader._thread.daemon
