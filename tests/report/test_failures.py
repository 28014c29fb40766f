"""Failures by reason: what is one group, and how much memory they may take."""

import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scraper.model.errors import Kind
from scraper.model.records import Deferred, Failed, Failure, Response, Result, Target
from scraper.report import failures
from scraper.report.failures import FailureGroup, FailureGroups, by_code, by_kind
from tests.results import DEFERRED, EVERY_RESULT, FAILED, any_result


def failed(
    number: int, kind: Kind, message: str, *, host: str = "h", code: int | None = None
) -> Result:
    url = f"http://{host}/{number}"
    failure = Failure(kind, message, http_code=code)
    response = Response(code, url) if code is not None else None
    return Result(Target(url, url, host, "k", number, "list"), Failed(failure, response), 1)


def groups_of(*results: Result) -> tuple[FailureGroup, ...]:
    groups = FailureGroups()
    for result in results:
        groups.add(result)
    return groups.frozen()


def reasons(*messages: str, kind: Kind = Kind.CONNECT) -> dict[str, int]:
    found = groups_of(*(failed(n, kind, message) for n, message in enumerate(messages)))
    return {group.reason: group.failures for group in found}


def gone(number: int, code: int = 404, host: str = "h") -> Result:
    return failed(number, Kind.HTTP_STATUS, f"HTTP {code}", code=code, host=host)


def test_a_code_is_a_group_with_its_hosts_and_its_first_urls_the_largest_first() -> None:
    found = groups_of(
        *(gone(number, 500, f"h{number % 3}") for number in range(5)),
        *(gone(number) for number in range(9)),
    )
    large, small = found
    assert (large.reason, large.http_code, large.failures, large.hosts) == ("HTTP 404", 404, 9, 1)
    assert large.urls == ("http://h/0", "http://h/1", "http://h/2")
    assert (small.reason, small.http_code, small.failures, small.hosts) == ("HTTP 500", 500, 5, 3)
    assert by_code(found) == {"404": 9, "500": 5}
    assert by_kind(found) == {"http_status": 14}


def test_the_place_where_a_list_broke_off_is_no_example() -> None:
    failure = Failure(Kind.BAD_URL, "the list 'a' broke off", transient=False)
    (group,) = groups_of(Result(Target("", "", "", "", 7, "a"), Failed(failure)))
    assert (group.failures, group.urls) == (1, ())


def test_what_differs_from_url_to_url_is_no_reason_of_its_own() -> None:
    assert reasons("body is longer than --max-size 10 bytes") == {
        "body is longer than --max-size ... bytes": 1
    }
    truncated = "body ended after 12 of 1,234 bytes", "body ended after 9 of 10 bytes"
    assert reasons(*truncated, kind=Kind.TRUNCATED) == {"body ended after ... of ... bytes": 2}
    assert reasons("can't connect: Connection refused", "can't connect: No route") == {
        "can't connect: Connection refused": 1,
        "can't connect: No route": 1,
    }
    assert reasons("connection was closed before a response") == {"closed before a response": 1}
    down = "a.example is down: 5 connections failed (x)", "b.example is down: 9 connections"
    assert reasons(*down, kind=Kind.HOST_DOWN) == {"host is down": 2}
    said = (
        "the proxy p:1 answered CONNECT with 407 Who",
        "the proxy p:1 answered CONNECT with 403 No",
    )
    assert reasons(*said, kind=Kind.PROXY) == dict.fromkeys(said, 1)
    differs = [f"sha256 of the body is {n * 64}, {'a1' * 32} was expected" for n in "0b"]
    assert reasons(*differs, kind=Kind.MISMATCH) == {
        "sha256 of the body is ..., ... was expected": 2
    }
    odd = "not HTTP: \x16\x03", "not HTTP: nonsense"
    assert reasons(*odd, kind=Kind.PROTOCOL) == {"not HTTP": 2}


