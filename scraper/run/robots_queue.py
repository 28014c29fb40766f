"""The robots queue: with --robots, targets wait here until their robots.txt is read.

The queue stands before the frontier and has the same methods for new targets (`add`,
`room`, `take_ended_early`, `drain`). A robots.txt is fetched as a target is: through the
frontier, with a slot, the host's caps and delays, and retries. It has limits of its own. It
is no line of the list and has no Result. Its request has neither the headers nor the password
of any line.

Targets that wait here count against the frontier's window, so that memory does not grow with
the list. The rules of an origin are kept for 24 hours (RFC 9309 2.4), or until the space is
needed for others. Then they are asked for again. Targets that are in the frontier by then are
not judged again.

Owns: which target waits for which robots.txt, and the rules that are known. Does not know:
what a robots.txt means (`schedule/robots.py`), slots. Rejected: looking at the rules when a
target starts. Its host's turn, its delay and its slot are spent by then.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from scraper.model.errors import Kind
from scraper.model.records import Attempt, Deferred, Failed, Failure, Outcome, Stored, Target
from scraper.model.settings import Settings
from scraper.model.urls import origin_of
from scraper.run.stopping import Note
from scraper.schedule import Frontier
from scraper.schedule.robots import PATH, Rules, without
from scraper.schedule.robots_known import KnownRules, is_robots_txt
from scraper.transfer import CONDITIONS, Plan, Transfer
from scraper.transfer.robots_txt import RobotsReading

KNOWN_FOR_S = 24 * 3600.0
_REDIRECTS = 10  # RFC 9309 2.3.1.2 wants five
_MAX_TIME_S = 60.0
_NEVER_CONTINUED = 1 << 62  # bytes
_NEVER = float("-inf")


class RobotsTxt(Target):
    """The robots.txt of an origin. The origin is its `key`."""

    __slots__ = ()


class RobotsQueue:
    """See the module. `plan`: of the run's transfers. `note` hears of each robots.txt.

    `make` makes a transfer. `known`: the rules that are known.
    """

    def __init__(
        self,
        settings: Settings,
        plan: Plan,
        frontier: Frontier,
        note: Note,
        make: type[Transfer] = Transfer,
    ) -> None:
        self._make = make
        self._frontier = frontier
        self._note = note
        self._longest = settings.retries.max_retry_after
        self._plan = _plan(plan)
        self._token = plan.robots_token()
        self.known = KnownRules()
        self._waiting: dict[str, list[Attempt]] = {}  # by origin whose robots.txt is being fetched
        self._count = 0
        self._readings: dict[str, RobotsReading] = {}
        self._ended: deque[tuple[Attempt, Outcome]] = deque()

    # ------------------------------------------------------------ the methods of a frontier

    @property
    def room(self) -> int:
        """How many more targets may be added."""
        return max(0, self._frontier.room - self._count)

    def add(self, attempt: Attempt, now: float) -> None:
        """Put `attempt` into the frontier once its robots.txt is known and allows it."""
        url = attempt.target.url
        origin = origin_of(url)
        known = self.known.find(origin)
        if is_robots_txt(url, origin):
            self._frontier.add(attempt, now)
        elif origin in self._waiting:
            self._waiting[origin].append(attempt)
            self._count += 1
        elif known is not None and now - known.since < KNOWN_FOR_S:
            self._judge(attempt, origin, known.rules, _NEVER, now)
        else:
            self._waiting[origin] = [attempt]
            self._count += 1
            asked = RobotsTxt(origin + PATH, origin + PATH, attempt.target.host, origin, 0, PATH)
            self._frontier.add(Attempt(asked, queued_at=now), now)

    def take_ended_early(self) -> Iterator[tuple[Attempt, Outcome]]:
        """Targets that end without a request: because of their host, or of its rules."""
        ended: deque[tuple[Attempt, Outcome]] = self._ended
        while True:
            for attempt, outcome in self._frontier.take_ended_early():
                if self.owns(attempt):
                    self._end_all(attempt.target.key, outcome)
                else:
                    yield attempt, outcome
            if not ended:  # what followed may have ended at once, too
                return
            yield ended.popleft()

    def drain(self) -> Iterator[Attempt]:
        """Take out every target that waits, since the run stops."""
        yield from (attempt for attempt in self._frontier.drain() if not self.owns(attempt))
        for origin in list(self._waiting):
            yield from self._release(origin)

    # ------------------------------------------------------------ fetching a robots.txt

    def owns(self, attempt: Attempt) -> bool:
        """Whether `attempt` is for a robots.txt that this queue asked for."""
        return isinstance(attempt.target, RobotsTxt)

    def transfer(self, attempt: Attempt, now: float) -> Transfer:
        """The transfer for `attempt`, which this queue owns."""
        reading = self._readings[attempt.target.key] = RobotsReading(self._token)
        return self._make(attempt, self._plan, reading, now)

    def turn_away(self, attempt: Attempt, failure: Failure) -> None:
        """Do not let targets that have another URL wait for a robots.txt whose host is down."""
        if not failure.unreachable or failure.kind is Kind.PROXY:
            return
        origin = attempt.target.key
        message = f"robots.txt of {origin}: {failure.message}"
        outcome = Failed(failure._replace(message=message, transient=True))
        waiting = self._waiting[origin]
        self._waiting[origin] = [one for one in waiting if one.waits_for_host]
        self._count -= len(waiting) - len(self._waiting[origin])
        self._ended.extend((one, outcome) for one in waiting if not one.waits_for_host)

    def answered(self, attempt: Attempt, outcome: Outcome, started: float, now: float) -> None:
        """The last attempt at a robots.txt ended: judge the targets that wait for it.

        While it can't be fetched, the rules known before stay in force (RFC 9309 2.4).
        """
        origin = attempt.target.key
        if isinstance(outcome, Deferred):
            self._end_all(origin, outcome)
            return
        rules = self._readings.pop(origin).rules
        if rules is None:  # it did not come
            assert isinstance(outcome, Failed)
            rules, known = without(outcome.failure), self.known.find(origin)
            if rules.reason is not None and known is not None:
                rules = known.rules
        self.known.keep(origin, rules, now)
        if isinstance(outcome, Stored):  # a redirect from http:// to https:// answers for both
            there = outcome.response.url_effective
            if there == origin_of(there) + PATH and origin_of(there) not in self._waiting:
                self.known.keep(origin_of(there), rules, now)
        self._tell(origin, outcome, rules)
        for waiting in self._release(origin):
            self._judge(waiting, origin, rules, started, now)

    def forbids(self, url: str) -> str | None:
        """Why a redirect to `url` must not be followed, as far as its origin's rules are known.

        They are known for the target's own origin, and for one to which its robots.txt redirects
        (https:// instead of http://). No other origin is asked. From any thread.
        """
        return self.known.forbids(url)

    # ------------------------------------------------------------ judging

    def _judge(
        self, attempt: Attempt, origin: str, rules: Rules, last_start: float, now: float
    ) -> None:
        target = attempt.target
        reason = rules.forbids(target.url)
        if reason is not None:
            message = f"robots.txt of {origin} {reason}"
            self._ended.append((attempt, Failed(Failure(Kind.ROBOTS, message, transient=False))))
        elif rules.delay_s > self._longest:
            message = f"robots.txt of {origin} wants {rules.delay_s:g} s between requests"
            message += f" (Crawl-delay), more than --max-retry-after {self._longest:g}"
            self._ended.append((attempt, Deferred(Failure(Kind.ROBOTS, message))))
        else:
            if rules.delay_s:
                self._frontier.slow_down(target.host, rules.delay_s, last_start, now)
            self._frontier.add(attempt, now)

    def _end_all(self, origin: str, outcome: Outcome) -> None:
        """End the targets that wait as their robots.txt did: the host is down, or asks to wait."""
        assert isinstance(outcome, Failed | Deferred)
        failure = outcome.failure
        failure = failure._replace(message=f"robots.txt of {origin}: {failure.message}")
        self._readings.pop(origin, None)
        self._ended.extend((one, type(outcome)(failure)) for one in self._release(origin))

    def _release(self, origin: str) -> list[Attempt]:
        waiting = self._waiting.pop(origin)
        self._count -= len(waiting)
        return waiting

    def _tell(self, origin: str, outcome: Outcome, rules: Rules) -> None:
        if isinstance(outcome, Stored):
            said = f"HTTP {outcome.response.http_code}, {outcome.size:,} bytes"
        else:
            assert isinstance(outcome, Failed)
            said = outcome.failure.message
        if rules.delay_s:
            said += f", Crawl-delay {rules.delay_s:g} s"
        self._note("debug", "robots", {"message": f"robots.txt of {origin}: {said}"})


def _plan(plan: Plan) -> Plan:
    """The plan for fetching a robots.txt: limits of its own, no conditions."""
    limits = replace(
        plan.limits,
        max_size=None,  # the sink ends it at its own limit
        max_time=min(plan.limits.max_time, _MAX_TIME_S),
        max_redirects=_REDIRECTS,
        continue_above=_NEVER_CONTINUED,
    )
    headers = tuple(pair for pair in plan.http.headers if pair[0].lower() not in CONDITIONS)
    http = replace(plan.http, headers=headers, raw=False, expect_type=None, robots_tags=())
    return replace(plan, limits=limits, http=http, readable=None, forbids=None, quota=None)
