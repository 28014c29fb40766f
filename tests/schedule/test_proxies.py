"""A proxy that can't be reached: no host is charged, no attempt is lost, and all wait together."""

from scraper.model.errors import Kind
from scraper.model.records import Attempt, Failed, Failure, Target
from scraper.model.settings import Politeness
from scraper.schedule import Charge, Frontier
from scraper.schedule.proxies import Proxy, shows_life

LOST = Failure(Kind.PROXY, "the proxy p:1: can't connect", transient=True, proxy="p:1")
FINAL = LOST._replace(transient=False)
SAID_NO = Failure(Kind.PROXY, "the proxy p:1 answered CONNECT with 407", transient=False)


def attempt(host: str, number: int = 0) -> Attempt:
    return Attempt(Target("l", f"http://{host}/", host, f"{host}/{number}", number, "list"), 0.0)


def frontier(patience_s: float = 300.0) -> Frontier:
    """All hosts but `direct` are behind one proxy."""
    return Frontier(
        Politeness(max_concurrency=4),
        120.0,
        patience_s,
        lambda url: None if "direct" in url else "p:1",
    )


def test_all_hosts_behind_it_wait_and_the_others_do_not() -> None:
    queue = frontier()
    for host in ("a", "b", "direct"):
        queue.add(attempt(host), 0.0)
    first = queue.start(0.0)
    assert first.target.host == "a"
    change = queue.ended(first, LOST, 0.0, 0.0, 0.0)
    assert change is not None
    assert (change.event, change.record["proxy"]) == ("proxy_down", "p:1")
    assert queue.charge(first) is Charge.NOTHING
    queue.add(first, 0.0, under_way=True)
    assert queue.may_start(0.0)
    assert queue.start(0.0).target.host == "direct"
    assert not queue.may_start(0.0)
    wake_at = queue.wake_at(0.0)
    assert wake_at is not None
    assert 0.1 <= wake_at <= 0.2
    queue.add(attempt("c"), 0.0)
    (seen,) = queue.waits(0.0)
    assert (seen.host, seen.targets, seen.is_down) == ("the proxy p:1", 3, True)
    assert queue.may_start(wake_at)
    probe = queue.start(wake_at)
    assert not queue.may_start(wake_at), "one target tries"
    change = queue.ended(probe, None, wake_at, 0.0, wake_at)
    assert change is not None
    assert change.event == "proxy_up"
    assert queue.may_start(wake_at), "nobody waits any longer"


def test_a_proxy_that_stays_away_is_given_up_and_its_targets_end_at_once() -> None:
    queue, now = frontier(60.0), 0.0
    for host in ("a", "b", "direct"):
        queue.add(attempt(host), 0.0)
    events = []
    while queue.may_start(now) or (queue.wake_at(now) or 1e9) < 200.0:
        now = max(now, queue.wake_at(now) or now)
        assert queue.may_start(now)
        tried = queue.start(now)
        if tried.target.host == "direct":
            queue.ended(tried, None, now, 0.0, now)
            continue
        change = queue.ended(tried, LOST, now, 0.0, now)
        events += [] if change is None else [change.event]
        if queue.charge(tried) is not Charge.LAST:
            queue.add(tried, now, under_way=True)
    assert events[0] == "proxy_down"
    assert events[-1] == "proxy_given_up"
    assert 60.0 <= now < 130.0
    ended = list(queue.take_ended_early())
    assert [one.target.host for one, _ in ended] in (["a"], ["b"])
    for number in (1, 2):
        queue.add(attempt("c", number), now)
    ended = list(queue.take_ended_early())
    assert len(ended) == 2
    for _, outcome in ended:
        assert isinstance(outcome, Failed)
        assert outcome.failure.kind is Kind.PROXY
    queue.add(attempt("direct", 1), now)
    assert queue.may_start(now)


def test_what_no_later_try_makes_better_costs_an_attempt() -> None:
    proxy = Proxy("p:1", 300.0)
    charges = [proxy.ended(FINAL, now, now)[1] for now in map(float, range(10))]
    assert charges == [Charge.ATTEMPT] * 9 + [Charge.LAST]
    assert proxy.given_up


def test_its_own_no_is_no_fault_of_the_host() -> None:
    queue = frontier()
    for number in range(30):
        queue.add(attempt("a", number), 0.0)
    for _ in range(30):
        assert queue.may_start(1.0)
        tried = queue.start(1.0)
        assert queue.ended(tried, SAID_NO, 1.0, 0.0, 1.0) is None
        assert queue.charge(tried) is Charge.ATTEMPT
    assert not list(queue.take_ended_early()), "the host is not down"


def test_what_shows_that_it_is_there() -> None:
    assert shows_life(None)
    assert shows_life(SAID_NO)
    assert shows_life(Failure(Kind.HTTP_STATUS, "HTTP 404", http_code=404))
    assert shows_life(Failure(Kind.CONNECT, "refused", unreachable=True))
    assert not shows_life(Failure(Kind.BLOCKED_ADDRESS, "private"))
    assert not shows_life(Failure(Kind.TIMEOUT, "--max-time"))
