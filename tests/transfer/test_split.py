"""Parts of a body: whoever brings which of them, and in which order, the whole is right."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest

from scraper.model.errors import Kind, TransferError
from scraper.model.records import Response, Stored, Target
from scraper.model.settings import Http, Limits
from scraper.model.urls import canonical
from scraper.sinks.base import Sink
from scraper.sinks.directory.sink import DirectorySink
from scraper.transfer.body import Incoming
from scraper.transfer.completion import InPart
from scraper.transfer.exchange import Reply
from scraper.transfer.plan import Plan
from scraper.transfer.redirects import Hop, Origin
from scraper.transfer.split import Part, Split, Splits, State

SIZE = 1_000_003
BODY = Random(3).randbytes(SIZE)
URL = "http://host/big"
TARGET = Target(URL, URL, "host", "big", 1, "urls")
PLAN = Plan(Limits(), Http(), "x", {})


def never() -> None:
    """Time is never over."""


def divided(sink: Sink, count: int = 4, size: int = SIZE) -> Part:
    """The first part of a body."""
    heads = {"content-length": str(size), "accept-ranges": "bytes", "etag": '"v1"'}
    reply = Reply(200, list(heads.items()))
    response = Response(200, URL, etag='"v1"')
    body = Incoming(PLAN, sink, TARGET, reply=reply, response=response)
    splits = Splits(count, 1, (), lambda _: None)
    origin = Origin(Hop(canonical(URL)), {}, 0.0, 0.0)
    part = splits.divide(PLAN, sink, TARGET, body, reply, origin)
    assert part is not None
    return part


@contextmanager
def directory(root: Path) -> Iterator[DirectorySink]:
    sink = DirectorySink(root)
    sink.check()
    try:
        yield sink
    finally:
        sink.close()


def bring(part: Part, size: int) -> bool:
    """Let so many bytes of `part` come; whether its transfer has to end."""
    upto = min(part.at + size, SIZE if part.first == 0 else part.end)
    try:
        part.take(BODY[part.at : upto], never)
    except TransferError as error:
        return error.kind is Kind.TRUNCATED and part.is_whole(never)
    return part.at == part.end


def end(part: Part) -> Stored | InPart:
    ended = part.commit("", 0.0, never)
    part.split.put_back(part)
    return ended


def all_missing(split: Split) -> list[Part]:
    return [*split.missing(needed=True), *split.missing(needed=False)]


def check(stored: Stored | InPart | None, root: Path) -> None:
    assert isinstance(stored, Stored)
    assert (stored.size, stored.sha256) == (SIZE, sha256(BODY).hexdigest())
    assert (root / "big").read_bytes() == BODY


@pytest.mark.parametrize("seed", range(20))
def test_parts_in_any_order_with_any_breaks_become_the_body(seed: int, tmp_path: Path) -> None:
    random, root = Random(seed), tmp_path
    count = random.randrange(2, 9)
    with directory(root) as sink:
        first = divided(sink, count)
        split, running, stored = first.split, [first], None
        while not isinstance(stored, Stored):
            missing = all_missing(split)
            if missing and (not running or random.random() < 0.3):
                part = random.choice(missing)
                if split.take(part):
                    running.append(part)
                continue
            part = random.choice(running)
            if bring(part, random.randrange(1, 90_000)):
                running.remove(part)
                stored = end(part)
            elif random.random() < 0.05:  # it breaks off
                running.remove(part)
                split.put_back(part)
        check(stored, root)
        assert split.there == SIZE


def test_threads_write_at_once_and_one_of_them_commits(tmp_path: Path) -> None:
    for seed in range(5):
        with directory(tmp_path / f"{seed}") as sink:
            first = divided(sink, 6)
            split, ended = first.split, []
            others = [part for part in split.missing(needed=False) if split.take(part)]
            assert len(others) == 5

            def carry(part: Part, random: Random) -> None:
                while not bring(part, random.randrange(1, 30_000)):
                    pass
                ended.append(end(part))  # noqa: B023 - it ends within the turn

            parts = [first, *others]
            threads = [threading.Thread(target=carry, args=(p, Random(p.first))) for p in parts]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            (stored,) = [one for one in ended if isinstance(one, Stored)]
            assert len(ended) == 6
            check(stored, tmp_path / f"{seed}")
            assert stored.response.parts == 6


def ends_alone(first: Part, to: Path) -> None:
    """The first transfer brings all that is left, and the body is as one that was not divided."""
    while not bring(first, 70_000):
        pass
    stored = end(first)
    check(stored, to)
    assert isinstance(stored, Stored)
    assert stored.response.parts is None


def test_the_first_transfer_brings_what_nobody_else_does(tmp_path: Path) -> None:
    with directory(tmp_path) as sink:
        first = divided(sink)
        ends_alone(first, tmp_path)


def test_a_part_that_the_first_transfer_has_begun_is_shared(tmp_path: Path) -> None:
    with directory(tmp_path) as sink:
        first = divided(sink)
        split = first.split
        last = split.missing(needed=False)[0]
        bring(first, 800_000)
        assert split.missing(needed=False) == [last]
        assert split.take(last)
        assert 800_000 < last.first < SIZE
        assert first.end == last.first
        while not bring(last, 50_000):
            pass
        assert isinstance(end(last), InPart)
        while not bring(first, 50_000):
            pass
        check(end(first), tmp_path)


def test_too_little_is_left_to_the_first_transfer(tmp_path: Path) -> None:
    with directory(tmp_path) as sink:
        first = divided(sink)
        bring(first, SIZE - 100_000)
        assert all_missing(first.split) == []


def differs_by_answer(split: Split, part: Part) -> None:
    del part
    split.differs()


def differs_by_length(split: Split, part: Part) -> None:
    with pytest.raises(TransferError):
        part.take(bytes(part.end - part.at + 1), never)


@pytest.mark.parametrize("differs", [differs_by_answer, differs_by_length])
def test_what_differs_leaves_the_first_transfer_alone_and_nothing_of_the_rest_is_used(
    differs: Callable[[Split, Part], None], tmp_path: Path
) -> None:
    with directory(tmp_path) as sink:
        first = divided(sink)
        split = first.split
        last, third, second = split.missing(needed=False)
        assert all(split.take(part) for part in (last, third, second))
        second.take(bytes(1000), never)  # another body
        third.take(bytes(third.end - third.at), never)
        bring(first, 1000)
        differs(split, last)
        assert split.state is State.ALONE
        with pytest.raises(TransferError, match="not of one body"):
            second.take(b"x", never)
        for part in (last, third, second):
            split.put_back(part)
        assert all_missing(split) == []
        ends_alone(first, tmp_path)


def test_what_differs_after_the_first_part_ends_it_all(tmp_path: Path) -> None:
    with directory(tmp_path) as sink:
        first = divided(sink)
        split = first.split
        parts = split.missing(needed=False)
        assert all(split.take(part) for part in parts)
        while not bring(first, 70_000):
            pass
        split.differs()
        assert split.state is State.OVER
        assert isinstance(end(first), InPart)
        with pytest.raises(TransferError, match="not of one body"):
            parts[0].take(b"x", never)
        split.abort()
        assert not (tmp_path / "big").exists()
        assert list((tmp_path / ".scraper/tmp").glob("run-*/[0-9a-f]")) == []
