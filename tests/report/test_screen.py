"""What a terminal shows of one target."""

import pytest
from hypothesis import given

from scraper.model.errors import Kind
from scraper.model.records import Failed, Failure, Result, Target
from scraper.report.log import Log, Style
from scraper.report.screen import screen_line
from tests.report.test_log import DRIVES
from tests.results import (
    BAD_LINE,
    DEFERRED,
    DUPLICATE,
    EVERY_RESULT,
    FAILED,
    NOT_MODIFIED,
    REFUSED,
    SKIPPED,
    STORED,
    TARGET,
    UNREACHED,
    URL,
    any_result,
)

ELSEWHERE = STORED._replace(target=TARGET._replace(key="elsewhere"))


@pytest.mark.parametrize(
    ("result", "line"),
    [
        (FAILED, f"HTTP 404         {URL}"),
        (UNREACHED, f"connect          {URL}  {REFUSED.message}, after 4 attempts"),
        (BAD_LINE, "bad_url          nonsense  no scheme (urls.txt:8)"),
        (DEFERRED, f"deferred         {URL}  HTTP 429, after 2 attempts"),
    ],
)  # fmt: skip
def test_the_reason_stands_before_the_url(result: Result, line: str) -> None:
    assert screen_line(result, wide=False) == line


@pytest.mark.parametrize(
    ("result", "line"),
    [
        (STORED, f"200    1.2 kB   0.500s  {URL}"),
        (ELSEWHERE, f"200    1.2 kB   0.500s  {URL}  -> elsewhere"),
        (NOT_MODIFIED, f"304 unchanged           {URL}  after 2 attempts"),
        (SKIPPED, f"skipped                 {URL}  stored by an earlier run"),
        (DUPLICATE, f"duplicate               {URL}  same as line 3"),
        (FAILED, f"HTTP 404                {URL}"),
    ],
)
def test_with_all_targets_their_key_is_shown_only_if_it_says_something(
    result: Result, line: str
) -> None:
    assert screen_line(result, wide=True) == line


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.HTTP_STATUS])
@pytest.mark.parametrize("wide", [False, True])
def test_the_column_of_urls_is_straight_for_every_kind(kind: Kind, wide: bool) -> None:
    failed = FAILED._replace(outcome=Failed(Failure(kind, "why")))
    for result in (failed, FAILED, UNREACHED, *(EVERY_RESULT.values() if wide else ())):
        shown = screen_line(result, wide=wide)
        assert shown.index(result.target.listed) == (24 if wide else 17)


@pytest.mark.parametrize("verbose", [False, True])
@given(any_result())
def test_no_url_and_no_message_drives_a_terminal(verbose: bool, result: Result) -> None:
    lines: list[str] = []
    style = Style(screen=True, coloured=True)
    Log(lambda *more: lines.extend(more), style, verbose=verbose)(result)
    for line in lines:
        assert not DRIVES.search(line.replace("\x1b[31m", "", 1).replace("\x1b[39m", "", 1))


def test_a_failure_is_red_and_a_good_target_is_not() -> None:
    lines: list[str] = []
    log = Log(lambda *more: lines.extend(more), Style(screen=True, coloured=True), verbose=True)
    log(FAILED, STORED)
    assert lines[0] == f"\x1b[31mHTTP 404\x1b[39m                {URL}"
    assert "\x1b" not in lines[1]


def test_good_targets_are_shown_on_a_terminal_only_if_they_are_asked_for() -> None:
    def shown(*, verbose: bool) -> list[str]:
        lines: list[str] = []
        log = Log(lambda *more: lines.extend(more), Style(screen=True), verbose=verbose)
        log(STORED, NOT_MODIFIED, SKIPPED, DUPLICATE, FAILED)
        return lines

    assert len(shown(verbose=False)) == 1
    assert len(shown(verbose=True)) == 5


def test_a_url_without_a_host_does_no_harm() -> None:
    target = Target("http://[", "", "", "", 1, "-")
    assert "http://[" in screen_line(STORED._replace(target=target), wide=True)
