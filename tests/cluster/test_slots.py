"""What the shards that are open at a worker share: transfers at once, and the pace."""

import threading
import time

import pytest

from scraper.cluster.slots import Slot, Slots, shares, slots_of


@pytest.mark.parametrize(
    ("threads", "at_once", "expected"),
    [
        (4, 16, [4, 4, 4, 4]),
        (4, 6, [2, 2, 1, 1]),
        (4, 3, [1, 1, 1]),
        (4, 1, [1]),
        (1, 5, [5]),
    ],
)
def test_slots_together_have_what_a_worker_has(
    threads: int, at_once: int, expected: list[int]
) -> None:
    assert shares(threads, at_once) == expected
    assert slots_of(threads, at_once) == len(expected)


def test_a_slot_keeps_its_pace_from_one_shard_to_the_next() -> None:
    slots, before = Slots(), time.monotonic()
    with slots.take("run", [1], 7.0) as slot:
        assert slot.next_start >= before + 7.0
        slot.next_start = 9.5
    with slots.take("run", [1], 7.0) as again:
        assert (again.next_start, again) == (9.5, slot)
    with slots.take("another run", [1], 0.0) as other:
        assert other is not slot


def test_a_shard_without_a_slot_waits_for_one() -> None:
    slots, taken = Slots(), list[Slot]()

    def take() -> None:
        with slots.take("run", [1], 0.0) as slot:
            taken.append(slot)

    with slots.take("run", [1], 0.0) as slot:
        waiting = threading.Thread(target=take)
        waiting.start()
        assert not taken
    waiting.join(60)
    assert taken == [slot]
