"""Leases of machines whose clocks are wrong: real processes, each with a clock of its own.

Against the S3 of moto, rclone, Swift and radosgw. Requests are signed with the wrong time too. All
but moto allow 15 minutes, as Amazon does; moto allows any time.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from scraper.sinks.lease import LEASE_KEY
from scraper.sinks.process_identity import own_process
from tests.clocks import Clock, wrong_clock
from tests.s3servers import S3Server
from tests.servers import WAIT_S, Reply, Serve

# It takes the lease, then says whether it still has it each time it is asked.
RUN = """
import sys
from scraper.model.errors import Held
from scraper.model.settings import S3
from scraper.sinks.base import SinkOptions
from scraper.sinks.lease import Lease, Patience
from scraper.sinks.s3.sink import open_sink
endpoint, place, wait_s, lease_s = sys.argv[1:]
sink = open_sink(place, SinkOptions(s3=S3(endpoint=endpoint, client="boto3")))
sink.check()
lost = lambda reason: print("lost:", reason, flush=True)
try:
    lease = Lease(sink, place, lost, patience=Patience(float(wait_s)), lease_s=float(lease_s))
except Held:
    print("held", flush=True)
    sys.exit(75)
print("has it", flush=True)
for line in sys.stdin:
    print("has it" if lease.holds() else "has lost it", flush=True)
lease.release()
"""
LIVE_S, DEAD_S = 8.0, 2.0  # lengths of leases: of a live holder, which may be slow; of a dead one
SERVERS = ("moto", "rclone", "swift", "radosgw")
FAR = {
    "moto": 3600,
    "rclone": 800,
    "swift": 800,
    "radosgw": 800,
}  # seconds that a clock may be wrong there


class Place:
    """A bucket of an S3 server, and runs that want to hold it."""

    def __init__(self, server: S3Server) -> None:
        self.server = server
        self.bucket = server.make_bucket()
        self.url = f"s3://{self.bucket}/p"

    @contextmanager
    def run(
        self, clock: Mapping[str, str], wait_s: float, lease_s: float
    ) -> Iterator["subprocess.Popen[str]"]:
        """A process with this clock that wants to hold the place for the time of the block."""
        arguments = (self.server.url, self.url, str(wait_s), str(lease_s))
        with subprocess.Popen(
            [sys.executable, "-c", RUN, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **self.server.credentials, **clock},
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def put(self, until_s: float) -> None:
        """The lease of a run that died on another machine, whose clock was wrong by `until_s`."""
        holder = {**own_process(), "processes": "another machine", "host": "there", "run": "dead"}
        lease = json.dumps({**holder, "until": time.time() + until_s, "writes": 1})
        key = f"p/{LEASE_KEY}"
        self.server.client.put_object(Bucket=self.bucket, Key=key, Body=lease.encode())

    def writes(self) -> int:
        """How often the lease was written by its holder."""
        found = self.server.read(self.bucket, f"p/{LEASE_KEY}")
        assert found is not None
        return int(json.loads(found)["writes"])


@pytest.fixture(params=SERVERS)
def place(request: pytest.FixtureRequest) -> Place:
    return Place(request.getfixturevalue(f"{request.param}_server"))


def says(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def asked(process: "subprocess.Popen[str]") -> str:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return says(process)


def far(place: Place, request: pytest.FixtureRequest) -> int:
    return FAR[request.node.callspec.params["place"]]


@pytest.mark.each_value
@pytest.mark.parametrize("holder", ["slow", "fast"])
def test_of_three_runs_with_clocks_apart_the_one_that_has_the_lease_keeps_it(
    holder: str, place: Place, request: pytest.FixtureRequest
) -> None:
    """The two others wait for longer than a lease, and see it renewed all the time."""
    most = far(place, request)
    offsets = {"slow": -most, "right": 0, "fast": most}
    own, others = offsets.pop(holder), offsets.values()
    with ExitStack() as stack:
        first = stack.enter_context(place.run(wrong_clock(f"{own:+}s"), 0, LIVE_S))
        assert says(first) == "has it"
        waiting = [
            stack.enter_context(place.run(wrong_clock(f"{offset:+}s"), LIVE_S * 1.2, LIVE_S))
            for offset in (*others, 90)
        ]
        assert [says(one) for one in waiting] == ["held"] * 3
        assert asked(first) == "has it"


@pytest.mark.each_value
@pytest.mark.parametrize(
    ("written", "read"), [(-1, 1), (1, -1)], ids=["read later", "read earlier"]
)
def test_a_dead_lease_is_taken_after_its_length_and_not_after_what_clocks_say(
    written: int, read: int, place: Place, request: pytest.FixtureRequest
) -> None:
    most = far(place, request)
    place.put(written * 3600)
    begun = time.monotonic()
    with place.run(wrong_clock(f"{read * most:+}s"), WAIT_S, DEAD_S) as run:
        assert says(run) == "has it"
        assert time.monotonic() - begun >= DEAD_S
        assert asked(run) == "has it"


def test_the_lease_of_a_run_that_was_killed_here_is_taken_at_once(
    place: Place, request: pytest.FixtureRequest
) -> None:
    """By a run that does not wait, and whose clock is behind."""
    most = far(place, request)
    with place.run(wrong_clock(f"+{most}s"), 0, 3600) as first:
        assert says(first) == "has it"
        first.kill()
        first.wait()
        with place.run(wrong_clock("-90s"), 0, 3600) as second:
            assert says(second) == "has it"


def test_a_clock_that_is_set_during_a_run_does_not_matter(
    place: Place, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Neither to who has the lease, nor to who watches it."""
    most = far(place, request)
    clocks = [Clock(tmp_path / "first"), Clock(tmp_path / "second")]
    with (
        place.run(clocks[0].environment, 0, LIVE_S) as first,
        ExitStack() as stack,
    ):
        assert says(first) == "has it"
        second = stack.enter_context(place.run(clocks[1].environment, LIVE_S * 1.2, LIVE_S))
        for offsets in ((most, -most), (-most, most), (0, most)):
            for clock, offset in zip(clocks, offsets, strict=True):
                clock.set(f"{offset:+}s")
            before = place.writes()
            until = time.monotonic() + WAIT_S
            while place.writes() == before:
                assert time.monotonic() < until
                time.sleep(0.05)
        assert says(second) == "held"
        assert asked(first) == "has it"


@pytest.mark.parametrize("lock", ["fail", "skip"])
def test_a_command_whose_clock_is_90_s_fast_takes_no_live_lease(
    lock: str, moto_server: S3Server, serve: Serve, tmp_path: Path
) -> None:
    place = Place(moto_server)
    server = serve({"/other": Reply(body=b"other")})
    (tmp_path / "list").write_text(f"{server.url}/other\n")
    command = [sys.executable, "-m", "scraper", "--to", place.url, "--lock", lock]
    command += ["--s3-endpoint", moto_server.url, "-q"]
    environment = {**os.environ, **moto_server.credentials}
    with place.run({}, 0, 60) as first:
        assert says(first) == "has it"
        done = subprocess.run(
            [*command, "list"],
            env={**environment, **wrong_clock("+90s")},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 75, done.stderr
        assert "Traceback" not in done.stderr
        assert asked(first) == "has it"
    assert server.total == 0
