"""A body that comes in parts is as fast as all of them together."""

from pathlib import Path

from scraper.engines.minimum_speed import MinimumSpeed
from scraper.engines.names import Names
from scraper.engines.threads.connections import InUse
from scraper.model.records import Attempt, Target
from scraper.model.settings import Http, Limits
from scraper.sinks.directory.sink import DirectorySink
from scraper.transfer import Plan, Reply, Transfer
from scraper.transfer.split import Splits

URL = "http://host/big"
HEADS = [("content-length", "1000000"), ("accept-ranges", "bytes"), ("etag", '"v1"')]


def test_a_part_that_stalls_is_not_too_slow_while_others_come(tmp_path: Path) -> None:
    limits = Limits(speed_limit=1000, speed_time=10)
    plan = Plan(limits, Http(), "x", {}, splits=Splits(4, 1000, (), lambda _: None))
    sink = DirectorySink(tmp_path)
    sink.check()
    attempt = Attempt(Target(URL, URL, "host", "big", 1, "urls"), 0.0)
    transfer = Transfer(attempt, plan, sink, 0.0)
    transfer.deadline = float("inf")
    transfer.response(Reply(200, HEADS))
    split = transfer.split
    assert split is not None
    in_use = InUse(transfer, MinimumSpeed(limits), Names(Http()))
    in_use.speed.begin(0.0, 0)
    (other, *_) = split.missing(needed=False)
    assert split.take(other)
    other.take(bytes(20_000), lambda: None)
    assert in_use.why_slow(10.0) is None
    other.take(bytes(5_000), lambda: None)
    assert in_use.why_slow(20.0) is not None
    split.abort()
    sink.close()
