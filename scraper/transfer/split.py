"""Bodies that are fetched in parts, by several transfers at once (--split).

The first transfer asks for the whole body, as always. The head of its response says whether the
body may be divided: its length, `Accept-Ranges: bytes`, a strong validator, and no coding that
has to be undone. The first transfer goes on until it meets a part that another transfer has. The
others ask for their part with Range and If-Range. So nobody waits for a part: what no other
transfer asks for comes by the first one.

Each byte is written at its place in one file. The digest follows as far as the body has no gap,
and reads again what came too early, so memory is bounded. The transfer that brings the last byte
commits the body. An answer that is not the part of this very body ends the division: the first
transfer goes on alone. If it has ended its part, or has no way on, nothing that came is used.

Owns: the parts, how far each of them is, the digest, the commit. Does not know: slots, hosts and
retries (`run/splitting.py`), requests (`part_transfer.py`).
Rejected: many small parts one after the other, since each costs a request at a host with gaps; a
file for each part, since joining them costs the disk twice; parts that wait for each other.
"""

import contextlib
import hashlib
import threading
from collections.abc import Callable, Container
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple, cast

from scraper.model import urls
from scraper.model.errors import Kind, SinkError, TransferError
from scraper.model.records import Response, Stored, Target
from scraper.sinks.base import Body, RandomAccessUpload, Sink, has_random_access
from scraper.transfer.body import Check, Incoming
from scraper.transfer.completion import InPart
from scraper.transfer.conditions import RangeRequest, strong_validator
from scraper.transfer.exchange import Reply
from scraper.transfer.integrity import IntegrityCheck
from scraper.transfer.plan import Plan
from scraper.transfer.redirects import Origin

if TYPE_CHECKING:
    from scraper.transfer.transfer import Transfer

_LEAST = 1 << 16  # bytes of a part; fewer are not worth a request
_READ = 1 << 20  # bytes that are read again at once
_AT_ONCE = 16 * _READ  # bytes of the digest that one chunk waits for


