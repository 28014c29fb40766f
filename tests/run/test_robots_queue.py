"""Targets that wait for their robots.txt, by a clock that the tests own."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from scraper.model.errors import Kind, TransferError
from scraper.model.records import Attempt, Deferred, Failed, Failure, Outcome, Target
from scraper.model.settings import Settings
from scraper.run.build import make_plan
from scraper.run.robots_queue import KNOWN_FOR_S, RobotsQueue
from scraper.schedule.frontier import WINDOW, Frontier
from scraper.schedule.robots_known import KnownRules
from scraper.sinks.directory.sink import DirectorySink
from scraper.transfer.completion import InPart
from scraper.transfer.exchange import Next, Reply
from scraper.transfer.transfer import Transfer

RULES = b"User-agent: *\nDisallow: /no\n"
REFUSED = TransferError(Kind.CONNECT, "refused", unreachable=True)


def attempt(url: str) -> Attempt:
    host = url.split("/")[2]
    return Attempt(Target(url, url, host, url, 1, "list"), queued_at=0.0)


class Scene:
    """A robots queue before a frontier, and what was told."""

    def __init__(self, **options: Any) -> None:
        settings = Settings.of(robots=True, **options)
        self.told: list[str] = []
        self.frontier = Frontier(settings.politeness, settings.retries.max_retry_after)
        plan = make_plan(settings, DirectorySink(Path("unused")))
        self.robots_queue = RobotsQueue(settings, plan, self.frontier, self._note)
        self.ended: list[tuple[Attempt, Outcome]] = []

    def _note(self, level: str, name: str, record: Mapping[str, Any]) -> None:
        assert (level, name) == ("debug", "robots")
        self.told.append(record["message"])

    def add(self, *urls: str, now: float = 0.0) -> None:
        for url in urls:
            self.robots_queue.add(attempt(url), now)

    def started(self, now: float = 0.0) -> list[Attempt]:
        """What starts now."""
        found = []
        while self.frontier.may_start(now):
            found.append(self.frontier.start(now))
            self.frontier.sent(found[-1].target, now)
        return found

    def urls(self, now: float = 0.0) -> list[str]:
        return [one.target.url for one in self.started(now)]

    def asked(self, now: float = 0.0) -> Transfer:
        """The transfer of the one robots.txt that starts now."""
        (one,) = self.started(now)
        assert self.robots_queue.owns(one)
        transfer = self.robots_queue.transfer(one, now)
        transfer.deadline = math.inf  # of another clock
        return transfer

    def answer(
        self,
        transfer: Transfer,
        body: bytes = RULES,
        replies: Iterable[Reply] = (Reply(200, []),),
        *,
        now: float = 0.0,
        fail: TransferError | None = None,
    ) -> None:
        """Carry it to its end, and tell the queue."""
        following = Next.STOP
        try:
            for reply in replies:
                following = transfer.response(reply)
            if fail is not None:
                raise fail
            if following is Next.READ:
                if body:
                    transfer.data(body)
                transfer.finish()
        except TransferError as error:
            transfer.fail(error)
        assert transfer.completion is not None
        assert not isinstance(transfer.completion.outcome, InPart)
        self.end(transfer, transfer.completion.outcome, now=now)

    def end(self, transfer: Transfer, outcome: Outcome, now: float = 0.0) -> None:
        failure = outcome.failure if isinstance(outcome, Failed) else None
        self.frontier.ended(transfer.attempt, failure, transfer.started, 0.0, now)
        self.robots_queue.answered(transfer.attempt, outcome, transfer.started, now)

    def early(self) -> dict[str, str]:
        """Targets that ended unasked, and why."""
        self.ended = list(self.robots_queue.take_ended_early())
        said = {}
        for one, outcome in self.ended:
            assert isinstance(outcome, Failed | Deferred)
            word = "deferred " if isinstance(outcome, Deferred) else ""
            said[one.target.url] = f"{word}{outcome.failure.kind}: {outcome.failure.message}"
        return said


def test_one_robots_txt_of_an_origin_is_asked_for_before_any_of_its_targets() -> None:
    scene = Scene()
    scene.add("http://a/1", "http://a/2", "https://a/3", "http://a:81/4", "http://a/no")
    origins = ["http://a", "http://a:81", "https://a"]
    assert sorted(scene.urls()) == sorted(f"{origin}/robots.txt" for origin in origins)
    assert not scene.early()


def test_those_who_wait_are_judged_in_their_order_when_it_is_there() -> None:
    scene = Scene()
    scene.add("http://a/1", "http://a/no/x", "http://a/2")
    scene.answer(scene.asked())
    assert scene.urls() == ["http://a/1", "http://a/2"]
    assert scene.early() == {"http://a/no/x": "robots: robots.txt of http://a disallows this"}
    assert scene.told == ["robots.txt of http://a: HTTP 200, 28 bytes"]


def test_later_targets_are_judged_at_once() -> None:
    scene = Scene()
    scene.add("http://a/1")
    scene.answer(scene.asked())
    scene.started()
    scene.add("http://a/2", "http://a/no")
    assert scene.urls() == ["http://a/2"]
    assert list(scene.early()) == ["http://a/no"]


def test_a_robots_txt_of_the_list_is_a_target_like_any_other() -> None:
    scene = Scene()
    scene.add("http://a/robots.txt", "http://a/robots.txt?x")
    (first, second) = scene.started()
    assert not scene.robots_queue.owns(first)
    assert not scene.robots_queue.owns(second)
    scene.add("http://a/robots.txt/x", "http://a/robots.txts")
    assert scene.robots_queue.owns(scene.started()[0])


def test_who_waits_counts_against_the_window() -> None:
    scene = Scene()
    scene.add(*(f"http://a/{n}" for n in range(10)))
    assert scene.robots_queue.room == WINDOW - 11, "ten targets and a robots.txt"
    transfer = scene.asked()
    assert scene.robots_queue.room == WINDOW - 10
    scene.answer(transfer)
    assert scene.robots_queue.room == WINDOW - 10
    scene.started()
    assert scene.robots_queue.room == WINDOW


def test_when_the_run_stops_those_who_wait_are_handed_back_and_no_robots_txt() -> None:
    scene = Scene()
    scene.add("http://a/1", "http://b/1", "http://b/2")
    left = {one.target.url for one in scene.robots_queue.drain()}
    assert left == {"http://a/1", "http://b/1", "http://b/2"}
    assert scene.robots_queue.room == WINDOW


# ---------------------------------------------------------------- what an answer means


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_without_a_robots_txt_everything_is_allowed(status: int) -> None:
    scene = Scene()
    scene.add("http://a/no")
    scene.answer(scene.asked(), replies=[Reply(status, [])])
    assert scene.urls() == ["http://a/no"]
    assert scene.told == [f"robots.txt of http://a: HTTP {status}"]


@pytest.mark.parametrize("status", [500, 503, 429])
def test_with_one_that_can_not_be_had_nothing_is_for_the_whole_run(status: int) -> None:
    scene = Scene()
    scene.add("http://a/1")
    scene.answer(scene.asked(), replies=[Reply(status, [])])
    scene.add("http://a/2", now=60.0)
    why = f"robots: robots.txt of http://a can't be had (HTTP {status}), so nothing is allowed"
    assert scene.early() == {"http://a/1": why, "http://a/2": why}
    assert not scene.urls(60.0)


def test_its_redirects_count_for_the_origin_that_was_asked() -> None:
    scene = Scene()
    scene.add("http://a/no", "http://a/yes")
    hops = [Reply(301, [("location", f"http://b{n}/elsewhere")]) for n in range(5)]
    scene.answer(scene.asked(), replies=[*hops, Reply(200, [])])
    assert list(scene.early()) == ["http://a/no"]
    assert scene.urls() == ["http://a/yes"]
    scene.add("http://b4/1")
    assert scene.urls() == ["http://b4/robots.txt"]


def test_one_that_leads_to_anothers_robots_txt_is_both_answers() -> None:
    scene = Scene()
    scene.add("http://a/1")
    moved = Reply(301, [("location", "https://a/robots.txt")])
    scene.answer(scene.asked(), replies=[moved, Reply(200, [])])
    assert scene.urls() == ["http://a/1"]
    scene.add("https://a/2", "https://a/no")
    assert scene.urls() == ["https://a/2"]
    assert scene.robots_queue.forbids("https://a/no") == "robots.txt of https://a disallows this"


def test_redirects_without_end_are_no_robots_txt() -> None:
    scene = Scene(max_redirects=0)
    scene.add("http://a/no")
    hops = [Reply(302, [("location", "/robots.txt")])] * 11
    scene.answer(scene.asked(), replies=hops)
    assert scene.urls() == ["http://a/no"]


def test_what_is_beyond_500_kib_is_not_waited_for() -> None:
    scene = Scene(max_size=10)
    scene.add("http://a/no", "http://a/yes")
    transfer = scene.asked()
    transfer.response(Reply(200, [("Content-Length", "999999999")]))
    with pytest.raises(TransferError):  # noqa: PT012 - whichever of them
        for _ in range(10):
            transfer.data(RULES + b"#" * 100_000 + b"\n")
    transfer.fail(TransferError(Kind.SINK, "the first bytes were enough", transient=False))
    assert transfer.completion is not None
    assert not isinstance(transfer.completion.outcome, InPart)
    scene.end(transfer, transfer.completion.outcome)
    assert list(scene.early()) == ["http://a/no"]
    assert scene.urls() == ["http://a/yes"]


# ---------------------------------------------------------------- its own request


def test_it_is_asked_for_as_the_run_asks_and_with_nothing_of_one_line() -> None:
    scene = Scene(headers={"X-Mine": "1", "If-None-Match": '"x"', "Range": "bytes=0-"}, raw=True)
    url = "http://a/1"
    own = Target(url, url, "a", "k", 1, "list", {"Authorization": "line"}, "me:secret")
    scene.robots_queue.add(Attempt(own, queued_at=0.0), 0.0)
    headers = scene.asked().request.headers
    assert headers["x-mine"] == "1"
    assert headers["accept-encoding"]
    assert headers.keys() == {"user-agent", "accept", "accept-encoding", "x-mine"}


@pytest.mark.parametrize(
    "options",
    [
        {"user_agent": "mybot/3.0 (+http://x)"},
        {"headers": {"User-Agent": "MyBot"}, "user_agent": "other/1"},
    ],
)
def test_the_rules_are_those_for_the_user_agent_that_is_sent(options: dict[str, Any]) -> None:
    scene = Scene(**options)
    scene.add("http://a/mine", "http://a/other")
    text = b"User-agent: *\nDisallow: /other\n\nUser-agent: mybot\nDisallow: /mine\n"
    scene.answer(scene.asked(), text)
    assert list(scene.early()) == ["http://a/mine"]


# ---------------------------------------------------------------- Crawl-delay


def test_a_crawl_delay_lies_between_all_starts_the_robots_txt_among_them() -> None:
    scene = Scene()
    scene.add("http://a/1", "http://a/2")
    scene.answer(scene.asked(now=100.0), b"User-agent: *\nCrawl-delay: 7\n", now=103.0)
    assert scene.told == ["robots.txt of http://a: HTTP 200, 29 bytes, Crawl-delay 7 s"]
    assert not scene.urls(106.9)
    assert scene.urls(107.0) == ["http://a/1"]
    assert not scene.urls(113.9)
    assert scene.urls(114.0) == ["http://a/2"]


def test_a_longer_delay_of_ours_is_kept() -> None:
    scene = Scene(delay=10.0)
    scene.add("http://a/1")
    scene.answer(scene.asked(), b"User-agent: *\nCrawl-delay: 7\n")
    assert not scene.urls(9.9)
    assert scene.urls(10.0) == ["http://a/1"]


def test_a_crawl_delay_is_for_its_host_alone() -> None:
    scene = Scene()
    scene.add("http://a/1")
    scene.answer(scene.asked(), b"User-agent: *\nCrawl-delay: 7\n")
    scene.add("http://b/1", "http://b/2")
    scene.answer(scene.asked(), b"")
    assert scene.urls() == ["http://b/1", "http://b/2"]


def test_a_crawl_delay_above_what_a_server_may_ask_for_defers_the_targets() -> None:
    scene = Scene(max_retry_after=60)
    scene.add("http://a/1", "http://a/no")
    scene.answer(scene.asked(), RULES + b"Crawl-delay: 60.5\n")
    assert scene.early() == {
        "http://a/1": "deferred robots: robots.txt of http://a wants 60.5 s between requests"
        " (Crawl-delay), more than --max-retry-after 60",
        "http://a/no": "robots: robots.txt of http://a disallows this",
    }


# ---------------------------------------------------------------- hosts that are away


def test_a_host_that_asks_for_much_patience_defers_those_who_wait_and_is_asked_again() -> None:
    scene = Scene()
    scene.add("http://a/1")
    transfer = scene.asked()
    failure = Failure(Kind.HTTP_STATUS, "HTTP 503", None, False, 503, 500.0, pushback=True)
    scene.frontier.ended(transfer.attempt, failure, 0.0, 0.0, 0.0)
    scene.robots_queue.answered(transfer.attempt, Deferred(failure), 0.0, 0.0)
    assert scene.early() == {"http://a/1": "deferred http_status: robots.txt of http://a: HTTP 503"}
    assert not scene.robots_queue._readings
    scene.add("http://a/2", now=400.0)
    patience = "a asked for patience: 100 s more than this run gives"
    assert scene.early() == {
        "http://a/2": f"deferred http_status: robots.txt of http://a: {patience}"
    }
    scene.add("http://a/3", now=501.0)
    assert scene.urls(501.0) == ["http://a/robots.txt"]


# ---------------------------------------------------------------- what is known, and for how long


def test_after_a_day_it_is_asked_for_again() -> None:
    scene = Scene()
    scene.add("http://a/1", now=0.0)
    scene.answer(scene.asked(), now=0.0)
    scene.started()
    scene.add("http://a/2", now=KNOWN_FOR_S - 1)
    assert scene.urls(KNOWN_FOR_S - 1) == ["http://a/2"]
    scene.add("http://a/no", now=KNOWN_FOR_S)
    scene.answer(scene.asked(KNOWN_FOR_S), b"", now=KNOWN_FOR_S)
    assert scene.urls(KNOWN_FOR_S) == ["http://a/no"]


def test_what_was_known_is_good_for_longer_while_it_can_not_be_had() -> None:
    scene = Scene()
    scene.add("http://a/1", now=0.0)
    scene.answer(scene.asked(), now=0.0)
    scene.started()
    scene.add("http://a/2", "http://a/no", now=KNOWN_FOR_S)
    scene.answer(scene.asked(KNOWN_FOR_S), replies=[], fail=REFUSED, now=KNOWN_FOR_S)
    assert scene.urls(KNOWN_FOR_S) == ["http://a/2"]
    assert list(scene.early()) == ["http://a/no"]


def test_what_is_known_takes_no_more_memory_than_it_may() -> None:
    scene = Scene()
    scene.robots_queue.known = KnownRules(10_000)
    for host in "abcdef":  # of about 2,500 bytes each
        scene.add(f"http://{host}/1")
        scene.answer(scene.asked())
        scene.started()
        scene.add("http://a/2")  # used again and again
        assert scene.urls() == ["http://a/2"]
    assert scene.robots_queue.known._weight <= 10_000
    scene.add("http://f/2", "http://b/2")
    assert scene.urls() == ["http://f/2", "http://b/robots.txt"]


# ---------------------------------------------------------------- redirects of targets


def test_a_redirect_is_judged_by_rules_that_are_known() -> None:
    scene = Scene()
    scene.add("http://a/1")
    scene.answer(scene.asked())
    forbids = scene.robots_queue.forbids
    assert forbids("http://a/no/1") == "robots.txt of http://a disallows this"
    assert forbids("http://a/yes") is None
    assert forbids("http://b/no") is None, "nobody asked b"
    assert forbids("http://a/robots.txt") is None
