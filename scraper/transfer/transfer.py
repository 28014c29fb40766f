"""A transfer: one attempt at one target, from the first hop to the commit.

Push-fed: an engine asks for `request`, reports `response`, pushes `data`, says
`finish` or `fail`. Everything a user could tell apart is decided here, so two
engines can't differ in meaning: hops, conditions, which status is a failure, which
body is stored and when, what a further attempt may go on from.

Owns: that meaning, and the attempt's time. Refuses to know: threads, sockets, retries,
how a body is decoded, counted and written (`body.py`). Rejected: letting the HTTP
client follow redirects (it reads their bodies) or decode (it hides a truncated end).
"""

import math
import time
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

from scraper.model import urls
from scraper.model.addresses import is_public, may_be_public
from scraper.model.errors import BadTarget, DestinationError, Kind, TransferError
from scraper.model.records import Attempt, Failed, Failure, NotModified, Response, Stored, Times
from scraper.schedule import parse_retry_after
from scraper.sinks.base import Blocking, Sink, blocking_of
from scraper.transfer.body import Incoming
from scraper.transfer.exchange import Next, Reply, Request, as_sent
from scraper.transfer.partial import Partial, put_aside
from scraper.transfer.plan import CONDITIONS, Plan

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BROKE_OFF = frozenset({Kind.TRUNCATED, Kind.TIMEOUT, Kind.CONNECT, Kind.DNS})
_NOTHING: Mapping[str, str] = {}


class Completion(NamedTuple):
    """The end of an attempt. `error` is set when the destination as a whole is to blame.

    `partial` is what a further attempt may go on from; who takes it aborts its upload
    if there is none.
    """

    attempt: Attempt
    outcome: Stored | NotModified | Failed
    times: Times
    error: DestinationError | None = None
    partial: Partial | None = None


