"""Lists at URLs, fetched into a temporary file before the run.

Owns: how http(s) and s3 lists are opened: with the settings of the run, its limits,
redirects, headers and retries. Does not know: the grammar of lists. Rejected: reading a list
while it arrives. One that breaks off after a million targets can't be fetched again.
"""

import os
import tempfile
import time
from dataclasses import replace
from typing import BinaryIO

from scraper.model import urls
from scraper.model.errors import BadTarget, ListError
from scraper.model.records import Attempt, Failed, Stored, Target
from scraper.model.settings import Settings
from scraper.run.build import choose_engine, make_plan
from scraper.schedule import Again, RetryPolicy
from scraper.sinks.base import Blocking, Body, SinkOptions
from scraper.source.sources import OpenRemote
from scraper.transfer import Completion, Transfer

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


def opener(settings: Settings) -> OpenRemote:
    """A function that fetches the list at an http(s) or s3 URL; it raises ListError."""

    def open_remote(url: str) -> BinaryIO:
        if url.lower().startswith("s3://"):
            from scraper.sinks.s3 import open_object

            with open_object(url, SinkOptions(1, settings.s3)) as file:
                return _kept(file)
        return _fetch(url, settings)

    return open_remote


def _fetch(url: str, settings: Settings) -> BinaryIO:
    try:
        parsed = urls.parse(url)
    except BadTarget as error:
        shown = urls.redact_wreck(url)
        raise ListError(f"can't open the list {shown!r}: {error.message}") from None
    target = Target(
        url, parsed.href, parsed.origin.host, "list", 0, "arguments", userinfo=parsed.userinfo
    )
    # The user names the list, so --public-only does not apply to it, only to its URLs. A
    # redirect from a public address still leads to public addresses only.
    http = replace(settings.http, expect_type=None, public_only=False)
    plain = replace(settings, http=http)
    policy, sink = RetryPolicy(settings.retries), _FileSink()
    plan = make_plan(plain, sink)
    alone = replace(settings, politeness=replace(settings.politeness, max_concurrency=1))
    engine = choose_engine(alone)()
    attempt = Attempt(target, queued_at=time.monotonic(), first_started=time.monotonic())
    try:
        while True:
            transfer = Transfer(attempt, plan, sink, time.monotonic())
            engine.start(transfer)
            while not engine.poll(_TICK_S):
                pass
            completion = transfer.completion
            assert isinstance(completion, Completion)
            if isinstance(completion.outcome, Stored):
                return _kept(sink.file)
            reason, verdict = "HTTP 304", None  # an answer to a condition that was not set
            if isinstance(completion.outcome, Failed):
                reason = completion.outcome.failure.message
                verdict = policy.decide(completion.outcome.failure, attempt, time.monotonic())
            if not isinstance(verdict, Again):
                raise ListError(f"can't fetch the list {urls.redact(url)!r}: {reason}")
            time.sleep(verdict.delay_s)
            attempt = attempt._replace(number=attempt.number + 1)
    finally:
        engine.give_up()  # after Ctrl-C the end of the process would wait for a worker
        engine.close()
        sink.close()


def _kept(file: BinaryIO) -> BinaryIO:
    """The same file, by a descriptor that stays open as long as the process."""
    return open(os.dup(file.fileno()), "rb", closefd=False)
