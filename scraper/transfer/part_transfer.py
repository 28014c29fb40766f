"""A transfer that brings one part of a body.

Owns: what its request asks for, and what the answer means: the part, another body by now, or a
refusal. Does not know: how parts become one body (`split.py`), who starts it.
"""

from scraper.model.records import Attempt, Failed
from scraper.schedule import announced
from scraper.sinks.base import Blocking
from scraper.transfer.exchange import Next, Reply, content_length
from scraper.transfer.facts import facts
from scraper.transfer.refusal import refusal
from scraper.transfer.split import Part, Split
from scraper.transfer.transfer import Transfer

_ANOTHER_BODY = frozenset({200, 206, 412, 416})  # unless it is the part that was asked for


class PartTransfer(Transfer):
    """One attempt at `part` of `split`, begun at `now`, over a connection of its own."""

    def __init__(self, attempt: Attempt, split: Split, part: Part, now: float) -> None:
        super().__init__(attempt, split.plan, split.sink, now)
        self.split, self.part = split, part
        self._hop, self._headers = split.origin.hop, split.origin.headers
        self._range = split.range_of(part)
        self._asked = self._range.headers()
        self._fresh = True  # over HTTP/2 it would share one
        self._logged_in = False

    @property
    def blocking(self) -> Blocking:
        """It reads for the digest what others have written."""
        return Blocking.WRITE

    @property
    def progress(self) -> tuple[int, int | None, int]:
        """That of the whole body."""
        assert self.split is not None
        return self.split.there, self.split.total, self.split.there

    def response(self, reply: Reply) -> Next:
        """Take the head of a response and say what follows. Raises TransferError."""
        self._response = facts(reply, self._hop, self._headers, raw=self._plan.http.raw)
        self.announced, self._answered = announced(reply.get), True
        self._fresh = False
        self.check()
        if reply.status == 401 and self._log_in_again(reply):
            return Next.HOP
        asked = self._range
        assert asked.last is not None
        length = content_length(reply)
        fits = length is None or length == asked.last - asked.first + 1
        assert self.split is not None
        if fits and asked.completed_by(reply) is not None:
            self._body = self.part
            return Next.READ
        if reply.status in _ANOTHER_BODY:
            self.split.differs()
        host = self._hop.url.origin.host
        led_to = "" if host == self.attempt.target.host else host
        why = f"{reply.status} for a part"
        self._end(Failed(refusal(reply, why, self.announced, led_to), self._response))
        return Next.STOP

    def _log_in_again(self, reply: Reply) -> bool:
        """Whether the request is to be made again: an answer to Digest is good for one request."""
        if self._logged_in:
            return False
        self._logged_in = True
        headers = dict(self._headers)
        if headers.get("authorization", "").startswith("Digest"):
            del headers["authorization"]
        self._headers = headers
        return self._log_in(reply)
