"""A body on its way: from the wire, through its decoder, into an upload, until it is committed.

Owns: that state, in one object. It has what came and what was expected, what was written, its
digest, and the decoder. A transfer makes one for a response whose body it wants, and puts it
aside as it is when it breaks off (`partial.py`). Does not know: which responses have a body
that is stored, or how much time is left (`transfer.py`).
"""

import contextlib
import hashlib
import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from scraper.model.decode import Decoder, make_decoder
from scraper.model.errors import Kind, TransferError
from scraper.model.records import Response, Stored, Target
from scraper.sinks.base import Body, Sink, Upload
from scraper.sinks.put_request import PutRequest, put_request_of
from scraper.source.stored_form import plain_key
from scraper.transfer.codings import codings
from scraper.transfer.exchange import Reply, content_length
from scraper.transfer.part_of_file import check_part
from scraper.transfer.plan import Plan

if TYPE_CHECKING:
    from scraper.model.expected import Digests, Expected
    from scraper.model.stored_forms import Compressed
    from scraper.transfer.compression import Compression
    from scraper.transfer.integrity import IntegrityCheck

_QUICK = 8  # pieces of a decoded body, of up to 1 MiB each, that a quick call writes

Check = Callable[[], None]


class Incoming:
    """The body of `reply`, on its way into `sink` for `target`; `response` is recorded with it.

    `received` is its bytes on the wire so far, `expected` how many they will be, None if unknown;
    `size` is the bytes written; `coding` is its Content-Encoding, `dated` its Date. A `check` is
    called after each piece, and raises TransferError when the time is over.

    Raises TransferError if its length or coding can't be read, if it will be too long, or if it
    can't be the body that the list expects.
    """

    __slots__ = (
        "_compressed",
        "_compression",
        "_decoder",
        "_digest",
        "_in_chunks",
        "_integrity",
        "_key",
        "_left",
        "_most",
        "_put",
        "_quota",
        "_sink",
        "_upload",
        "coding",
        "dated",
        "expected",
        "received",
        "response",
        "size",
    )

    def __init__(
        self, plan: Plan, sink: Sink, target: Target, *, reply: Reply, response: Response
    ) -> None:
        self.response = response
        self.expected = content_length(reply)
        self.coding = reply.get("content-encoding")
        self.dated = reply.get("date")
        self._in_chunks = reply.get("transfer-encoding") is not None
        self.received = 0
        self.size = 0
        self._sink = sink
        self._key = target.key
        self._upload: Upload | None = None  # until there is something to write
        self._put: Body | None = None  # what an engine was asked to put
        self._digest: hashlib._Hash | Digests = hashlib.sha256()
        self._integrity: IntegrityCheck | None = None
        self._left: Iterator[bytes] | None = None  # received, and not yet decoded
        self._most = plan.limits.max_size
        self._quota = plan.quota
        self._decoder: Decoder | None = None
        self._compression = _compression(target.compressed) if target.compressed else None
        self._compressed: Compressed | None = None
        if self.coding is not None and not plan.http.raw:
            key = plain_key(target) if target.compressed else target.key
            names = key, response.url_effective.partition("?")[0]
            which = codings(self.coding, response.content_type, names)
            self._decoder = make_decoder(which.undone, which.kept)
            if which.left is not None:
                self.response = response._replace(content_encoding=which.left)
        if target.expected is not None:
            check_part(reply, target.expected)
            self._integrity = _integrity_check(target.expected, is_coded=self._decoder is not None)
            self._digest = self._integrity.digests
            self._integrity.announce(self.expected)
        if self._decoder is None and self.expected is not None:
            if self._most is not None:
                self._check_size(self.expected, self._most)
            if self._quota is not None:
                self._quota.expect(self.expected)

    def take(self, chunk: bytes, check: Check, *, quickly: bool = False) -> bool:
        """Take bytes as they came over the wire. Raises TransferError and DestinationError.

        True: all of them is written. False, only if `quickly`: a lot is still to be decoded, and
        the next call continues with that.
        """
        self.received += len(chunk)
        if self._decoder is None:
            self._write(chunk)
            check()
            return True
        if self._integrity is not None:
            self._integrity.take_coded(chunk)
        pieces = self._decoder.feed(chunk)
        self._left = pieces if self._left is None else itertools.chain(self._left, pieces)
        for number, piece in enumerate(self._left, 1):
            if piece:
                self._write(piece)
            check()
            if quickly and number == _QUICK:
                return False
        self._left = None
        return True

    def commit(self, source_url: str, fetched_at: float, check: Check) -> Stored:
        """Make it an object, if it is complete. Raises TransferError and DestinationError.

        After `put_request` it is one already.
        """
        if self._put is not None:
            self.abort()
            stored = self._put.stored()
        else:
            upload, facts = self._complete(source_url, fetched_at, check)
            stored = upload.commit(facts)
        return stored if self._compression is None else self._told(stored)

    @property
    def may_be_put(self) -> bool:
        """Whether `put_request` is worth a call: uploads into a directory have no request."""
        return self._upload is None or hasattr(self._upload, "put_request")

    def put_request(self, source_url: str, fetched_at: float, check: Check) -> PutRequest | None:
        """The request that makes it an object. Raises as `commit` does.

        `commit` follows when it has succeeded. None: `commit` makes it an object.
        """
        upload, facts = self._complete(source_url, fetched_at, check)
        request = put_request_of(upload, facts)
        self._put = None if request is None else facts
        return request

    def _complete(self, source_url: str, fetched_at: float, check: Check) -> tuple[Upload, Body]:
        """The upload that has all of it, and what is known of it."""
        if self._left is None:
            check()  # a connection that was closed because the time is over looks like an end
        else:
            self.take(b"", check)
        if self.expected is not None and self.received != self.expected:
            message = f"body ended after {self.received:,} of {self.expected:,} bytes"
            raise TransferError(Kind.TRUNCATED, message)
        if self._decoder is not None:
            self._decoder.finish()
        if self._integrity is not None and self._integrity.is_of_coded():
            self.response = self.response._replace(expected_of="coded")
        upload = self._upload or self._open()
        facts = Body(source_url, fetched_at, self.size, self._digest.hexdigest(), self.response)
        if self._compression is not None:
            if rest := self._compression.finish():
                upload.write(rest)
            facts, self._compressed = self._compression.stored(facts)
        return upload, facts

    def _told(self, stored: Stored) -> Stored:
        """What is recorded of a body that is `stored`; its form may be another one."""
        response = self.response  # the sink was told another type
        if self._compressed is not None and self._integrity is not None:  # it has another form
            response = response._replace(expected_of=response.expected_of or "body")
        return stored._replace(response=response, compressed=self._compressed)

    def abort(self) -> None:
        """Drop what was written. Never raises."""
        if self._upload is not None:
            with contextlib.suppress(Exception):  # a plug-in's sink may break its promise
                self._upload.abort()

    def is_whole(self, check: Check) -> bool:
        """Whether what came proves that nothing is missing, wherever the connection broke.

        A coding has an end of its own. It counts only where the framing has none: a body that
        ends with its connection (RFC 9112 6.3). Raises TransferError as `take` does.
        """
        if self._decoder is None or self.expected is not None or self._in_chunks:
            return False
        if self._left is not None:
            self.take(b"", check)
        return self._decoder.ended

    @property
    def is_plain(self) -> bool:
        """Whether its bytes are stored as they come: it has no coding that is undone or proved."""
        return self._decoder is None

    @property
    def short(self) -> bool:
        """Whether it surely stopped between its first byte and its last."""
        if self._upload is None or self._left is not None:  # the decoder is behind `received`
            return False
        return self.expected is None or self.received < self.expected

    def go_on(self, total: int, response: Response) -> None:
        """Continue: the rest follows, `total` bytes with what came; `response` is of both."""
        self.expected = total
        self.response = response

    def _open(self) -> Upload:
        upload = self._upload = self._sink.open(self._key)
        return upload

    def _write(self, piece: bytes) -> None:
        self.size += len(piece)
        if self._most is not None:
            self._check_size(self.size, self._most)
        if self._quota is not None:
            self._quota.take(len(piece))
        self._digest.update(piece)
        if self._integrity is not None:
            self._integrity.go_on()
        if self._compression is not None and not (piece := self._compression.feed(piece)):
            return
        (self._upload or self._open()).write(piece)

    @staticmethod
    def _check_size(size: int, most: int) -> None:
        if size > most:
            message = f"body is longer than --max-size {most:,} bytes"
            raise TransferError(Kind.TOO_LARGE, message, transient=False)


def _integrity_check(expected: "Expected", *, is_coded: bool) -> "IntegrityCheck":
    from scraper.transfer.integrity import IntegrityCheck  # few lists tell digests

    return IntegrityCheck(expected, is_coded=is_coded)


def _compression(form: str) -> "Compression":
    from scraper.transfer.compression import Compression  # few runs compress

    return Compression(form)
