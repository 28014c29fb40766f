"""What the tests of engines have in common: one engine, a destination, a part of the loop."""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from scraper.engines.base import Engine
from scraper.engines.curl.engine import CurlEngine
from scraper.engines.processes import RemoteTransfer
from scraper.engines.threads.engine import ThreadsEngine
from scraper.model import urls
from scraper.model.records import Attempt, Failed, Failure, PreviousRecord, Stored, Target
from scraper.model.settings import Http, Limits
from scraper.sinks.base import Sink
from scraper.sinks.directory.sink import DirectorySink
from scraper.transfer.partial import Partial
from scraper.transfer.plan import Plan
from scraper.transfer.transfer import Transfer
from tests.engines.processes.family import MakeProcesses
from tests.servers import WAIT_S

MakeEngine = Callable[[int, Limits, Http], Engine]
ENGINES: dict[str, MakeEngine | MakeProcesses] = {
    "threads": ThreadsEngine,
    "curl": CurlEngine,
    "processes": MakeProcesses("curl"),
}
# A test may patch what these engines call, and give them a sink that lives in its own process.
IN_PROCESS = [name for name, made in ENGINES.items() if not isinstance(made, MakeProcesses)]


def carrier(engine: str) -> str:
    """The engine that moves the bytes."""
    made = ENGINES[engine]
    return made.engine if isinstance(made, MakeProcesses) else engine


PATIENT = Limits(connect_timeout=300, read_timeout=300, max_time=600)


class Bench:
    """One engine, a destination, and the part of the loop that starts and takes."""

    def __init__(
        self,
        make: MakeEngine | MakeProcesses,
        root: Path,
        limits: Limits,
        http: Http,
        *,
        sink: Sink | None = None,
        max_concurrency: int = 16,
    ) -> None:
        self.root = root
        self.sink = sink or DirectorySink(root)
        self.sink.check()
        self.plan = Plan(limits, http, "scraper/1", {})
        self.transfer: type[Transfer] = Transfer
        if isinstance(make, MakeProcesses):
            self.transfer = RemoteTransfer
            make = make.at(root)
        self.engine = make(max_concurrency, limits, http)
        self.started = 0

    def guard(self) -> None:
        """From now on hops may lead to public addresses only."""
        self.plan = replace(self.plan, http=replace(self.plan.http, public_only=True))

    def close(self) -> None:
        self.engine.give_up()
        self.engine.close()
        self.sink.close()

    def start(
        self,
        url: str,
        *,
        previous: PreviousRecord | None = None,
        partial: Partial | None = None,
    ) -> Transfer:
        self.started += 1
        parsed = urls.parse(url)
        target = Target(
            url, parsed.href, parsed.origin.host, f"{self.started}", self.started, "list"
        )
        now = time.monotonic()
        attempt = Attempt(target, queued_at=now, previous=previous)
        transfer = self.transfer(attempt, self.plan, self.sink, now, partial)
        self.engine.start(transfer)
        return transfer

    def wait(self, *transfers: Transfer) -> None:
        """Until all of these have ended."""
        until = time.monotonic() + WAIT_S
        left = {transfer for transfer in transfers if transfer.completion is None}
        while left:
            assert time.monotonic() < until, "a transfer never ended"
            left -= set(self.engine.poll(1.0))

    def poll_until(self, condition: Callable[[], bool]) -> None:
        """Until something that is no end of a transfer holds."""
        until = time.monotonic() + WAIT_S
        while not condition():
            assert time.monotonic() < until, "what was waited for never came"
            assert not self.engine.poll(0.01)

    def fetch(self, url: str) -> Transfer:
        transfer = self.start(url)
        self.wait(transfer)
        return transfer

    def body(self, transfer: Transfer) -> bytes:
        """What was stored; fails if nothing was."""
        assert transfer.completion is not None
        assert isinstance(transfer.completion.outcome, Stored), transfer.completion.outcome
        return (self.root / transfer.attempt.target.key).read_bytes()

    @property
    def leftovers(self) -> list[str]:
        """Files that are no object; objects of a failed attempt too."""
        return [
            path.name for path in self.root.rglob("*") if path.is_file() and path.name != "lock"
        ]


MakeBench = Callable[..., Bench]


def longer(limits: Limits, times: int) -> Limits:
    """The limits, but those below two seconds are so many times as long."""
    names = "connect_timeout", "read_timeout", "max_time", "speed_time"
    short = {name: value for name in names if (value := getattr(limits, name)) < 2}
    return replace(limits, **{name: times * value for name, value in short.items()})


def failure(transfer: Transfer) -> Failure:
    assert transfer.completion is not None
    assert isinstance(transfer.completion.outcome, Failed), transfer.completion.outcome
    return transfer.completion.outcome.failure
