"""How long a destination is insisted on before a run begins."""

import time
from collections.abc import Iterator
from itertools import islice

import pytest

from scraper.model.errors import DestinationError, SinkError
from scraper.model.settings import Retries
from scraper.sinks.beginning import insist, insist_on_rest


def busy(retry_after_s: float | None = None) -> DestinationError:
    error = DestinationError("busy")
    error.passing, error.retry_after_s = True, retry_after_s
    return error


class Asked:
    """Fails with each of `errors`, then answers. `waits` are what was waited between."""

    def __init__(self, *errors: Exception, leaves: bool = False) -> None:
        self.errors, self.waits, self.leaves = [*errors], list[float](), leaves

    def __call__(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "there"

    def wait(self, delay_s: float) -> bool:
        self.waits.append(delay_s)
        return self.leaves


def test_what_may_pass_is_asked_again_as_long_as_a_body_would_be() -> None:
    told: list[str] = []
    asked = Asked(busy(), busy(7.0), SinkError("late", transient=True))
    assert insist(asked, Retries(), asked.wait, told.append) == "there"
    assert told == ["busy", "busy", "late"]
    assert len(asked.waits) == 3
    assert asked.waits[1] >= 7.0


@pytest.mark.parametrize(
    ("errors", "retries"),
    [
        ([busy()] * 4, Retries()),
        ([busy()], Retries(retries=0)),
        ([busy(500.0)], Retries()),  # more than --max-retry-after
        ([DestinationError("no such bucket")], Retries()),
        ([SinkError("denied", transient=False)], Retries()),
    ],
)
def test_it_ends(errors: list[Exception], retries: Retries) -> None:
    asked = Asked(*errors)
    with pytest.raises((DestinationError, SinkError)):
        insist(asked, retries, asked.wait)
    assert len(asked.waits) == len(errors) - 1


def test_a_run_that_is_stopped_meanwhile_asks_no_more() -> None:
    asked = Asked(busy(), busy(), leaves=True)
    with pytest.raises(DestinationError):
        insist(asked, Retries(), asked.wait)
    assert len(asked.waits) == 1


class Listing:
    """A list of `keys` that breaks off: each of `breaks` is after how many of them, and why."""

    def __init__(self, keys: str, *breaks: tuple[int, Exception]) -> None:
        self.keys, self.breaks, self.asked = keys, [*breaks], 0

    def __call__(self) -> Iterator[str]:
        self.asked += 1
        if not self.breaks:
            yield from self.keys
            return
        after, error = self.breaks.pop(0)
        yield from islice(self.keys, after)
        raise error


@pytest.fixture
def unwaited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)


LATE = SinkError("late", transient=True)


@pytest.mark.usefixtures("unwaited")
@pytest.mark.parametrize("at", [(1,), (3,), (2, 2, 2), (2, 0, 1, 3, 3), (4,)])
def test_a_list_that_breaks_off_goes_on_behind_that(at: tuple[int, ...]) -> None:
    listing = Listing("zbka", *((after, LATE) for after in at))
    assert "".join(insist_on_rest(listing, str)) == "zbka"
    assert listing.asked == 1 + len(at)


@pytest.mark.usefixtures("unwaited")
@pytest.mark.parametrize(
    ("breaks", "asked"),
    [
        ([(0, LATE)], 1),  # who asks insists on the first item
        ([(2, LATE)] * 5, 5),
        ([(2, SinkError("denied", transient=False))], 1),
        ([(2, DestinationError("denied"))], 1),
        ([(2, LATE), (0, DestinationError("denied"))], 2),
    ],
)
def test_a_list_that_does_not_go_on_is_an_error(
    breaks: list[tuple[int, Exception]], asked: int
) -> None:
    listing, told = Listing("zbka", *breaks), list[str]()
    with pytest.raises((DestinationError, SinkError)):
        told.extend(insist_on_rest(listing, str))
    assert ("".join(told), listing.asked) == ("zbka"[: breaks[0][0]], asked)


@pytest.mark.usefixtures("unwaited")
def test_a_list_does_not_go_on_without_the_item_where_it_broke_off() -> None:
    listing = Listing("zbka", (2, LATE))
    told = insist_on_rest(listing, str)
    assert [next(told), next(told)] == ["z", "b"]
    listing.keys = "zka"
    with pytest.raises(SinkError, match="late"):
        next(told)
