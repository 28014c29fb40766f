"""A run that was stopped for longer than its lease does nothing when it wakes: the fence.

The proof is what the servers saw: the site's own log, and a door to the store for each run. Another
run has taken over meanwhile. After the first one wakes no request of it reaches the site, and none
that writes reaches the store. The program is whole; only its lease is of some seconds, not sixty.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import product

import pytest

from scraper.sinks.lease import LEASE_KEY
from tests.e2e.command import WAIT_S, Command, program
from tests.machine import patiently
from tests.proof import short_lease
from tests.proof.combined_site import CombinedSite
from tests.proof.places import Bucket
from tests.proof.site import Hold
from tests.proof.test_together import HELD, Together
from tests.s3servers import Front, S3Server

pytestmark = pytest.mark.timeout(600)
CAP = 2
ENGINES = ("threads", "curl", "processes")
READS = {"GET", "HEAD"}


@pytest.fixture
def site() -> Iterator[CombinedSite]:
    with CombinedSite(5, 40) as made:
        yield made


class Stopped:
    """One run that is stopped, and another that takes over. `lease_s`: the length of a lease."""

    def __init__(self, site: CombinedSite, server: S3Server, cli: Command, lease_s: int) -> None:
        self.site, self.cli = site, cli
        self.lease_s = lease_s
        self.place = Bucket(server, server.make_bucket())
        self.lost = False  # whether a busy machine took the lease away from a run that works
        cli.prefix = [sys.executable, short_lease.__file__, str(lease_s), str(len(program()))]

    def play(self, where: str, *options: object) -> "Stopped":
        """The first run has one response under way, held at `where`, when it is stopped.

        One, so that no put of another page is just being sent then. A renewal of the lease may be;
        the store judges its condition.
        """
        site, place = self.site, self.place
        with ExitStack() as stack:
            doors = [stack.enter_context(Front(place.server.url, lambda _: None)) for _ in range(2)]
            first, second = [
                Together(site, replace(place, endpoint=door.url), self.cli) for door in doors
            ]
            site.begin_run("first", Hold(3, where, or_later=True))
            one = stack.enter_context(first.running("first", 0, "-c", 1, *options))
            site.wait_until(lambda: site.held or one.ended, WAIT_S)
            one.process.send_signal(signal.SIGSTOP)
            words = ["-c", CAP, "--resume", "--lock", "wait", *options]
            other = stack.enter_context(second.running("second", 0, *words))
            site.wait_until(lambda: bool(site.requests_of("second")) or other.ended, WAIT_S)
            asked, stored = len(site.requests_of("first")), len(doors[0].asked)
            self.lost = one.ended or other.ended
            site.release()
            one.process.send_signal(signal.SIGCONT)
            self.statuses = one.process.wait(WAIT_S), other.process.wait(WAIT_S)
            self.lost = self.lost or self.statuses[1] == HELD
            self.more = site.requests_of("first")[asked:]
            self.writes = [
                one
                for one in doors[0].asked[stored:]
                if one.operation not in READS and not one.path.endswith(LEASE_KEY)
            ]
            self.said = one.said
            self.runs = first
        return self


@pytest.mark.parametrize(
    ("name", "engine", "where"),
    [
        pytest.param(*case, marks=() if case == ("moto", "curl", "head") else pytest.mark.slow)
        for case in product(["moto", "rclone", "swift", "radosgw"], ENGINES, ["head", "half"])
    ],
)
def test_after_it_wakes_it_asks_the_site_and_writes_to_the_store_no_more(
    name: str, engine: str, where: str, cli: Command, request: pytest.FixtureRequest
) -> None:
    server: S3Server = request.getfixturevalue(f"{name}_server")
    client, site = ("boto3" if engine == "threads" else "curl"), request.getfixturevalue("site")

    def stopped(times: int) -> Stopped:
        made = Stopped(site, server, cli, 4 * times)
        children = ("--processes", 2, "-c", 2) if engine == "processes" else ()
        carrier = "curl" if children else engine
        return made.play(where, "--engine", carrier, "--s3-client", client, *children)

    found = patiently(stopped, lambda one: not one.lost)
    assert found.more == []
    assert [(one.operation, one.path) for one in found.writes] == []
    assert found.statuses == (HELD, 0), found.said
    assert max(site.most_at_once.values()) <= CAP
    found.runs.all_is_there()
