"""How long a destination is insisted on before a run begins."""

import pytest

from scraper.model.errors import DestinationError, SinkError
from scraper.model.settings import Retries
from scraper.sinks.beginning import insist


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
