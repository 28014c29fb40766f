"""A transfer: one attempt at one target, from its first request to the commit.

An engine drives it: it carries out `request`, reports the head of a `response`, pushes `data`,
and says `finish` or `fail`. Everything that a user could tell apart is decided on this side, so
two engines can't differ in meaning.

Owns: the order of these steps, which body is stored, how the attempt ends, and its time. It does
not know threads, sockets or retries. Four modules decide for it: where a redirect leads
(`redirects.py`), which statuses bring an object (`statuses.py`), what is asked with a condition
and what its answers mean (`conditions.py`), and how a body goes into the sink (`body.py`).
Rejected: bodies decoded by the HTTP client. It hides that a coded body was cut off.
"""

import math
import time
from typing import TYPE_CHECKING

from scraper.model import urls
from scraper.model.errors import DestinationError, Kind, TransferError
from scraper.model.records import (
    Attempt,
    Failed,
    Failure,
    NotModified,
    Response,
    Stored,
    Times,
)
from scraper.schedule import Announced, announced
from scraper.sinks.base import Blocking, Sink, blocking_of
from scraper.sinks.put_request import PutRequest
from scraper.transfer.body import Incoming
from scraper.transfer.completion import Completion, InPart, failure_of
from scraper.transfer.conditions import UNASKED, Answer, Conditions, Rest
from scraper.transfer.confirmation import confirmed, existing_of
from scraper.transfer.exchange import Next, Reply, Request
from scraper.transfer.facts import facts
from scraper.transfer.partial import Partial, put_aside
from scraper.transfer.plan import Plan
from scraper.transfer.redirects import Hop, Origin, follow, is_redirect
from scraper.transfer.refusal import refusal
from scraper.transfer.statuses import why_no_object
from scraper.transfer.wanted import check_robots_tags, check_type

if TYPE_CHECKING:
    from scraper.transfer.cookies import ChainCookies
    from scraper.transfer.send_permit import SendPermit
    from scraper.transfer.split import Part, Split

_BROKE_OFF = frozenset({Kind.TRUNCATED, Kind.TIMEOUT, Kind.CONNECT, Kind.DNS, Kind.PROXY})


