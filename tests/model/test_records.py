"""Records: frozen, and every outcome has its word."""

import dataclasses
from pathlib import Path
from typing import get_args

import pytest

from scraper.model.errors import Kind
from scraper.model.records import (
    STATUSES,
    Deferred,
    Duplicate,
    Failed,
    Failure,
    NotModified,
    NotReached,
    Outcome,
    Response,
    Result,
    Skipped,
    Stored,
    Target,
    Times,
)

TARGET = Target("http://a/", "http://a/", "a", "k", 1, "urls")
RESPONSE = Response(200, "http://a/")
FAILURE = Failure(Kind.HTTP_STATUS, "404", http_code=404)
OUTCOMES: dict[str, Outcome] = {
    "stored": Stored(RESPONSE, 1, "00"),
    "not_modified": NotModified(RESPONSE),
    "skipped": Skipped("done"),
    "duplicate": Duplicate(3),
    "deferred": Deferred(FAILURE),
    "failed": Failed(FAILURE, RESPONSE),
    "not_reached": NotReached(FAILURE),
}


def test_every_outcome_has_the_word_of_the_contract() -> None:
    assert set(STATUSES) == set(get_args(Outcome))
    assert set(STATUSES.values()) == set(OUTCOMES)
    for status, outcome in OUTCOMES.items():
        assert Result(TARGET, outcome).status == status


def test_only_what_went_wrong_has_a_failure() -> None:
    failures = {status: Result(TARGET, outcome).failure for status, outcome in OUTCOMES.items()}
    assert {status for status, failure in failures.items() if failure} == {
        *("deferred", "failed", "not_reached")
    }


def test_a_response_is_there_if_one_was_seen() -> None:
    responses = {status: Result(TARGET, outcome).response for status, outcome in OUTCOMES.items()}
    seen = {status for status, response in responses.items() if response}
    assert seen == {"stored", "not_modified", "failed"}


@pytest.mark.parametrize("record", [TARGET, RESPONSE, FAILURE, Times(), *OUTCOMES.values()])
def test_a_record_cannot_be_changed(record: object) -> None:
    names = getattr(record, "_fields", None) or [f.name for f in dataclasses.fields(record)]  # type: ignore[arg-type]
    with pytest.raises((dataclasses.FrozenInstanceError, AttributeError)):
        setattr(record, names[0], None)
    assert not hasattr(record, "__dict__")


# ---------------------------------------------------------------- what a program asks of a Result


def test_a_result_says_what_it_is_of_and_how_it_went() -> None:
    stored = Result(TARGET, OUTCOMES["stored"], 1, Times(), "/out")
    assert (stored.url, stored.key, stored.size) == ("http://a/", "k", 1)
    assert (stored.ok, stored.error, stored.path) == (True, None, Path("/out/k"))
    failed = Result(TARGET, OUTCOMES["failed"], 4, Times(), "/out")
    assert (failed.ok, failed.size, failed.path) == (False, None, None)
    assert failed.error is FAILURE is failed.failure
    assert str(failed.error) == f"{failed.error}" == "http_status: 404"


@pytest.mark.parametrize("status", OUTCOMES)
def test_a_result_is_well_or_has_an_error(status: str) -> None:
    result = Result(TARGET, OUTCOMES[status], 1, Times(), "/out")
    assert result.ok == (result.error is None)
    assert (result.path is not None) == result.ok
    assert (result.size is not None) == (status == "stored")
    assert Result(TARGET, OUTCOMES[status]).path is None


def test_a_result_is_shown_readably() -> None:
    shown = repr(Result(TARGET, OUTCOMES["stored"], 1))
    assert shown == "Result(status='stored', url='http://a/', key='k', size=1, attempts=1)"
    shown = repr(Result(TARGET._replace(key=""), OUTCOMES["failed"]))
    assert shown == "Result(status='failed', url='http://a/', error='http_status: 404', attempts=0)"


def test_no_secret_of_a_target_is_shown() -> None:
    url = "http://me:pass-word@a/?token=pass-word&X-Amz-Signature=pass-word"
    target = TARGET._replace(
        listed=url, url=url, headers={"Authorization": "pass-word"}, userinfo="me:pass-word"
    )
    for outcome in OUTCOMES.values():
        result = Result(target, outcome, 1, Times(), "/out")
        assert "pass-word" not in f"{result!r} {result} {[result]} {target!r} {result!s:>9}"