def test_deferred_ones_have_groups_of_their_own_and_are_not_failed() -> None:
    found = groups_of(DEFERRED, FAILED)
    assert {(group.status, group.http_code) for group in found} == {
        ("deferred", 429),
        ("failed", 404),
    }
    assert by_kind(found) == {"http_status": 1}
    assert by_code(found) == {"404": 1}


@given(st.lists(any_result() | st.sampled_from(list(EVERY_RESULT.values()))))
def test_every_failure_is_in_one_group(results: list[Result]) -> None:
    found = groups_of(*results)
    told = [one for one in results if isinstance(one.outcome, Failed | Deferred)]
    assert sum(group.failures for group in found) == len(told)
    assert len({(one.status, one.kind, one.http_code, one.reason) for one in found}) == len(found)
    named = [one for one in told if one.target.listed]
    assert all(len(group.urls) <= failures.URLS for group in found)
    assert any(group.urls for group in found) == bool(named)


def test_no_secret_is_in_a_group() -> None:
    url = "http://me:hunter2@h/?token=hunter2"
    target = Target(url, "http://h/?token=hunter2", "h", "k", 1, "list", {}, "me:hunter2")
    (group,) = groups_of(Result(target, FAILED.outcome))
    assert group.urls == ("http://REDACTED@h/?token=REDACTED",)


def test_a_server_that_makes_up_reasons_gets_few_groups() -> None:
    messages = [f"TLS: alert {'x' * number}" for number in range(1, 40)]
    found = groups_of(*(failed(n, Kind.TLS, message) for n, message in enumerate(messages)))
    assert len(found) == failures._REASONS + 1
    assert found[0].reason == "other (tls)"
    assert found[0].failures == len(messages) - failures._REASONS


@pytest.mark.parametrize("count", [1, 2, failures.SET_HOSTS, 5_000, 200_000])
def test_hosts_are_counted_one_by_one_or_about(count: int) -> None:
    groups = FailureGroups()
    for number in range(count):
        for _ in range(2):
            groups.add(gone(0, host=f"h{number}"))
    (group,) = groups.frozen()
    assert group.failures == 2 * count
    if count <= failures.SET_HOSTS:
        assert group.hosts == count
    else:
        assert abs(group.hosts - count) < 0.02 * count


def test_the_hosts_with_most_failures_are_found_among_very_many() -> None:
    groups = FailureGroups()
    for number in range(30_000):
        groups.add(gone(number, host=f"h{number}"))
        if number % 10 == 0:
            groups.add(gone(number, host="worst"))
        if number % 20 == 0:
            groups.add(gone(number, host="bad"))
    worst, bad, *_ = groups.worst_hosts()
    assert (worst.host, bad.host) == ("worst", "bad")
    assert 3_000 - 35_000 / failures.RANKED <= worst.failures <= 3_000
    assert len(groups.worst_hosts()) <= failures.WORST


def test_where_no_host_stands_out_none_is_told() -> None:
    groups = FailureGroups()
    for number in range(3 * failures.RANKED):
        groups.add(gone(number, host=f"h{number}"))
    assert groups.worst_hosts() == ()


def test_few_hosts_are_counted_exactly() -> None:
    groups = FailureGroups()
    for number in range(12):
        for _ in range(number + 1):
            groups.add(gone(0, host=f"h{number}"))
    assert groups.worst_hosts()[0] == ("h11", 12)
    assert [host.failures for host in groups.worst_hosts()] == [*range(12, 2, -1)]


def test_memory_is_bounded_whatever_fails_wherever() -> None:
    def storm() -> Iterator[Result]:
        for number in range(40_000):
            host = f"host-{number}.example"
            yield gone(number, 400 + number % 200, host)
            yield failed(number, Kind.PROTOCOL, f"{number:x}odd" * 50, host=host)

    groups = FailureGroups()
    for result in storm():  # so that every group is there
        groups.add(result)
    tracemalloc.start()
    try:
        for result in storm():
            groups.add(result)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < 2 << 20
