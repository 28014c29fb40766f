"""Partial bodies: they keep what asks for their rest, and leave nothing when they are discarded."""

from pathlib import Path

from scraper.model.records import Response
from scraper.model.settings import Http, Limits
from scraper.sinks.base import Sink
from scraper.sinks.directory.sink import DirectorySink
from scraper.transfer.body import Incoming
from scraper.transfer.exchange import Reply
from scraper.transfer.partial import Partial, put_aside
from scraper.transfer.plan import Plan
from tests.results import TARGET
from tests.transfer.test_transfer import BrokenSink

PLAN = Plan(Limits(), Http(raw=True), "x", {})


def broken_off(
    received: int = 100,
    whole: int | None = 300,
    *,
    coding: str | None = None,
    sink: Sink | None = None,
) -> Partial:
    """A body of which so many bytes came."""
    said = {"content-length": whole and str(whole), "content-encoding": coding}
    reply = Reply(200, [(name, value) for name, value in said.items() if value])
    sink = sink or BrokenSink(RuntimeError("a bug"), "abort")
    response = Response(200, "http://host/a", etag='"v1"')
    body = Incoming(PLAN, sink, TARGET._replace(key="a"), reply=reply, response=response)
    body.take(bytes(received), lambda: None)
    partial = put_aside(body, "http://host/a", 1)
    assert partial is not None
    return partial


PARTIAL = broken_off()


def test_it_keeps_what_asks_for_its_rest() -> None:
    asked = broken_off(7, 12, coding="gzip").range
    assert asked == ("http://host/a", '"v1"', 7, 12, "gzip", None)
    assert broken_off(7, None).range == ("http://host/a", '"v1"', 7, None, None, None)


def test_a_body_that_is_let_go_leaves_nothing(tmp_path: Path) -> None:
    sink = DirectorySink(tmp_path)
    sink.check()
    partial = broken_off(sink=sink)
    partial.discard()
    partial.discard()
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"lock"}
    sink.close()


def test_an_upload_that_can_not_be_aborted_harms_nobody() -> None:
    PARTIAL.discard()
