"""A body on its way, given its bytes directly: coding, lengths, and what becomes an object."""

import gzip
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from scraper.model.decode import PIECE
from scraper.model.errors import Kind, SinkError, TransferError
from scraper.model.records import Response
from scraper.model.settings import Http, Limits, RunLimits
from scraper.sinks.base import Sink
from scraper.sinks.directory.sink import DirectorySink
from scraper.transfer.body import Incoming
from scraper.transfer.exchange import Reply
from scraper.transfer.plan import Plan
from scraper.transfer.quota import Quota
from tests.results import TARGET
from tests.transfer.test_transfer import BrokenSink

PAGE = b"<html>" + b"a page\n" * 1000
PACKED = gzip.compress(PAGE)
RESPONSE = Response(200, "http://host/a")


def in_time() -> None:
    """There is time."""


def too_late() -> None:
    raise TransferError(Kind.TIMEOUT, "its time is over")


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[DirectorySink]:
    sink = DirectorySink(tmp_path)
    sink.check()
    yield sink
    sink.close()


def incoming(
    sink: Sink, /, *, limits: Limits | None = None, quota: Quota | None = None, **said: str
) -> Incoming:
    """The body of a response that said so of it."""
    headers = [(name.replace("_", "-"), value) for name, value in said.items()]
    plan = Plan(limits or Limits(), Http(), "x", {}, quota=quota)
    target = TARGET._replace(key="a")
    return Incoming(plan, sink, target, reply=Reply(200, headers), response=RESPONSE)


def temporary(sink: DirectorySink) -> int:
    """Bytes in temporary files."""
    found = (sink.root / ".scraper").rglob("*")
    return sum(path.stat().st_size for path in found if path.is_file() and path.name != "lock")


def test_what_is_committed_is_what_was_counted_and_digested(sink: DirectorySink) -> None:
    body = incoming(sink, content_length=str(len(PACKED)), content_encoding="gzip")
    assert body.take(PACKED[:20], in_time)
    assert body.take(PACKED[20:], in_time)
    assert (body.received, body.size, body.expected) == (len(PACKED), len(PAGE), len(PACKED))
    stored = body.commit("http://host/a", 0.0, in_time)
    assert (stored.size, stored.sha256) == (len(PAGE), sha256(PAGE).hexdigest())
    assert stored.response is RESPONSE
    assert (sink.root / "a").read_bytes() == PAGE


def test_nothing_is_opened_until_there_is_something_to_write() -> None:
    unwilling = BrokenSink(SinkError("503 SlowDown", transient=True), "open")
    body = incoming(unwilling, content_encoding="gzip")
    body.take(PACKED[:10], in_time)  # the head of gzip
    assert not body.short
    body.abort()
    with pytest.raises(SinkError):
        body.take(PACKED[10:], in_time)


@pytest.mark.parametrize("packed", [PACKED[:-1], PACKED + b"!"], ids=["short", "long"])
def test_neither_less_nor_more_than_was_expected_becomes_an_object(
    packed: bytes, sink: DirectorySink
) -> None:
    body = incoming(sink, content_length=str(len(PACKED)), content_encoding="gzip")
    body.take(packed, in_time)
    assert body.short == (len(packed) < len(PACKED))
    with pytest.raises(TransferError) as caught:
        body.commit("http://host/a", 0.0, in_time)
    assert caught.value.kind is Kind.TRUNCATED
    assert not (sink.root / "a").exists()


def test_a_coded_body_that_stops_before_its_end_becomes_no_object(sink: DirectorySink) -> None:
    body = incoming(sink, content_encoding="gzip")
    body.take(PACKED[:-1], in_time)
    with pytest.raises(TransferError) as caught:
        body.commit("http://host/a", 0.0, in_time)
    assert caught.value.kind is Kind.TRUNCATED


def test_what_is_whole_but_late_becomes_no_object(sink: DirectorySink) -> None:
    body = incoming(sink)
    body.take(PAGE, in_time)
    with pytest.raises(TransferError) as caught:
        body.commit("http://host/a", 0.0, too_late)
    assert caught.value.kind is Kind.TIMEOUT
    assert not (sink.root / "a").exists()


def test_a_bomb_that_was_left_is_no_place_to_go_on_from_until_it_went_off(
    sink: DirectorySink,
) -> None:
    body = incoming(sink, content_encoding="gzip")
    bomb = gzip.compress(bytes(20 * PIECE))
    assert not body.take(bomb, in_time, quickly=True)
    assert (body.received, body.size, body.short) == (len(bomb), 8 * PIECE, False)
    assert body.take(b"", in_time)
    assert (body.size, body.short) == (20 * PIECE, True)


def test_what_was_left_of_a_bomb_goes_off_before_it_is_an_object(sink: DirectorySink) -> None:
    body = incoming(sink, content_encoding="gzip")
    assert not body.take(gzip.compress(bytes(20 * PIECE)), in_time, quickly=True)
    assert body.commit("http://host/a", 0.0, in_time).size == 20 * PIECE


def test_the_time_is_looked_at_after_each_piece(sink: DirectorySink) -> None:
    with pytest.raises(TransferError):
        incoming(sink).take(PAGE, too_late)
    body = incoming(sink, content_encoding="gzip")
    with pytest.raises(TransferError):
        body.take(gzip.compress(bytes(20 * PIECE)), too_late)
    assert temporary(sink) <= PIECE + len(PAGE)


def test_the_limits_are_of_the_bytes_that_are_written(sink: DirectorySink) -> None:
    body = incoming(sink, limits=Limits(max_size=len(PAGE) - 1), content_encoding="gzip")
    with pytest.raises(TransferError) as caught:
        body.take(PACKED, in_time)
    assert caught.value.kind is Kind.TOO_LARGE
    quota = Quota(RunLimits(max_total_size=len(PAGE) - 1), time.monotonic(), None)
    body = incoming(sink, quota=quota, content_encoding="gzip")
    with pytest.raises(TransferError) as caught:
        body.take(PACKED, in_time)
    assert caught.value.kind is Kind.INTERRUPTED
    assert temporary(sink) == 0


def test_what_will_be_too_long_is_refused_at_once(sink: DirectorySink) -> None:
    with pytest.raises(TransferError) as caught:
        incoming(sink, limits=Limits(max_size=5), content_length="6")
    assert caught.value.kind is Kind.TOO_LARGE
    quota = Quota(RunLimits(max_total_size=5), time.monotonic(), None)
    with pytest.raises(TransferError) as caught:
        incoming(sink, quota=quota, content_length="6")
    assert caught.value.kind is Kind.INTERRUPTED
    incoming(sink, limits=Limits(max_size=5), content_length="6", content_encoding="gzip")


def test_what_goes_on_is_as_long_as_its_rest_said_and_told_of_as_one(sink: DirectorySink) -> None:
    body = incoming(sink)
    body.take(PAGE[:100], in_time)
    both = RESPONSE._replace(redirects=1)
    body.go_on(len(PAGE), both)
    body.take(PAGE[100:-1], in_time)
    with pytest.raises(TransferError):
        body.commit("http://host/a", 0.0, in_time)
    body.take(PAGE[-1:], in_time)
    stored = body.commit("http://host/a", 0.0, in_time)
    assert (stored.sha256, stored.response) == (sha256(PAGE).hexdigest(), both)


def test_a_body_that_is_let_go_leaves_nothing(sink: DirectorySink) -> None:
    body = incoming(sink)
    body.abort()
    body.take(PAGE, in_time)
    body.abort()
    body.abort()
    assert temporary(sink) == 0
    assert [path.name for path in sink.root.iterdir()] == [".scraper"]
