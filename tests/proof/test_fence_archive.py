"""A run into an archive in a store that was stopped for longer than its lease, on one machine.

Its open file is here, and it has it open when it wakes. So a run that has taken the lease over
waits until that process is gone, and goes on with what it left.
"""

import signal
import sys
import threading
from pathlib import Path

from tests.e2e.command import WAIT_S, Command, program
from tests.e2e.test_warc_stores import records_in
from tests.e2e.watch import until
from tests.machine import patiently
from tests.proof import short_lease
from tests.s3servers import S3Server
from tests.servers import Reply, Request, Serve
from tests.warcs import members

HELD = 75


class Stopped:
    """A run that is stopped while it asks for its third page, and another that waits for it."""

    def __init__(
        self, serve: Serve, server: S3Server, cli: Command, home: Path, lease_s: int
    ) -> None:
        self.server, self.cli = server, cli
        self.bucket = server.make_bucket()
        self.env = {**server.credentials, "XDG_STATE_HOME": str(home)}
        self.to = [f"warc+s3://{self.bucket}/web", "--s3-endpoint", server.url]
        self.goes_on = threading.Event()
        self.asked: list[str] = []
        self.site = serve(self._answer)
        cli.prefix = [sys.executable, short_lease.__file__, str(lease_s), str(len(program()))]

    def _answer(self, request: Request) -> Reply:
        self.asked.append(request.path)
        if request.path == "/A2":
            self.goes_on.wait(WAIT_S)
        return Reply(body=request.path.encode() * 10_000)

    def play(self) -> "Stopped":
        cli, lists = self.cli, {"A": "first", "B": "second"}
        for run, name in lists.items():
            cli.write(name, *(f"{self.site.url}/{run}{number}" for number in range(4)))
        log = cli.directory / "log"
        with cli.start("first", "--to", *self.to, "-c", 1, "--retries", 0, env=self.env) as one:
            self.site.wait_until(lambda: "/A2" in self.asked or one.poll() is not None)
            one.send_signal(signal.SIGSTOP)
            before = set(self.asked)
            waits = [f"process {one.pid} holds it", "another run holds it"]
            words = ["second", "--to", *self.to, "--lock", "wait"]
            with (
                log.open("wb") as err,
                cli.start(*words, env=self.env, stderr=err) as other,
            ):
                until(
                    lambda: (
                        any(line.endswith(tuple(waits)) for line in log.read_text().splitlines())
                        or set(self.asked) != before
                        or other.poll() is not None
                    )
                )
                self.asked_meanwhile = set(self.asked) - before
                self.goes_on.set()
                one.send_signal(signal.SIGCONT)
                self.statuses = one.wait(WAIT_S), other.wait(WAIT_S)
        self.said = log.read_text()
        return self


def test_what_it_wakes_to_is_still_its_own_and_the_next_run_goes_on_with_it(
    moto_server: S3Server, serve: Serve, cli: Command, tmp_path: Path
) -> None:
    tried = iter(range(3))

    def stopped(times: int) -> Stopped:
        home = tmp_path / f"home-{next(tried)}"
        return Stopped(serve, moto_server, cli, home, 4 * times).play()

    found = patiently(stopped, lambda one: one.statuses[1] != HELD)
    assert not found.asked_meanwhile, "two runs had the archive's files open"
    assert found.statuses == (HELD, 0), found.said
    paths = {one.url.rpartition("/")[2] for one in records_in(moto_server, found.bucket)}
    assert {"A0", "A1", "B0", "B1", "B2", "B3"} <= paths
    for key in moto_server.keys(found.bucket):
        if key.endswith(".warc.gz"):
            data = moto_server.read(found.bucket, key) or b""
            *_, (at, last) = members(data)
            assert at + len(last) == len(data)
    verified = cli("verify", *found.to, env=found.env)
    assert (verified.status, verified.out) == (0, ""), verified.err
    assert "6 objects: 6 whole" in verified.err
