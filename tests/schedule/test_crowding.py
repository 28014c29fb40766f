"""Evidence for a limit of requests at once."""

import math

from scraper.schedule.crowding import Crowding


def refused(crowding: Crowding, *others: int) -> list[bool]:
    return [crowding.refused(number, searching=False) for number in others]


def test_three_refusals_beside_the_same_number_are_a_cap() -> None:
    crowding = Crowding()
    assert refused(crowding, 4, 4, 4) == [False, False, True]
    assert crowding.cap == 4


def test_while_nothing_gets_through_more_of_them_are_needed() -> None:
    crowding = Crowding()
    found = [crowding.refused(4, searching=True) for _ in range(5)]
    assert found == [False] * 4 + [True]


def test_refusals_beside_fewer_and_fewer_are_none() -> None:
    """A burst that is refused while its first requests are answered."""
    assert refused(Crowding(), 12, 10, 8, 6, 4, 2) == [False] * 6


def test_a_refusal_beside_nobody_is_a_limit_in_time() -> None:
    crowding = Crowding()
    assert refused(crowding, 1, 1, 0, 1) == [False] * 4
    assert crowding.cap == 1


def test_a_number_beside_which_much_gets_through_is_no_cap() -> None:
    crowding = Crowding()
    for _ in range(6):
        crowding.admitted(3)
        assert refused(crowding, 3) == [False]


def test_admissions_beside_the_cap_show_that_there_is_none() -> None:
    crowding = Crowding()
    refused(crowding, 2, 2, 2)
    assert not crowding.admitted(2), "one is chance: another request had just ended"
    assert crowding.admitted(2)
    assert crowding.cap == math.inf
