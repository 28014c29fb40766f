"""History is flat: four times the list is no more memory. Sampled from outside."""

import subprocess

import psutil

from tests.e2e.command import Command
from tests.servers import HttpServer, Reply

MOST = 150_000_000


def peaks(process: subprocess.Popen[bytes], *marks: int) -> list[int]:
    """The most resident bytes by the time that so many lines were on stdout, which it reads."""
    assert process.stdout is not None
    watched, peak, found = psutil.Process(process.pid), 0, []
    for done, _ in enumerate(process.stdout, 1):
        if done % 100 == 0 and watched.is_running():
            peak = max(peak, watched.memory_info().rss)
        if done in marks:
            found.append(peak)
    return found


def assert_flat(early: int, late: int, tolerated: int) -> None:
    print(f"{early / 1e6:.1f} MB, {late / 1e6:.1f} MB after four times as many lines")
    assert early > 10_000_000  # something was measured
    assert late < MOST
    assert late - early < tolerated


def test_a_run_of_four_times_as_many_lines_needs_no_more(cli: Command) -> None:
    """Kept from the first quarter on: the window of targets that wait is full by then."""
    answer = Reply(body=b"a page")
    with HttpServer(lambda request: answer, keep_requests=False) as server:
        cli.write("list", *(f"{server.url}/{number}" for number in range(12_000)))
        with cli.start("-q", "list", "--results", "-", "-c", 16) as process:
            early, late = peaks(process, 3_000, 12_000)
            assert process.wait() == 0
    assert_flat(early, late, 5_000_000)


def test_a_dry_run_of_four_times_as_many_lines_needs_no_more(cli: Command) -> None:
    lines = [f"https://www{number % 999}.example.com/{number}.html" for number in range(200_000)]
    cli.write("list", *lines)
    with cli.start("list", "--dry-run") as process:
        early, late = peaks(process, 50_000, 200_000)
        assert process.wait() == 0
    # What grows is what `duplicates.py` has at hand of 250,000: 140 bytes each, not 1,000.
    assert_flat(early, late, 30_000_000)
