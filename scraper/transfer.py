"""A transfer: one attempt at one target, from the first hop to the commit.

Push-fed: an engine asks for `request`, reports `response`, pushes `data`, says
`finish` or `fail`. Everything a user could tell apart is decided here, so two
engines can't differ in meaning: hops, limits, lengths, codings, digests, which
secret goes to whom, which status is a failure, when the body is committed.

Owns: that meaning, and the upload. Refuses to know: threads, sockets, retries.
Rejected: letting the HTTP client follow redirects (it reads their bodies) or
decode (it hides a truncated end).
"""

import contextlib
import hashlib
import itertools
import math
import time
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

from scraper import urls
from scraper.addresses import is_public, may_be_public
from scraper.decode import Decoder, make_decoder
from scraper.errors import BadTarget, DestinationError, Kind, TransferError
from scraper.exchange import Next, Reply, Request, as_sent, content_length
from scraper.partial import Partial, strong_validator
from scraper.plan import CONDITIONS, Plan
from scraper.records import Attempt, Failed, Failure, NotModified, Response, Stored, Times
from scraper.retry import parse_retry_after
from scraper.sinks.base import Blocking, Body, Sink, Upload, blocking_of

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_QUICK = 8  # pieces of a decoded body, of up to 1 MiB each
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
        self._known = attempt.known
        self._partial = partial
        self._unchanged = False  # as the server says
        self._validator: str | None = None  # a strong one, of the body that is continued
        self._dated: str | None = None  # the Date of the body that comes
        self._coding: str | None = None
        self._upload: Upload | None = None
        self._decoder: Decoder | None = None
        self._left: Iterator[bytes] | None = None  # pieces of what was received
        self._response: Response | None = None
        self._expected: int | None = None
        self._received = 0
        self._size = 0
        self._digest = hashlib.sha256()
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
        self._received += len(chunk)
        if self._decoder is None:
            self._write(chunk)
            self.check()
            return True
        pieces = self._decoder.feed(chunk)
        self._left = pieces if self._left is None else itertools.chain(self._left, pieces)
        for number, piece in enumerate(self._left, 1):
            if piece:
                self._write(piece)
            self.check()
            if quickly and number == _QUICK:
                return False
        self._left = None
        return True

    def finish(self) -> Next:
        """The body is complete: check it and commit. Raises TransferError, DestinationError.

        HOP: what was said to be unchanged is not there; `request` now asks for all of it.
        """
        if self._left is None:
            self.check()  # what was broken off for that looks like an end
        else:
            self.data(b"")
        if self._expected is not None and self._received != self._expected:
            message = f"body ended after {self._received:,} of {self._expected:,} bytes"
            raise TransferError(Kind.TRUNCATED, message)
        if self._decoder is not None:
            self._decoder.finish()
        assert self._response is not None
        if self._unchanged:
            return self._not_modified(self._response)
        upload = self._upload or self._open()
        body = Body(
            source_url=urls.redact(self.attempt.target.listed),
            fetched_at=self._started_at,
            size=self._size,
            sha256=self._digest.hexdigest(),
            response=self._response,
        )
        stored = upload.commit(body)
        self._upload = None
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
        if self._may_go_on(error):
            self._keep()
        else:
            self._start_over()
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
            self._unchanged = True
            return Next.READ
        if self._own & {"if-none-match", "if-modified-since"}:
            self._end(NotModified(self._response))
        else:
            message = "304 Not Modified, though nothing was asked about"
            failure = Failure(Kind.PROTOCOL, message, transient=False, http_code=304)
            self._end(Failed(failure, self._response))
        return Next.STOP

    def _not_modified(self, response: Response) -> Next:
        """End, if the sink has what the server need not send again; else ask for all of it."""
        assert self._known is not None
        shelf = self._plan.shelf
        if shelf is not None and shelf.size(self.attempt.target.key) != self._known.size:
            self._known, self._unchanged = None, False
            return Next.HOP
        self._end(NotModified(response))
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
        known = self._known
        if known is None:
            return _NOTHING
        if known.effective:  # validators are of the URL that answered
            same = urls.fingerprint(urls.redact(self._url.href)) == known.effective
        else:
            same = not self._redirects
        if not same:
            return _NOTHING
        given = {"if-none-match": known.etag, "if-modified-since": known.last_modified}
        return {name: value for name, value in given.items() if value}

    def _go_on(self, reply: Reply) -> Next:
        """Take up what there is of the body if the rest of it comes, else ask for all of it."""
        partial = self._partial
        assert partial is not None
        total = partial.total(reply)
        if total is None:
            self._start_over()
            return Next.HOP
        self._partial = None
        self._upload, self._decoder = partial.upload, partial.decoder
        self._validator, self._coding = partial.validator, partial.coding
        self._digest = partial.digest
        self._received, self._size, self._expected = partial.received, partial.size, total
        assert self._response is not None
        # With what came before it is one complete 200 (RFC 9110 15.3.7.3).
        self._response = partial.response._replace(
            remote_ip=self._response.remote_ip,
            redirects=self._response.redirects,
        )
        return Next.READ

    def _start_over(self) -> None:
        """Let go of whatever was written. Never raises."""
        upload, partial = self._upload, self._partial
        self._upload = self._partial = None
        if partial is not None:
            partial.discard()
        if upload is not None:
            with contextlib.suppress(Exception):  # of a sink that breaks its promise
                upload.abort()

    def _may_go_on(self, error: TransferError | DestinationError) -> bool:
        """Whether another attempt could begin where this one ends."""
        if self._abandoned or not isinstance(error, TransferError) or error.transient is False:
            return False
        if error.kind not in {Kind.TRUNCATED, Kind.TIMEOUT, Kind.CONNECT, Kind.DNS}:
            return False
        if self._upload is None:
            return self._partial is not None
        if self._left is not None:
            return False  # the decoder is not where `_received` is
        short = self._expected is None or self._received < self._expected
        enough = self._received >= max(1, self._plan.limits.continue_above)
        # A coded body of unknown length is made on the fly: is it made alike the next time?
        steady = self._coding is None or self._expected is not None
        if not (short and enough and steady):
            return False
        response = self._response
        if self._validator is None and response is not None and response.http_code == 200:
            etag, modified = response.etag, response.last_modified
            self._validator = strong_validator(etag, modified, self._dated)
        return self._validator is not None

    def _keep(self) -> None:
        """Make what was received a partial body, unless it is one still."""
        if self._upload is not None:
            assert self._validator is not None
            assert self._response is not None
            self._partial = Partial(
                url=self._url.href,
                validator=self._validator,
                response=self._response,
                coding=self._coding,
                upload=self._upload,
                decoder=self._decoder,
                digest=self._digest,
                received=self._received,
                size=self._size,
                whole=self._expected,
            )
            self._upload = None

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
        self._expected = content_length(reply)
        self._coding = reply.get("content-encoding")
        if self._coding is not None and not self._plan.http.raw:
            self._decoder = make_decoder(self._coding)
        if self._decoder is None and self._expected is not None:
            self._check_size(self._expected)
            if self._plan.allowance is not None:
                self._plan.allowance.expect(self._expected)
        self._dated = reply.get("date")
        if self._partial is not None:
            self._start_over()

    def _open(self) -> Upload:
        upload = self._upload = self._sink.open(self.attempt.target.key)
        return upload

    def _write(self, piece: bytes) -> None:
        self._size += len(piece)
        self._check_size(self._size)
        if self._plan.allowance is not None:
            self._plan.allowance.take(len(piece))
        self._digest.update(piece)
        (self._upload or self._open()).write(piece)

    def _check_size(self, size: int) -> None:
        limit = self._plan.limits.max_size
        if limit is not None and size > limit:
            message = f"body is longer than --max-size {limit:,} bytes"
            raise TransferError(Kind.TOO_LARGE, message, transient=False)

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