class Transfer:
    """One attempt, begun at `now` (monotonic seconds). One thread at a time uses it.

    Only `abandon` and `expire` may come from another thread. `partial` is the body of an earlier
    attempt that broke off; the transfer owns it from now on. `split`, `part`: the body that other
    transfers bring too, and what this one brings of it.
    """

    archives = False  # see `RawHead`
    split: "Split | None" = None
    part: "Part | None" = None

    def __init__(
        self,
        attempt: Attempt,
        plan: Plan,
        sink: Sink,
        now: float,
        partial: Partial | None = None,
    ) -> None:
        self.attempt = attempt
        self.started = now
        self.deadline = now + plan.limits.max_time
        self.completion: Completion | None = None
        self.by_turns = False  # whether a redirect to another host waits for its turn there
        self.moves_to = ""  # the host that it waits for
        self.hop_started = now  # at its present host
        self.permit: SendPermit | None = None  # None: the host has no gaps between requests
        self._plan = plan
        self._sink = sink
        self._started_at = time.time()
        url = urls.canonical(attempt.target.url)
        self._origin = url.origin
        hop = Hop(url, 0, "--public-only" if plan.http.public_only else "")
        self._cookies: ChainCookies | None = None  # that servers have set on the way
        self._prepare(hop, plan.conditions_of(attempt, partial.range if partial else None))
        self._partial = partial
        self._response: Response | None = None
        self.announced: Announced | None = None
        self._answered = False  # by its present host
        self._body: Incoming | Part | None = None
        self._time_connect: float | None = None
        self._time_starttransfer: float | None = None
        self._abandoned = False
        self._fresh = attempt.fresh  # see `Request`
        self._paused_at = 0.0
        self._reason: TransferError | None = None

    @property
    def blocking(self) -> Blocking:
        """What of the sink may wait: `data`, `finish` and `fail` wait for it, `response` never."""
        return blocking_of(self._sink)

    @property
    def request(self) -> Request:
        """The hop to carry out now."""
        hop, headers = self._hop, self._headers
        if self._asked:
            headers = {**headers, **self._asked}
        names = self._plan.names_of(self.attempt.target)
        return Request(hop.url.href, headers, hop.url.origin.text, hop.guarded, self._fresh, names)

    @property
    def must_wait(self) -> bool:
        """Whether `request` needs a turn at its host first. The engine gives it back then."""
        permit = self.permit
        if self.moves_to:
            return True
        return permit is not None and permit.used and permit.host == self._hop.url.origin.host

    def may_send(self) -> bool:
        """Whether the request may be sent. The engine asks just before its first byte."""
        permit = self.permit
        return permit is None or permit.host != self._hop.url.origin.host or permit.use()

    def sent(self) -> None:
        """Note that the request was sent, after `may_send`. From the thread that sends it."""
        permit = self.permit
        if permit is not None and permit.host == self._hop.url.origin.host:
            permit.sent()

    @property
    def progress(self) -> tuple[int, int | None, int]:
        """Of its body: bytes that came and that will come on the wire; bytes written.

        May be asked from another thread.
        """
        body = self._body
        return (0, None, 0) if body is None else (body.received, body.expected, body.size)

    def send_again(self) -> None:
        """Note that the server had closed the kept connection: carry out `request` once more."""
        self._fresh = True

    def pause(self, now: float) -> None:
        """Let no time pass from `now` on, while the next request waits for its turn."""
        self._paused_at = now

    def resume(self, now: float) -> None:
        """Go on at `now`. The time since `pause` does not count."""
        self.started += now - self._paused_at
        self.deadline += now - self._paused_at
        self.hop_started = now
        if self.moves_to:
            self.moves_to, self._answered = "", False

    def response(self, reply: Reply) -> Next:
        """Take the head of a response and say what follows.

        Raises TransferError and DestinationError; the engine gives them to `fail`.
        """
        self._time_starttransfer = time.monotonic() - self.started
        if self._time_connect is None:
            self._time_connect = reply.time_connect
        self._response = facts(reply, self._hop, self._headers, raw=self._plan.http.raw)
        self.announced, self._answered = announced(reply.get), True
        self._fresh = False
        if is_redirect(reply):
            limit, host = self._plan.limits.max_redirects, self._hop.url.origin.host
            if reply.get("set-cookie") is not None:
                self._cookies = self._plan.kept(self._cookies, self._hop.url, reply)
            self._prepare(follow(self._hop, reply, limit, self._plan.forbids), self._conditions)
            self.check()
            if self.by_turns and self._hop.url.origin.host != host:
                self.moves_to = self._hop.url.origin.host
            return Next.HOP
        if self._plan.http.robots_tags:
            check_robots_tags(reply, self._plan)
        if reply.status == 401 and self._log_in(reply):
            return Next.HOP
        answer = self._conditions.answer(reply, self._asked)
        if answer is not None:
            return self._take_answer(answer)
        if reply.status != 200 and (why := why_no_object(reply.status)) is not None:
            self._refuse(reply, why)
            return Next.STOP
        self._accept(reply)
        return Next.READ

    def data(self, chunk: bytes, *, quickly: bool = False) -> bool:
        """Take bytes as they came over the wire. Raises TransferError and DestinationError.

        True: all of `chunk` is written. False, only if `quickly`: a lot is still to be decoded,
        and the next call continues with that, also a call of `finish`.
        """
        assert self._body is not None
        return self._body.take(chunk, self.check, quickly=quickly)

    def finish(self) -> Next:
        """The body is complete: check and commit it. Raises TransferError and DestinationError.

        HOP: the server says that the object is unchanged, but it is not there. `request` asks for
        the whole body now.
        """
        body = self._body
        if body is None:  # a 304 has none
            self.check()
            return self._not_modified()
        source_url = urls.redact(self.attempt.target.listed)
        stored = body.commit(source_url, self._started_at, self.check)
        self._body = None
        self._end(stored)
        return Next.STOP

    def put_request(self) -> PutRequest | None:
        """The request that stores the body; `finish` follows when it has succeeded.

        None: `finish` stores it. Raises as `finish` does.
        """
        if not isinstance(self._body, Incoming) or not self._body.may_be_put:
            return None
        source_url = urls.redact(self.attempt.target.listed)
        return self._body.put_request(source_url, self._started_at, self.check)

    def is_whole(self, error: Exception) -> bool:
        """Whether the body is complete although `error` broke it off. Call `finish` then."""
        if self._body is None or not isinstance(error, TransferError):
            return False
        try:
            return error.kind is Kind.TRUNCATED and self._body.is_whole(self.check)
        except (TransferError, DestinationError):
            return False

    def fail(self, error: TransferError | DestinationError) -> None:
        """End without an object, whatever was written so far. Never raises.

        An attempt that was abandoned, or whose time is over, has that for its reason: what broke
        is only a consequence. A host that sent any response, also a redirect, is not unreachable.
        """
        if self.completion is not None:
            return
        if isinstance(error, TransferError) and error.kind is not Kind.SINK:
            try:
                self.check()
            except TransferError as cause:
                error = cause
        partial = self._left_by(error)
        if partial is None:
            self._start_over()
        else:
            self._partial, self._body = partial, None
        failure = failure_of(error, self._response, answered=self._answered)
        fatal = error if isinstance(error, DestinationError) else None
        self._end(Failed(failure, self._response), fatal)

    def abandon(self) -> None:
        """Commit nothing any more. May be called from another thread."""
        self._abandoned = True

    @property
    def abandoned(self) -> bool:
        """Whether the run has given this attempt up."""
        return self._abandoned

    def expire(self, reason: TransferError) -> None:
        """Its time is over, for `reason`. May be called from another thread."""
        self._reason = reason
        self.deadline = -math.inf

    def check(self) -> None:
        """Raise TransferError if the attempt was abandoned, or its time is over."""
        if self._abandoned:
            raise TransferError(Kind.INTERRUPTED, "given up when the run was stopped")
        if time.monotonic() >= self.deadline:
            if self._reason is not None:
                raise self._reason
            limit = self._plan.limits.max_time
            raise TransferError(Kind.TIMEOUT, f"not done after --max-time {limit:g} s")

    def _prepare(self, hop: Hop, conditions: Conditions) -> None:
        """Make `hop` the next request: its headers, and what `conditions` add to them."""
        at_home = hop.url.origin == self._origin
        self._hop, self._conditions = hop, conditions
        self._headers = self._plan.headers(self.attempt.target, hop.url, at_home=at_home)
        if self._cookies is not None:
            self._headers = self._cookies.added(self._headers, hop.url.href)
        self._asked = conditions.headers(hop, self._headers)

    def _log_in(self, reply: Reply) -> bool:
        """Whether the request is to be made again with the digest that `reply` asks for."""
        if self._headers.get("authorization", "").startswith("Digest"):
            return False
        url, at_home = self._hop.url, self._hop.url.origin == self._origin
        value = self._plan.digest(self.attempt.target, url, reply, at_home=at_home)
        if value is not None:
            self._headers = {**self._headers, "authorization": value}
        return value is not None

    def _take_answer(self, answer: Answer | Rest) -> Next:
        """What follows the answer to a condition."""
        assert self._response is not None
        match answer:
            case Answer.UNCHANGED:
                return Next.READ  # `finish` looks whether the object is there
            case Rest(complete_length):
                self._continue(complete_length)
                return Next.READ
            case Answer.UNCHANGED_FOR_USER:
                self._end(NotModified(self._response))
                return Next.STOP
            case Answer.NOT_THE_REST:
                self._start_over()
                return Next.HOP
            case Answer.UNASKED:
                self._start_over()
                code = self._response.http_code
                failure = Failure(Kind.PROTOCOL, UNASKED[code], transient=False, http_code=code)
                self._end(Failed(failure, self._response))
                return Next.STOP

    def _refuse(self, reply: Reply, why: str) -> None:
        """End with the failure that the status of `reply` is, for `why`."""
        host = self._hop.url.origin.host
        led_to = "" if host == self.attempt.target.host else host
        self._end(Failed(refusal(reply, why, self.announced, led_to), self._response))

    def _accept(self, reply: Reply) -> None:
        """Begin to store the body of `reply`. Raises TransferError if it is not the one wanted."""
        assert self._response is not None
        expected = self._plan.http.expect_type
        if expected is not None:
            check_type(self._response.content_type, expected)
        if self._partial is not None:
            self._start_over()
        target, response = self.attempt.target, self._response
        body = self._body = Incoming(self._plan, self._sink, target, reply=reply, response=response)
        splits = self._plan.splits
        if splits is not None and not self._conditions.own:
            origin = Origin(self._hop, self._headers, self.started, self._started_at)
            part = splits.divide(self._plan, self._sink, target, body, reply, origin)
            if part is not None:
                self._body, self.part, self.split = part, part, part.split
                splits.tell(self)

    def _continue(self, complete_length: int) -> None:
        """Take up the body that broke off: its rest comes now."""
        assert self._response is not None
        assert self._partial is not None
        body, self._partial = self._partial.body, None
        # With what came before it is one complete 200 (RFC 9110 15.3.7.3).
        response = body.response._replace(
            remote_ip=self._response.remote_ip,
            redirects=self._response.redirects,
        )
        body.go_on(complete_length, response)
        self._response, self._body = response, body

    def _start_over(self) -> None:
        """Drop whatever was written. Never raises."""
        body, partial = self._body, self._partial
        self._body = self._partial = None
        if partial is not None:
            partial.discard()
            self._prepare(self._hop, self._conditions._replace(range=None))
        if body is not None:
            body.abort()

    def _left_by(self, error: TransferError | DestinationError) -> Partial | None:
        """What another attempt could continue, if `error` ends this one."""
        if self._abandoned or not isinstance(error, TransferError) or error.transient is False:
            return None
        if error.kind not in _BROKE_OFF:
            return None
        if isinstance(self._body, Incoming):
            return put_aside(self._body, self._hop.url.href, self._plan.limits.continue_above)
        return self._partial

    def _not_modified(self) -> Next:
        """End if the sink has the recorded object, else ask again, or for the whole body."""
        previous, readable = self._conditions.previous, self._plan.readable
        assert self._response is not None
        assert previous is not None
        there = confirmed(readable, self.attempt.target.key, previous, self._response)
        if there is not previous:
            self._prepare(self._hop, self._conditions._replace(previous=there))
            return Next.HOP
        self._end(NotModified(self._response, existing_of(previous)))
        return Next.STOP

    def _end(
        self, outcome: Stored | NotModified | Failed | InPart, error: DestinationError | None = None
    ) -> None:
        total = time.monotonic() - self.started
        queue = self.started - self.attempt.queued_at
        connect, starttransfer = self._time_connect, self._time_starttransfer
        times = Times(self._started_at, connect, starttransfer, total, queue)
        partial, self._partial = self._partial, None
        self.completion = Completion(self.attempt, outcome, times, error, partial, self.announced)
