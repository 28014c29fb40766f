"""The harness can be trusted: what it says of a run is what happened."""

import signal
import subprocess

from tests.e2e.command import Command, folder
from tests.servers import Serve


def test_a_run_is_seen_from_all_sides(cli: Command, serve: Serve) -> None:
    server = serve({"/a.txt": b"hello"})
    ran = cli("-c", 1, "--results", "-", stdin=f"{server.url}/a.txt\n{server.url}/gone\n")
    assert ran.status == 1
    assert [record["status"] for record in ran.records] == ["stored", "failed"]
    assert cli.records() == ran.records
    assert cli.files() == {f"{folder(server.url)}/a.txt": b"hello"}
    assert cli.wrote == ["out"]
    assert ran.errors[0].startswith("scraper ")


def test_what_still_runs_at_the_end_of_a_test_does_not_outlive_it(cli: Command) -> None:
    with cli.start("-", stdin=subprocess.PIPE) as process:
        assert process.poll() is None
    assert process.returncode == -signal.SIGKILL
