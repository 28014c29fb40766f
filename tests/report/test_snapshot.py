"""Rates and the time left, from snapshots whose clock the test sets."""

import pytest

from scraper.model.errors import Kind
from scraper.model.records import Failure
from scraper.report import figures
from scraper.report.snapshot import Flight, Snapshot, Watch
from scraper.schedule import HostWait

BUSY = Failure(Kind.HTTP_STATUS, "HTTP 429", http_code=429, retry_after_s=60.0)


def flight(name: str, received: int, expected: int | None = None, started: float = 0.0) -> Flight:
    return Flight(name, f"http://h/{name}", started, received, expected, received)


def test_the_rate_of_bytes_falls_to_nothing_when_nothing_comes_any_more() -> None:
    watch = Watch(begun=0.0)
    rates = [watch.see(Snapshot(at, size=min(at, 5) * 1_000)).bytes_rate for at in range(1, 15)]
    assert rates[:5] == [1_000] * 5
    assert sorted(rates[5:], reverse=True) == rates[5:]
    assert rates[-1] == 0


def test_bytes_of_an_attempt_that_failed_make_no_negative_rate() -> None:
    watch = Watch(begun=0.0)
    watch.see(Snapshot(1.0, size=1_000_000))
    assert watch.see(Snapshot(2.0, size=0)).bytes_rate == 0


def test_the_time_left_comes_from_the_targets_that_are_done_and_parts_of_others() -> None:
    watch = Watch(begun=0.0)
    seen = Snapshot(10.0, targets=19, flights=[flight("a", 50, 100), flight("b", 50, 100)])
    told = watch.see(seen, total=60)
    assert (told.done, told.targets_rate) == (20, 2)
    assert told.left_s == 20
    assert watch.see(Snapshot(10.0)).left_s is None  # nobody knows how many there are


def test_when_only_large_transfers_are_left_the_last_of_them_says_when_it_is_over() -> None:
    watch = Watch(begun=0.0)
    flights = [flight("fast", 900, 1_000), flight("slow", 100, 1_000)]
    told = watch.see(Snapshot(10.0, targets=98, lines=100, flights=flights))
    assert told.left_s == 90


def test_the_three_largest_transfers_are_shown_in_the_order_in_which_they_began() -> None:
    flights = [
        flight("small", 5, 10, started=0.0),
        flight("large", 5, 4_000, started=3.0),
        flight("unknown", 3_000, None, started=2.0),
        flight("larger", 5, 5_000, started=1.0),
        flight("new", 5, 9_000, started=9.5),
    ]
    shown = Watch(0.0).see(Snapshot(10.0, flights=flights)).shown
    assert [one.flight.identity for one in shown] == ["larger", "unknown", "large"]
    assert shown[1].rate == 3_000 / 8


def test_the_longest_transfers_are_shown_while_no_size_is_known() -> None:
    flights = [flight(str(number), 0, None, started=float(number)) for number in range(8)]
    shown = Watch(0.0).see(Snapshot(10.0, flights=flights)).shown
    assert [one.flight.identity for one in shown] == ["0", "1", "2"]


def test_what_is_waited_for_is_said_for_the_hosts_with_most_targets() -> None:
    hosts = [
        HostWait("a.example", 31.2, 40, BUSY),
        HostWait("b.example", 0.5, 90, BUSY),  # over before it is read
        HostWait("c.example", 8.0, 0, BUSY, is_down=True),
        HostWait("d.example", 5.0, 1),
        *(HostWait(f"{number}.example", 5.0, 2) for number in range(2)),
    ]
    told = Watch(0.0).see(Snapshot(1.0, hosts=hosts, notes=["waiting\x1b[2J"]))
    assert figures.waits(told) == [
        "waiting\\u001b[2J",
        "waiting 31 s for a.example (429 Retry-After), 40 URLs",
        "waiting 5 s for 0.example (gap between requests), 2 URLs",
        "waiting 5 s for 1.example (gap between requests), 2 URLs",
        "waiting for 2 more hosts",
    ]
    alone = Watch(0.0).see(Snapshot(1.0, hosts=hosts[2:3]))
    assert figures.waits(alone) == ["c.example is down, next try in 8 s"]


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (90, "1,234 of 12,000  3 failed  123/s  5.0 MB  500.0 kB/s  1 in flight  87 s left"),
        (61, "1,234 of 12,000  3 failed  500.0 kB/s  1 in flight  87 s left"),
        (40, "1,234 of 12,000  3 failed  87 s left"),
        (26, "1,234 of 12,000  3 failed"),
        (5, "1,234 of 12,000"),
    ],
)
def test_a_narrow_terminal_loses_what_matters_least(width: int, line: str) -> None:
    seen = Snapshot(10.0, 1_234, 3, 5_000_000, flights=[flight("a", 0)])
    kept = figures.fitting(figures.counts(Watch(0.0).see(seen, 12_000)), width)
    assert "  ".join(one.text for one in kept) == line


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (99.4, "99 s"), (100, "2 min"), (5_990, "100 min"), (7_500, "2 h 05 min")],
)
def test_durations_are_read_at_a_glance(seconds: float, words: str) -> None:
    assert figures.duration(seconds) == words
