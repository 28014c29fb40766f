"""Lists at URLs, fetched into a temporary file before the run.

Owns: how lists at URLs of http(s), sftp and stores are opened: with settings of the run, limits,
redirects, headers and retries. Does not know: the grammar of lists. Rejected: reading a list
while it arrives. One that breaks off after a million targets can't be fetched again.
"""

import math
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import BinaryIO, NamedTuple

from scraper.model import urls
from scraper.model.errors import NO_CONTENT_CODES, BadTarget, ListError, ScraperError
from scraper.model.records import Attempt, Failed, Stored, Target
from scraper.model.settings import Settings
from scraper.report.snapshot import Watched
from scraper.report.waiting import Waiting
from scraper.run.build import choose_engine, make_plan
from scraper.run.timeout import call_until
from scraper.run.view import flight_of
from scraper.schedule import Again, RetryPolicy
from scraper.sinks.base import Blocking, Body, SinkOptions
from scraper.source.sources import STORES, OpenChild, OpenRemote, RemoteList
from scraper.transfer import Completion, Transfer

_OVER = "can't fetch the list {!r}: --max-run-time {:g} s is over"
_TICK_S = 0.5  # the longest wait: a signal just before a wait is heard after it


class _FileSink:
    """A sink of one temporary file."""

    blocking = Blocking.NEVER

    def __init__(self) -> None:
        self.file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115

    def check(self) -> None:
        """Nothing to check."""

    def open(self, key: str) -> "_FileSink":
        """Begin again."""
        del key
        self.file.seek(0)
        self.file.truncate()
        return self

    def write(self, chunk: bytes) -> None:
        """Append."""
        self.file.write(chunk)

    def commit(self, body: Body) -> Stored:
        """Make it readable."""
        self.file.seek(0)
        return body.stored()

    def abort(self) -> None:
        """Nothing to take back."""

    def close(self) -> None:
        """Remove the file, unless `_kept`."""
        self.file.close()


class _Child(NamedTuple):
    """That a list is fetched which another one names. `stopped`: the run has ended meanwhile."""

    stopped: Callable[[], bool]


Show = Callable[[Watched], AbstractContextManager[object]]


def opener(settings: Settings, begun: float | None = None, show: Show = nullcontext) -> OpenRemote:
    """A function that fetches the list at an http(s) URL, or in an object store.

    It raises ListError. When the time of the run is over it raises ScraperError, since the user
    has made no mistake.
    `begun`: when the run began, in monotonic seconds, for `--max-run-time`. None: now. `show`:
    shows how far it is, within its context.
    """
    longest = settings.run_limits.max_run_time
    since = time.monotonic() if begun is None else begun
    until = math.inf if longest is None else since + longest

    def open_remote(url: str) -> RemoteList:
        waiting = Waiting(f"the list {urls.redact(url)}")
        try:
            with show(waiting):
                if url.lower().startswith(STORES):
                    return call_until(partial(_read_object, url, settings), lambda: until)
                return _fetch(url, settings, until, waiting)
        except TimeoutError:
            raise ScraperError(_OVER.format(urls.redact(url), longest)) from None

    return open_remote


def child_opener(settings: Settings, begun: float) -> OpenChild:
    """A function that fetches a list that another list names, while the run goes on.

    No user has named it, so --public-only applies to it. See `opener`.
    """
    longest = settings.run_limits.max_run_time
    until = math.inf if longest is None else begun + longest

    def open_child(url: str, stopped: Callable[[], bool]) -> RemoteList:
        waiting = Waiting(f"the list {urls.redact(url)}")
        try:
            return _fetch(url, settings, until, waiting, _Child(stopped))
        except TimeoutError:
            raise ListError(_OVER.format(urls.redact(url), longest)) from None

    return open_child


