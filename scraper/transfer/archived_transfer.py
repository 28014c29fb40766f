"""A transfer into an archive: it tells every exchange of its attempt, hops and errors too.

Owns: what is told when, and that bodies which nobody wants are read, up to a limit, before the
attempt goes on. Does not know: records, files. Ordinary transfers do not pass through here, so an
archive costs them nothing.

A body that broke off is never continued: the archive would have one response in two halves.
"""

import time
from typing import Any

from scraper.manifest import target_fields
from scraper.model import urls
from scraper.model.errors import DestinationError, Kind, SinkError, TransferError
from scraper.model.records import Attempt, Failed, Failure, NotModified, Stored
from scraper.sinks.base import Sink
from scraper.sinks.exchanges import Exchange, Recording, record_of
from scraper.sinks.put_request import PutRequest
from scraper.transfer.completion import InPart
from scraper.transfer.exchange import Next, Reply
from scraper.transfer.partial import Partial
from scraper.transfer.plan import Plan
from scraper.transfer.transfer import Transfer
from scraper.transfer.wanted import robots_rule

_UNWANTED_S = 10.0  # seconds that a body which nobody wants may take

_Ending = tuple[Stored | NotModified | Failed | InPart, DestinationError | None]


class _Enough(TransferError):
    """No more of a body that nobody wants is read."""


class ArchivedTransfer(Transfer):
    """See `Transfer`. `sink` is an archive, or takes a robots.txt."""

    archives = True

    def __init__(
        self,
        attempt: Attempt,
        plan: Plan,
        sink: Sink,
        now: float,
        partial: Partial | None = None,
    ) -> None:
        super().__init__(attempt, plan, sink, now, partial)
        record = record_of(sink)
        self._recording: Recording | None = None
        if record is not None:
            self._recording = record(attempt.target.key, target_fields(attempt.target))
            self._sink = self._recording  # type: ignore[assignment] # what a body needs of a sink
        self._unwanted: Next | None = None  # what follows the body that is read now
        self._until = 0.0
        self._answering = False
        self._ending: _Ending | None = None
        self._error: TransferError | DestinationError | None = None

    def response(self, reply: Reply) -> Next:
        """See `Transfer`. A body that nobody wants is read first."""
        recording = self._recording
        if recording is None or reply.raw is None:
            return super().response(reply)
        recording.exchange(self._exchange(reply))
        if robots_rule(reply, self._plan) is not None:  # of a hop or an error, too
            recording.withhold()
        self._answering, self._ending, self._error = True, None, None
        try:
            following = super().response(reply)
        except (TransferError, DestinationError) as error:
            self._error, following = error, Next.STOP
        finally:
            self._answering = False
        if following is not Next.READ:
            self._unwanted = following
            self._until = time.monotonic() + _UNWANTED_S
        return Next.READ

    def data(self, chunk: bytes, *, quickly: bool = False) -> bool:
        """See `Transfer`."""
        recording = self._recording
        if recording is None:
            return super().data(chunk, quickly=quickly)
        if self._unwanted is None:
            recording.body(chunk)
            return self._body is None or super().data(chunk, quickly=quickly)
        if not recording.some(chunk):
            raise _Enough(Kind.TOO_LARGE, "enough of a body that nobody wants")
        if time.monotonic() > self._until:
            recording.broken("time")
            raise _Enough(Kind.TIMEOUT, "enough of a body that nobody wants")
        return True

    def finish(self) -> Next:
        """See `Transfer`. HOP also after the body of a hop."""
        following, self._unwanted = self._unwanted, None
        if following is None:
            return super().finish()
        if self._error is not None:
            raise self._error
        if self._ending is not None:
            self._end(*self._ending)
        return following

    def put_request(self) -> PutRequest | None:
        """None: an archive is no request."""
        return None if self._recording is not None else super().put_request()

    def is_whole(self, error: Exception) -> bool:
        """Whether the attempt goes on although `error` broke the body off."""
        if self._unwanted is None or self._recording is None:
            return super().is_whole(error)
        if self.abandoned or not isinstance(error, TransferError):
            return False
        if not isinstance(error, _Enough):
            self._recording.broken(_why(error))
        return True

    def fail(self, error: TransferError | DestinationError) -> None:
        """See `Transfer`."""
        if self._recording is not None and self.completion is None:
            self._recording.broken(_why(error))
            self._unwanted = None
        super().fail(error)

    def _end(
        self, outcome: Stored | NotModified | Failed | InPart, error: DestinationError | None = None
    ) -> None:
        if self._answering:  # the body comes first
            self._ending = outcome, error
            return
        recording = self._recording
        if recording is not None:
            if isinstance(outcome, Failed | NotModified):
                outcome, error = self._seal(recording, outcome, error)
            if recording.written is not None:
                archived = (*self.attempt.archived, recording.written)
                self.attempt = self.attempt._replace(archived=archived)
            recording.drop()
        super()._end(outcome, error)

    def _seal(
        self, recording: Recording, outcome: Failed | NotModified, error: DestinationError | None
    ) -> tuple[Failed | NotModified, DestinationError | None]:
        """Write what was exchanged, where no object is stored."""
        if self.abandoned or error is not None:
            return outcome, error
        try:
            recording.seal(outcome if isinstance(outcome, NotModified) else None)
        except DestinationError as fatal:
            failure = Failure(Kind.SINK, str(fatal), transient=False)
            return Failed(failure, self._response), fatal
        except SinkError as refused:
            failure = Failure(Kind.SINK, refused.message, transient=refused.transient)
            return Failed(failure, self._response), None
        return outcome, error

    def _left_by(self, error: TransferError | DestinationError) -> None:
        """Nothing is continued."""
        del error

    def _exchange(self, reply: Reply) -> Exchange:
        request: Any = self.request
        assert reply.raw is not None
        return Exchange(
            urls.redact(request.url),
            request.origin.partition("://")[2],
            tuple(request.fields()),
            reply.raw.lines,
            reply.status,
            time.time(),
            reply.remote_ip,
            reply.raw.tls,
        )


def _why(error: TransferError | DestinationError) -> str:
    """The value of WARC-Truncated for a body that `error` broke off."""
    kind = error.kind if isinstance(error, TransferError) else None
    match kind:
        case Kind.CONNECT | Kind.TRUNCATED | Kind.TLS | Kind.PROXY:
            return "disconnect"
        case Kind.TIMEOUT:
            return "time"
        case Kind.TOO_LARGE:
            return "length"
        case _:
            return "unspecified"
