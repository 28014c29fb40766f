"""Errors: the words of the manifest, and a tree whose drawing is true."""

import re

import pytest

from scraper.model import errors
from scraper.model.errors import (
    BadTarget,
    DestinationError,
    Kind,
    ListError,
    ScraperError,
    SinkError,
    TransferError,
    UsageError,
)

# CLI.md, `error`.
KINDS = {
    *("bad_url", "dns", "connect", "tls", "timeout", "protocol", "truncated", "too_large"),
    *("too_many_redirects", "blocked_address", "http_status", "unexpected_type", "host_down"),
    *("robots", "sink", "proxy", "mismatch", "interrupted", "lost"),
}


def test_the_kinds_are_the_words_of_the_contract() -> None:
    assert {str(kind) for kind in Kind} == KINDS


def test_every_error_of_ours_is_a_scraper_error() -> None:
    ours = [found for found in vars(errors).values() if isinstance(found, type)]
    for error in ours:
        if issubclass(error, BaseException):
            assert issubclass(error, ScraperError)


def test_the_tree_is_as_its_drawing_says() -> None:
    assert errors.__doc__
    drawn = set(re.findall(r"^[ │├└─]*([A-Z]\w+)", errors.__doc__, re.MULTILINE))
    defined = {error.__name__ for error in _subclasses(ScraperError)}
    assert defined <= drawn
    assert issubclass(ListError, UsageError)
    assert issubclass(BadTarget, TransferError)
    assert issubclass(SinkError, TransferError)
    assert not issubclass(DestinationError, TransferError)


def _subclasses(error: type[ScraperError]) -> set[type[ScraperError]]:
    below = (
        _subclasses(sub) for sub in error.__subclasses__() if sub.__module__ == error.__module__
    )
    return {error}.union(*below)


def test_a_bad_target_is_never_retried() -> None:
    error = BadTarget("no URL")
    assert (error.kind, error.message, error.transient) == (Kind.BAD_URL, "no URL", False)
    assert str(error) == "no URL"


@pytest.mark.parametrize("transient", [True, False])
def test_a_sink_says_whether_another_attempt_may_do(transient: bool) -> None:
    error = SinkError("503 SlowDown", transient=transient)
    assert (error.kind, error.transient, error.unreachable) == (Kind.SINK, transient, False)


def test_a_transfer_error_leaves_the_verdict_to_its_kind_unless_told() -> None:
    error = TransferError(Kind.CONNECT, "refused", unreachable=True)
    assert (error.transient, error.unreachable) == (None, True)
