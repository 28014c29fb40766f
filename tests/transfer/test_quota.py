"""The quota: never a byte too many, the time is kept, and the disk is left its free space."""

import contextlib
import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scraper.model.errors import DestinationError, Kind, TransferError, UsageError
from scraper.model.settings import RunLimits, Settings
from scraper.model.shared_numbers import SharedNumbers
from scraper.transfer.quota import Quota
from tests.proof.disk import disks_can_be_had, small_disk

FAR_MORE = 10**18  # bytes, than any disk has


def refused(quota: Quota, size: int) -> str:
    with pytest.raises(TransferError) as caught:
        quota.take(size)
    assert (caught.value.kind, caught.value.transient) == (Kind.INTERRUPTED, False)
    return caught.value.message


def test_nothing_is_asked_of_transfers_where_no_bytes_are_counted() -> None:
    assert not Quota(RunLimits(), 0.0, None).is_of_bytes
    assert not Quota(RunLimits(max_run_time=1), 0.0, None).is_of_bytes
    assert Quota(RunLimits(max_total_size=0), 0.0, None).is_of_bytes
    assert Quota(RunLimits(min_free_space=0), 0.0, Path()).is_of_bytes


def test_bytes_are_given_to_the_last_one_and_then_to_nobody() -> None:
    quota = Quota(RunLimits(max_total_size=10), 0.0, None)
    quota.take(9)
    assert quota.reached(0.0) == ""
    quota.take(1)
    assert quota.reached(0.0) == ""
    assert refused(quota, 1) == "not finished: --max-total-size 10 bytes is reached"
    assert quota.reached(0.0) == "--max-total-size 10 bytes is reached"
    assert refused(quota, 0)


def test_a_body_that_is_said_to_be_too_long_takes_nothing_and_ends_it() -> None:
    quota = Quota(RunLimits(max_total_size=10), 0.0, None)
    quota.expect(10)
    quota.take(4)
    with pytest.raises(TransferError):
        quota.expect(7)
    assert quota.reached(0.0)


def test_threads_together_get_no_more_than_there_is() -> None:
    quota = Quota(RunLimits(max_total_size=100_000), 0.0, None)
    together = threading.Barrier(8)

    def takes(size: int) -> int:
        together.wait()
        taken = 0
        try:
            while True:
                quota.take(size)
                taken += size
        except TransferError:
            return taken

    with ThreadPoolExecutor(8) as threads:
        taken = sum(threads.map(takes, [1, 1, 2, 3, 5, 7, 11, 13]))
    assert 100_000 - 13 <= taken <= 100_000


def test_quotas_of_several_processes_together_give_no_more_than_there_is() -> None:
    with contextlib.closing(SharedNumbers()) as numbers:
        quotas = [Quota(RunLimits(max_total_size=10), 0.0, None) for _ in range(3)]
        for number, quota in enumerate(quotas):
            quota.share(SharedNumbers(os.dup(numbers.fd)) if number else numbers)
        quotas[0].take(4)
        quotas[1].take(6)
        assert refused(quotas[2], 1) == "not finished: --max-total-size 10 bytes is reached"
        assert [one.reached(0.0) for one in quotas] == ["--max-total-size 10 bytes is reached"] * 3


def test_a_disk_that_one_process_finds_full_is_full_for_all(tmp_path: Path) -> None:
    limits = RunLimits(min_free_space=FAR_MORE)
    with contextlib.closing(SharedNumbers()) as numbers:
        one, other = (Quota(limits, 0.0, tmp_path) for _ in range(2))
        one.share(numbers)
        other.share(numbers)
        with contextlib.suppress(TransferError):
            one.take(1)
        assert isinstance(one.full, DestinationError)
        assert other.reached(0.0).startswith("--min-free-space ")
        assert isinstance(other.full, DestinationError)


def test_when_the_time_is_over_what_is_in_flight_may_still_write() -> None:
    quota = Quota(RunLimits(max_run_time=5, max_total_size=10), 100.0, None)
    assert quota.left_s(101.0) == 4.0
    assert quota.reached(104.9) == ""
    assert quota.reached(105.0) == "--max-run-time 5 s is over"
    assert quota.left_s(106.0) == 0.0
    quota.take(10)


def test_a_run_without_an_end_has_all_the_time() -> None:
    quota = Quota(RunLimits(), 0.0, None)
    assert quota.left_s(1e9) is None
    assert quota.reached(math.inf) == ""


def test_a_disk_that_is_too_full_is_said_at_once(tmp_path: Path) -> None:
    quota = Quota(RunLimits(min_free_space=FAR_MORE), 0.0, tmp_path)
    with pytest.raises(DestinationError, match=r"--min-free-space 1,000,.* bytes: '.*' has [\d,]+"):
        quota.check_disk()
    assert refused(quota, 1).startswith("not finished: --min-free-space ")


@pytest.mark.skipif(not disks_can_be_had(), reason="no mount namespace of one's own can be had")
def test_a_disk_that_others_fill_is_seen_with_the_time_and_with_the_bytes(tmp_path: Path) -> None:
    with small_disk(tmp_path, "disk", "10M") as disk:
        place = disk.view.directory / "disk"
        whole = RunLimits(min_free_space=5_000_000)
        by_time, by_bytes = Quota(whole, 0.0, place), Quota(whole, 0.0, place)
        by_bytes.take(1)
        assert by_time.reached(1.0) == ""
        (place / "others").write_bytes(bytes(6_000_000))
        assert by_time.reached(1.1) == ""
        assert by_time.reached(2.0).startswith("--min-free-space 5,000,000 bytes: ")
        assert by_time.full is not None
        by_bytes.take(300_000)  # the look is after it
        assert refused(by_bytes, 1).startswith("not finished: --min-free-space")


def test_a_disk_that_is_gone_is_left_to_who_writes_there(tmp_path: Path) -> None:
    quota = Quota(RunLimits(min_free_space=FAR_MORE), 0.0, tmp_path / "gone")
    quota.check_disk()
    assert quota.reached(9.0) == ""


def test_a_destination_that_does_not_say_which_disk_it_takes_has_no_such_limit() -> None:
    with pytest.raises(UsageError, match="--min-free-space"):
        Quota(RunLimits(min_free_space=1), 0.0, None)
    Quota(Settings.of(to="memory://x").run_limits, 0.0, None)