class Transfer:
    """One attempt. Used by one thread at a time; only `abandon` may come from another.

    `partial` is what an earlier attempt received; it is this one's now.
    """

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
        self._plan = plan
        self._sink = sink
        self._started_at = time.time()
        self._url = urls.canonical(attempt.target.url)
        self._origin = self._url.origin
        self._redirects = 0
        self._guarded = "--public-only" if plan.http.public_only else ""  # see `Request`
        self._own = plan.conditions  # asked by the user
        if attempt.target.headers:
            self._own |= CONDITIONS.intersection(map(str.lower, attempt.target.headers))
        self._previous = attempt.previous
        self._partial = partial
        self._response: Response | None = None
        self._body: Incoming | None = None
        self._time_connect: float | None = None
        self._time_starttransfer: float | None = None
        self._abandoned = False
        self._reason: TransferError | None = None

    @property
    def blocking(self) -> Blocking:
        """What of the sink may wait, and so of `data`, `finish`, `fail`; `response` never does."""
        return blocking_of(self._sink)

    @property
    def request(self) -> Request:
        """The hop to carry out now."""
        target, at_home = self.attempt.target, self._url.origin == self._origin
        headers = self._plan.headers(target, self._url, self._conditions(), at_home=at_home)
        return Request(self._url.href, headers, self._guarded)

    def response(self, reply: Reply) -> Next:
        """Take a response's head and say what follows. Raises TransferError, DestinationError."""
        self._time_starttransfer = time.monotonic() - self.started
        if self._time_connect is None:
            self._time_connect = reply.time_connect
        self._response = self._facts(reply)
        if reply.status in _REDIRECTS and reply.get("location") is not None:
            self._follow(reply)
            return Next.HOP
        if reply.status == 304:
            return self._believe()
        if reply.status in {206, 416} and "range" in self._conditions():
            return self._go_on(reply)
        if not 200 <= reply.status < 300:
            self._refuse(reply)
            return Next.STOP
        self._accept(reply)
        return Next.READ

    def data(self, chunk: bytes, *, quickly: bool = False) -> bool:
        """Take bytes as they came over the wire. Raises TransferError, DestinationError.

        False, which it is only `quickly`: they are a bomb perhaps, and there is more in them;
        the next call, of `finish` too, goes on with that.
        """
        assert self._body is not None
        return self._body.take(chunk, self.check, quickly=quickly)

    def finish(self) -> Next:
        """The body is complete: check it and commit. Raises TransferError, DestinationError.

        HOP: what was said to be unchanged is not there; `request` now asks for all of it.
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

    def fail(self, error: TransferError | DestinationError) -> None:
        """End without an object, whatever was written so far. Never raises.

        A host that answered, if only with a redirect, is not unreachable. What broke because
        it was given up, or because its time was over, has that for its reason.
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
        if isinstance(error, TransferError):
            failure = Failure(
                kind=error.kind,
                message=urls.redact_text(error.message),
                transient=error.transient,
                unreachable=error.unreachable and self._response is None,
                http_code=self._response.http_code if self._response else None,
            )
            self._end(Failed(failure, self._response))
        else:
            failure = Failure(Kind.SINK, urls.redact_text(str(error)), transient=False)
            self._end(Failed(failure, self._response), error)

    def abandon(self) -> None:
        """From another thread: commit nothing any more."""
        self._abandoned = True

    @property
    def abandoned(self) -> bool:
        """Whether the run has given this attempt up."""
        return self._abandoned

    def expire(self, reason: TransferError) -> None:
        """From another thread: its time is over, for `reason`."""
        self._reason = reason
        self.deadline = -math.inf

    def check(self) -> None:
        """Raise TransferError when the attempt was given up, or its time is over."""
        if self._abandoned:
            raise TransferError(Kind.INTERRUPTED, "given up when the run was stopped")
        if time.monotonic() >= self.deadline:
            if self._reason is not None:
                raise self._reason
            limit = self._plan.limits.max_time
            raise TransferError(Kind.TIMEOUT, f"not done after --max-time {limit:g} s")

    def _believe(self) -> Next:
        """What follows a 304, which is a failure if it answers no condition."""
        assert self._response is not None
        asked = self._conditions()
        if asked and "range" not in asked:
            return Next.READ
        if self._own & {"if-none-match", "if-modified-since"}:
            self._end(NotModified(self._response))
        else:
            message = "304 Not Modified, though nothing was asked about"
            failure = Failure(Kind.PROTOCOL, message, transient=False, http_code=304)
            self._end(Failed(failure, self._response))
        return Next.STOP

    def _not_modified(self) -> Next:
        """End, if the sink has what the server need not send again; else ask for all of it."""
        assert self._response is not None
        assert self._previous is not None
        readable = self._plan.readable
        if readable is not None and readable.size(self.attempt.target.key) != self._previous.size:
            self._previous = None
            return Next.HOP
        self._end(NotModified(self._response))
        return Next.STOP

    def _conditions(self) -> Mapping[str, str]:
        """What asks for the rest of a body, or for one that has changed (RFC 9110 13.1).

        Nothing where the user asks: who could tell which condition was answered?
        """
        if self._own:
            return _NOTHING
        if self._partial is not None:
            same = self._partial.url == self._url.href
            return self._partial.headers() if same else _NOTHING
        previous = self._previous
        if previous is None:
            return _NOTHING
        if previous.effective:  # validators are of the URL that answered
            same = urls.fingerprint(urls.redact(self._url.href)) == previous.effective
        else:
            same = not self._redirects
        if not same:
            return _NOTHING
        given = {"if-none-match": previous.etag, "if-modified-since": previous.last_modified}
        return {name: value for name, value in given.items() if value}

    def _go_on(self, reply: Reply) -> Next:
        """Take up what there is of the body if the rest of it comes, else ask for all of it."""
        partial = self._partial
        assert partial is not None
        total = partial.total(reply)
        if total is None:
            self._start_over()
            return Next.HOP
        assert self._response is not None
        body, self._partial = partial.body, None
        # With what came before it is one complete 200 (RFC 9110 15.3.7.3).
        self._response = body.response._replace(
            remote_ip=self._response.remote_ip,
            redirects=self._response.redirects,
        )
        body.go_on(total, self._response)
        self._body = body
        return Next.READ

    def _start_over(self) -> None:
        """Let go of whatever was written. Never raises."""
        body, partial = self._body, self._partial
        self._body = self._partial = None
        if partial is not None:
            partial.discard()
        if body is not None:
            body.abort()

    def _left_by(self, error: TransferError | DestinationError) -> Partial | None:
        """What another attempt could go on from where `error` ends this one."""
        if self._abandoned or not isinstance(error, TransferError) or error.transient is False:
            return None
        if error.kind not in _BROKE_OFF:
            return None
        if self._body is None:
            return self._partial
        return put_aside(self._body, self._url.href, self._plan.limits.continue_above)

    def _facts(self, reply: Reply) -> Response:
        return Response(
            http_code=reply.status,
            url_effective=urls.redact(self._url.href),
            content_type=reply.get("content-type"),
            content_encoding=reply.get("content-encoding") if self._plan.http.raw else None,
            etag=reply.get("etag"),
            last_modified=reply.get("last-modified"),
            remote_ip=reply.remote_ip,
            redirects=self._redirects,
            x_robots_tag=reply.get("x-robots-tag"),
        )

    def _follow(self, reply: Reply) -> None:
        """Make the next hop the request (RFC 9110 15.4). Raises TransferError."""
        location = as_sent(reply.all("location")[0])
        if self._redirects >= self._plan.limits.max_redirects:
            message = f"more than {self._redirects} redirects"
            raise TransferError(Kind.TOO_MANY_REDIRECTS, message, transient=False)
        try:
            following = urls.join(self._url, location)
        except BadTarget as error:
            shown = urls.redact_wreck(location)[:200]
            message = f"redirect to {shown!r}: {error.message}"
            raise TransferError(Kind.PROTOCOL, message, transient=False) from None
        self._guarded = self._guarded or self._guard_after(reply)
        if self._plan.forbids is not None and (reason := self._plan.forbids(following.href)):
            shown = urls.redact(following.href)[:200]
            message = f"{reason}: redirect to {shown}"
            raise TransferError(Kind.ROBOTS, message, transient=False)
        self._redirects += 1
        self._url = following
        self.check()

    def _guard_after(self, reply: Reply) -> str:
        """Why what follows this redirect is guarded, if it is. See `Request`."""
        if reply.remote_ip is not None:
            return "redirected from a public address" if is_public(reply.remote_ip) else ""
        # What a proxy is asked for is elsewhere; what need not go through it may be very near.
        return "redirected through a proxy" if may_be_public(self._url.origin.hostname) else ""

    def _refuse(self, reply: Reply) -> None:
        failure = Failure(
            kind=Kind.HTTP_STATUS,
            message=f"HTTP {reply.status}",
            http_code=reply.status,
            retry_after_s=parse_retry_after(reply.get("retry-after")),
        )
        self._end(Failed(failure, self._response))

    def _accept(self, reply: Reply) -> None:
        assert self._response is not None
        expected = self._plan.http.expect_type
        if expected is not None:
            media_type = (self._response.content_type or "").partition(";")[0].strip().lower()
            if not fnmatchcase(media_type, expected.lower()):
                message = f"media type {media_type or 'unknown'!r} is not {expected!r}"
                raise TransferError(Kind.UNEXPECTED_TYPE, message, transient=False)
        if reply.status == 206 and "range" not in self._own:
            message = "206 Partial Content, though no part was asked for"
            raise TransferError(Kind.PROTOCOL, message, transient=False)
        if self._partial is not None:
            self._start_over()
        target, response = self.attempt.target, self._response
        self._body = Incoming(self._plan, self._sink, target.key, reply=reply, response=response)

    def _end(
        self, outcome: Stored | NotModified | Failed, error: DestinationError | None = None
    ) -> None:
        times = Times(
            started=self._started_at,
            connect=self._time_connect,
            starttransfer=self._time_starttransfer,
            total=time.monotonic() - self.started,
            queue=self.started - self.attempt.queued_at,
        )
        partial, self._partial = self._partial, None
        self.completion = Completion(self.attempt, outcome, times, error, partial)