class Splits(NamedTuple):
    """Which bodies of a run are fetched in parts: those of more than `above` bytes.

    `most`: parts of one body at once. `whole`: keys whose bodies are not divided any more.
    `tell`: is told of a first transfer whose body is divided, from any thread.
    """

    most: int
    above: int
    whole: Container[str]
    tell: "Callable[[Transfer], None]"

    def divide(  # noqa: PLR0913, PLR0917 - facts of one response
        self, plan: Plan, sink: Sink, target: Target, body: Incoming, reply: Reply, origin: Origin
    ) -> "Part | None":
        """The first part of `body`, whose head is `reply`; None if it can't be divided."""
        size = body.expected
        if size is None or size <= self.above or target.key in self.whole or not body.is_plain:
            return None
        if not (_gives_ranges(reply) and has_random_access(sink)):
            return None
        response = body.response
        validator = strong_validator(response.etag, response.last_modified, body.dated)
        count = min(self.most, size // _LEAST)
        if validator is None or count < 2 or response.http_code != 200:
            return None
        asked = RangeRequest(origin.hop.url.href, validator, 0, size, body.coding)
        split = Split(plan, sink, target, response, origin, asked)
        return split.begin(size, count)


def _gives_ranges(reply: Reply) -> bool:
    units = (reply.get("accept-ranges") or "").lower().split(",")
    return "bytes" in (unit.strip() for unit in units)


class State(Enum):
    """How a body that was divided goes on."""

    TOGETHER = auto()  # in parts
    ALONE = auto()  # the first transfer brings all that is missing
    OVER = auto()  # nothing that came is used


class Part:
    """One part: the bytes `first` to `end` (not included) of a body. `at`: those before are there.

    It is the body of a transfer, as `Incoming` is. `taken`: a transfer brings it now.
    """

    def __init__(self, split: "Split", first: int, end: int) -> None:
        self.split = split
        self.first = self.at = self.claimed = first  # `claimed`: being written up to here
        self.end = end
        self.taken = False

    @property
    def received(self) -> int:
        """Bytes of the whole body that came so far."""
        return self.split.there

    @property
    def size(self) -> int:
        """Bytes of the whole body that are written."""
        return self.split.there

    @property
    def expected(self) -> int:
        """Bytes of the whole body."""
        return self.split.total

    def take(self, chunk: bytes, check: Check, *, quickly: bool = False) -> bool:
        """Write what came. Raises TransferError, also at the end of a part, and DestinationError.

        After the end of the part `is_whole` is true, so that the engine ends it.
        """
        del quickly
        self.split.write(self, chunk, check)
        return True

    def is_whole(self, check: Check) -> bool:
        """Whether the part is there."""
        del check
        return self.at == self.end

    def commit(self, source_url: str, fetched_at: float, check: Check) -> Stored | InPart:
        """Commit the body if this was the last part. Raises TransferError and DestinationError."""
        del source_url, fetched_at
        check()
        return self.split.ended(self, check)

    def abort(self) -> None:
        """Nothing: what came stays until the whole body is given up."""


class Split:
    """One body of `total` bytes; `came`: bytes of it so far, also twice. Any thread calls it."""

    def __init__(  # noqa: PLR0913, PLR0917 - facts of one response
        self,
        plan: Plan,
        sink: Sink,
        target: Target,
        response: Response,
        origin: Origin,
        asked: RangeRequest,
    ) -> None:
        assert asked.complete_length is not None
        self.plan = plan
        self.sink = sink
        self.response = response
        self.origin = origin
        self.asked = asked  # for all of it
        self.total = asked.complete_length
        self.came = 0
        self.state = State.TOGETHER
        self._target = target
        self._upload: RandomAccessUpload | None = None
        self._changed = threading.Condition()  # guards all but the digest
        self._integrity = target.expected and IntegrityCheck(target.expected, is_coded=False)
        self._digest = self._integrity.digests if self._integrity else hashlib.sha256()
        self._digesting = threading.Lock()  # guards these two
        self._digested = 0
        self._parts: list[Part] = []
        self._others: list[Part] = []  # those that were given up
        self._committing = False

    def begin(self, size: int, count: int) -> Part:
        """Divide `size` bytes in `count` parts, and give the first to the first transfer."""
        step = -(-size // count)
        self._parts = [Part(self, at, min(at + step, size)) for at in range(0, size, step)]
        first = self._parts[0]
        first.taken, first.end = True, size
        return first

    @property
    def there(self) -> int:
        """Bytes that are there."""
        return sum(part.at - part.first for part in self._parts)

    @property
    def is_complete(self) -> bool:
        """Whether all bytes are there."""
        return self._extent() == self.total

    def range_of(self, part: Part) -> RangeRequest:
        """What asks for the rest of `part`."""
        return self.asked._replace(first=part.at, last=part.end - 1)

    # ------------------------------------------------------------ who brings which part

    def missing(self, *, needed: bool) -> list[Part]:
        """Parts that nobody brings now, the last one first.

        `needed`: only those that the first transfer would not bring; else only the others.
        """
        with self._changed:
            return [part for part in reversed(self._parts) if self._is_missing(part, needed)]

    def take(self, part: Part) -> bool:
        """Let another transfer bring `part`, or what of it the first one leaves; whether it may."""
        with self._changed:
            first = self._parts[0]
            needed = not first.taken or part.at > part.first
            if part not in self._parts or not self._is_missing(part, needed):
                return False
            if first.taken and first.claimed > part.first:  # in the middle of what is left
                part.first = part.at = part.claimed = (first.claimed + part.end) // 2
            part.taken = True
            self._limit_first()
            return True

    def put_back(self, part: Part) -> None:
        """No transfer brings `part` any more, whether it is complete or not."""
        with self._changed:
            part.taken = False
            if part is self._parts[0]:
                self._parts[1:] = [
                    one
                    for one in self._parts[1:]
                    if one.taken or one.at > one.first or one.first >= part.at
                ]
                part.end = min((one.first for one in self._parts[1:]), default=self.total)
            else:
                self._limit_first()

    def _is_missing(self, part: Part, needed: bool) -> bool:  # noqa: FBT001 - private
        first = self._parts[0]
        if part.taken or part.at == part.end or self.state is not State.TOGETHER:
            return False
        if not first.taken or part.at > part.first:
            return needed
        left = part.end - max(part.first, first.claimed)
        return not needed and (left >= 2 * _LEAST or first.claimed <= part.first)

    def _limit_first(self) -> None:
        """Let the first transfer go on until it meets a part that it must not bring."""
        first = self._parts[0]
        if first.taken and first.claimed < first.end:
            met = (one.first for one in self._parts[1:] if one.taken or one.at > one.first)
            first.end = min(met, default=self.total)

    # ------------------------------------------------------------ bytes

    def write(self, part: Part, chunk: bytes, check: Check) -> None:
        """Write `chunk`, which follows what there is of `part`.

        Raises TransferError, also at the end of the part, and DestinationError.
        """
        upload, mine = self._claim(part, chunk)
        offset = part.at
        try:
            if self.plan.quota is not None:
                self.plan.quota.take(len(mine))
            upload.write_at(offset, mine)
        except BaseException:
            self._wrote(part, 0)
            raise
        self._wrote(part, len(mine))
        self._go_on_with_digest(offset, mine)
        check()
        if len(mine) < len(chunk) or (part is self._parts[0] and part.at == part.end < self.total):
            raise TransferError(Kind.TRUNCATED, "what follows comes in other parts")

    def _claim(self, part: Part, chunk: bytes) -> tuple[RandomAccessUpload, bytes]:
        """Where to write, and what of `chunk` belongs to `part`."""
        with self._changed:
            if part is not self._parts[0] and len(chunk) > part.end - part.at:
                self._differ()  # more than was asked for
            while self.state is State.ALONE and part is self._parts[0] and self._is_written():
                self._changed.wait()
            if self.state is State.OVER or part not in self._parts:
                raise TransferError(Kind.INTERRUPTED, "the parts are not of one body")
            if self._upload is None:
                self._upload = cast("RandomAccessUpload", self.sink.open(self._target.key))
            mine = chunk if len(chunk) <= part.end - part.at else chunk[: part.end - part.at]
            part.claimed = part.at + len(mine)
            return self._upload, mine

    def _is_written(self) -> bool:
        """Whether a transfer of another part is still writing what came before."""
        return any(one.claimed > one.at for one in self._others)

    def _wrote(self, part: Part, size: int) -> None:
        with self._changed:
            part.at += size
            part.claimed = part.at
            self.came += size
            self._changed.notify_all()

    def _extent(self) -> int:
        """How far the body is there without a gap."""
        with self._changed:
            there = 0
            for part in self._parts:
                if part.first <= there < part.at:
                    there = part.at
            return there

    def _go_on_with_digest(self, offset: int, chunk: bytes) -> None:
        """Take `chunk` and what follows it into the digest, unless another thread does so."""
        if self._digesting.acquire(blocking=False):
            try:
                if offset == self._digested:
                    self._digest.update(chunk)
                    self._digested += len(chunk)
                self._digest_up_to(min(self._extent(), self._digested + _AT_ONCE))
            finally:
                self._digesting.release()

    def _digest_up_to(self, end: int, check: Check = lambda: None) -> None:
        upload = self._upload
        while self._digested < end:
            assert upload is not None
            piece = upload.read_at(self._digested, min(_READ, end - self._digested))
            if not piece:
                raise SinkError(f"what was written of {self._target.key!r} is gone", transient=True)
            self._digest.update(piece)
            self._digested += len(piece)
            check()

    # ------------------------------------------------------------ its end

    def ended(self, part: Part, check: Check) -> Stored | InPart:
        """The transfer of `part` has ended: commit the body, if all of it is there.

        Raises TransferError if the part broke off, and DestinationError.
        """
        extent = self._extent()
        with self._changed:
            if part.at < part.end:
                message = f"part ended after {part.at:,} of the bytes up to {part.end:,}"
                raise TransferError(Kind.TRUNCATED, message)
            if extent < self.total or self._committing or self.state is State.OVER:
                return InPart(self.response)
            self._committing = True
        with self._digesting:
            self._digest_up_to(self.total, check)
        upload, origin = self._upload, self.origin
        assert upload is not None
        if self._integrity:
            self._integrity.is_of_coded()
        digest, count = self._digest.hexdigest(), sum(one.at > one.first for one in self._parts)
        response = self.response._replace(parts=count) if count > 1 else self.response
        shown = urls.redact(self._target.listed)
        return upload.commit(Body(shown, origin.fetched_at, self.total, digest, response))

    def differs(self) -> None:
        """An answer was not the part that was asked for: the first transfer goes on alone."""
        with self._changed:
            self._differ()

    def _differ(self) -> None:
        first = self._parts[0]
        if self.state is not State.TOGETHER or self._committing:
            return
        if first.taken and first.claimed < first.end:
            self.state = State.ALONE
            self._others = self._parts[1:]
            self._parts = [first]
            first.end = self.total
        else:
            self.state = State.OVER

    def give_up(self) -> None:
        """Let no more be written."""
        with self._changed:
            self.state = State.OVER

    def abort(self) -> None:
        """Drop what was written. Never raises. No transfer may bring any of it any more."""
        self.give_up()
        if self._upload is not None:
            with contextlib.suppress(Exception):  # a plug-in's sink may break its promise
                self._upload.abort()