def _read_object(url: str, settings: Settings) -> RemoteList:
    options = SinkOptions(1, settings.s3, cacert=settings.http.cacert)
    scheme = url.partition(":")[0].lower()
    if scheme == "s3":
        from scraper.sinks.s3 import open_object
    elif scheme == "sftp":
        from scraper.sinks.remote_files import open_file as open_object
    else:
        from scraper.sinks.cloud import open_object

    with open_object(url, options) as file:
        return RemoteList(_kept(file))


def _target(url: str) -> Target:
    try:
        parsed = urls.parse(url)
    except BadTarget as error:
        shown = urls.redact_wreck(url)
        raise ListError(f"can't open the list {shown!r}: {error.message}") from None
    return Target(
        url, parsed.href, parsed.origin.host, "list", 0, "arguments", userinfo=parsed.userinfo
    )


def _fetch(
    url: str, settings: Settings, until: float, waiting: Waiting, child: _Child | None = None
) -> RemoteList:
    target = _target(url)
    # The user names the list, so --public-only does not apply to it, only to its URLs. A
    # redirect from a public address still leads to public addresses only.
    public_only = settings.http.public_only and child is not None
    http = replace(settings.http, expect_type=None, robots_tags=(), public_only=public_only)
    plain = replace(settings, http=http)
    policy, sink = RetryPolicy(settings.retries), _FileSink()
    plan = make_plan(plain, sink)
    alone = replace(settings, politeness=replace(settings.politeness, max_concurrency=1))
    engine = choose_engine(alone)()
    attempt = Attempt(target, queued_at=time.monotonic(), first_started=time.monotonic())
    try:
        while True:
            transfer = Transfer(attempt, plan, sink, time.monotonic())
            waiting.flight = partial(flight_of, transfer, engine)
            engine.start(transfer)
            while not engine.poll(_pause_s(_TICK_S, until)):
                if child is not None and child.stopped():
                    raise ListError(f"can't fetch the list {urls.redact(url)!r}: the run ended")
            completion = transfer.completion
            assert isinstance(completion, Completion)
            if _is_there(completion, sink):
                return RemoteList(_kept(sink.file), *_type_and_url(completion))
            reason, verdict = "HTTP 304", None  # an answer to a condition that was not set
            if isinstance(completion.outcome, Failed):
                reason = completion.outcome.failure.message
                verdict = policy.decide(completion.outcome.failure, attempt, time.monotonic())
            if not isinstance(verdict, Again):
                raise ListError(f"can't fetch the list {urls.redact(url)!r}: {reason}")
            _sleep(verdict.delay_s, until, child)
            attempt = attempt._replace(number=attempt.number + 1)
    finally:
        waiting.flight = lambda: None
        engine.give_up()  # after Ctrl-C the end of the process would wait for a worker
        engine.close()
        sink.close()


def _is_there(completion: Completion, sink: _FileSink) -> bool:
    """Whether `sink` has the list now. "No content" is an empty one."""
    match completion.outcome:
        case Stored():
            return True
        case Failed(failure) if failure.http_code in NO_CONTENT_CODES:
            sink.open("")
            return True
    return False


def _type_and_url(completion: Completion) -> tuple[str, str]:
    """The Content-Type of the answer, and the URL that gave it; "" for what it has not."""
    outcome = completion.outcome
    if not isinstance(outcome, Stored):
        return "", ""
    return outcome.response.content_type or "", outcome.response.url_effective


def _sleep(delay_s: float, until: float, child: _Child | None) -> None:
    """Wait before another attempt, unless the run ends. Raises TimeoutError."""
    over_at = time.monotonic() + delay_s
    while (left_s := over_at - time.monotonic()) > 0:
        if child is not None and child.stopped():
            return
        time.sleep(_pause_s(min(left_s, _TICK_S) if child else left_s, until))


def _pause_s(longest_s: float, until: float) -> float:
    """How long to wait for something. Raises TimeoutError when the time is over."""
    left_s = until - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return min(longest_s, left_s)


def _kept(file: BinaryIO) -> BinaryIO:
    """The same file, by a descriptor that stays open as long as the process."""
    return open(os.dup(file.fileno()), "rb", closefd=False)
