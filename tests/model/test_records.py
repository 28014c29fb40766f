"""Records: frozen, and every outcome has its word."""

import dataclasses
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
}


def test_every_outcome_has_the_word_of_the_contract() -> None:
    assert set(STATUSES) == set(get_args(Outcome))
    assert set(STATUSES.values()) == set(OUTCOMES)
    for status, outcome in OUTCOMES.items():
        assert Result(TARGET, outcome).status == status


def test_only_what_went_wrong_has_a_failure() -> None:
    failures = {status: Result(TARGET, outcome).failure for status, outcome in OUTCOMES.items()}
    assert {status for status, failure in failures.items() if failure} == {"deferred", "failed"}


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
