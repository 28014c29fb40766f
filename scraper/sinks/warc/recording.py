"""The recording of one attempt: its exchanges become records, and those one unit of the archive.

Each exchange is a `request` and a `response` record. A response whose payload the archive has is a
`revisit` that refers to it, and so is a 304, which refers to the object that was asked about. Small
bodies are kept in memory until their length and digest are known, large ones are deflated into a
temporary file as they come.

Owns: which records an attempt makes. Does not know: files of the archive (`writer.py`), what the
responses mean. A body that broke off, or that nobody wants and is long, is cut off, and says so
(`WARC-Truncated`).
"""

import contextlib
import hashlib
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from scraper.model.archived import Archived
from scraper.model.errors import DestinationError
from scraper.model.records import NotModified, Stored
from scraper.sinks.base import Blocking, Body
from scraper.sinks.exchanges import Exchange
from scraper.sinks.warc import records
from scraper.sinks.warc.archive_file import refused
from scraper.sinks.warc.cdxj import line_of
from scraper.sinks.warc.heads import Head, carries_secret, protocols, request_head
from scraper.sinks.warc.index import Indexed, Payload
from scraper.sinks.warc.journal import Unit
from scraper.sinks.warc.large_body import LargeBody
from scraper.sinks.warc.members import Spooled, member
from scraper.sinks.warc.writer import Overtaken, Writer

UNWANTED = 1 << 18  # bytes of a body that nobody wants that are kept: of hops, of errors
_IN_MEMORY = 1 << 18  # bytes of a body; more are deflated into a file
_NO_BODY = frozenset({204, 304})


class Exchanged(NamedTuple):
    """A finished exchange. Its body is `small`, or in a file, or `withheld`."""

    exchange: Exchange
    head: Head
    small: bytes
    large: LargeBody | None = None
    truncated: str = ""
    withheld: bool = False


class _Response(NamedTuple):
    """The second record of an exchange, and what the index says of it."""

    data: bytes | Spooled
    record_id: str
    date: str
    mime: str
    digest: str
    fresh: bytes = b""  # the SHA-1 of a payload that the archive does not have yet
    original: Payload | None = None


class _Made(NamedTuple):
    """The two records of an exchange. `at`: the second one's first byte in its unit."""

    done: Exchanged
    request: bytes
    response: _Response
    at: int

    def index_line(self, file: str, start: int) -> str:
        """The line of the CDXJ; `start` is the unit's first byte in `file`."""
        response = self.response
        return line_of(
            self.done.exchange.url,
            response.date,
            mime=response.mime,
            status=str(self.done.exchange.status),
            digest=response.digest,
            length=len(response.data),
            offset=start + self.at,
            filename=file,
        )

    def payload(self, file: str, start: int) -> Payload:
        """What later records may refer to."""
        response = self.response
        return Payload(response.fresh, self.done.exchange.url, response.date, file, start + self.at)

    def indexed(self, key: str, archived: Archived, body: Body) -> Indexed:
        """The object `key`, which is this response."""
        return Indexed(
            key,
            archived.file,
            archived.offset,
            archived.length,
            body.size,
            body.sha256,
            body.modified_ms,
            body.response.content_encoding or "",
            self.done.exchange.url,
            self.response.date,
            archived.original_file or archived.file,
            archived.original_offset if archived.original_file else archived.offset,
            archived.start,
        )


class WarcRecording:
    """See `sinks.exchanges.Recording`. `temporary` opens a file without a name."""

    def __init__(
        self,
        writer: Writer,
        temporary: Callable[[], int],
        key: str,
        about: Mapping[str, Any],
    ) -> None:
        self.blocking = Blocking.COMMIT if writer.may_block else Blocking.NEVER
        self.written: Archived | None = None
        self._writer, self._temporary = writer, temporary
        self._key, self._about = key, about
        self._done: list[Exchanged] = []
        self._now: Exchange | None = None
        self._head: Head | None = None
        self._chunks: list[bytes] = []
        self._size = 0
        self._large: LargeBody | None = None
        self._truncated = ""
        self._withheld = False

    def exchange(self, exchange: Exchange) -> None:
        """See `Recording`."""
        self._end_exchange()
        self._now = exchange
        self._head = Head(exchange.lines, secret=carries_secret(exchange.url, exchange.fields))

    def body(self, chunk: bytes) -> None:
        """See `Recording`."""
        self._size += len(chunk)
        if self._large is None:
            self._chunks.append(chunk)
            if self._size <= _IN_MEMORY:
                return
            chunk = b"".join(self._chunks)
            self._chunks.clear()
        try:
            if self._large is None:
                assert self._head is not None
                self._large = LargeBody(self._temporary(), self._head)
            self._large.feed(chunk)
        except OSError as error:
            raise refused(error) from None

    def some(self, chunk: bytes) -> bool:
        """See `Recording`."""
        if self._withheld:
            self._truncated = "unspecified"
            return False
        room = UNWANTED - self._size
        self.body(chunk[:room])
        if len(chunk) <= room:
            return True
        self._truncated = "length"
        return False

    def withhold(self) -> None:
        """See `Recording`."""
        self._withheld = True

    def broken(self, why: str) -> None:
        """See `Recording`."""
        self._truncated = self._truncated or why

    def open(self, key: str) -> "ArchiveUpload":
        """See `Recording`."""
        del key
        return ArchiveUpload(self)

    def seal(self, outcome: NotModified | None = None) -> None:
        """See `Recording`."""
        self.commit(None, outcome)

    def commit(self, body: Body | None, outcome: NotModified | None = None) -> None:
        """Write all exchanges. `body`: what is stored, None for nothing."""
        self._end_exchange()
        if not self._done:
            return
        try:
            while True:
                with contextlib.suppress(Overtaken):
                    self._write(body, outcome)
                    return
        except OSError as error:
            raise refused(error) from None
        finally:
            self.drop()

    def drop(self) -> None:
        """See `Recording`."""
        if self._now is None and not self._done:
            return
        for done in self._done:
            if done.large is not None:
                done.large.close()
        if self._large is not None:
            self._large.close()
        self._done, self._now, self._large = [], None, None
        self._chunks.clear()

    def _end_exchange(self) -> None:
        now, head, large = self._now, self._head, self._large
        if now is None:
            return
        assert head is not None
        # What came whole, and is not what its coding says, was cut off by nobody.
        truncated = "" if head.length == self._size else self._truncated
        if not truncated and head.length not in {None, self._size} and now.status not in _NO_BODY:
            truncated = "disconnect"
        if truncated and large is not None:  # gigabytes of which nobody knows the rest
            large.close()
            large = None
        done = Exchanged(now, head, b"".join(self._chunks), large, truncated, self._withheld)
        self._done.append(done)
        self._now, self._large, self._truncated, self._size = None, None, "", 0
        self._withheld = False
        self._chunks.clear()

    def _write(self, body: Body | None, outcome: NotModified | None) -> None:
        """Make the records, and append them. Raises Overtaken, OSError and DestinationError."""
        made: list[_Made] = []
        flushes, at = self._writer.index.flushes, 0
        for done in self._done:
            common = _common(done.exchange)
            response = self._response(done, common)
            request = _request(done, response, common)
            made.append(_Made(done, request, response, at + len(request)))
            at += len(request) + len(response.data)
        size, moment = at, self._done[0].exchange.moment

        def describe(file: str, start: int) -> Unit:
            last = made[-1]
            where = start + last.at, len(last.response.data)
            original = last.response.original
            payload = ("", 0) if original is None else (original.file, original.offset)
            archived = Archived(file, start, *where, 2 * len(made), *payload)
            self.written = archived
            return Unit(
                start,
                start + size,
                [one.index_line(file, start) for one in made if one.response.digest],
                None if body is None else last.indexed(self._key, archived, body),
                [one.payload(file, start) for one in made if one.response.fresh],
                self._about,
                archived,
                outcome if body is None else body.stored(),
                moment if body is None else body.fetched_at,
            )

        members = [part for one in made for part in (one.request, one.response.data)]
        fresh = [one.response.fresh for one in made if one.response.fresh]
        self._writer.append(members, fresh, flushes, describe)

    def _response(self, done: Exchanged, common: str) -> _Response:
        """The record of the response, or a `revisit`. Raises OSError and DestinationError."""
        exchange, head = done.exchange, done.head
        if exchange.status == 304:
            return self._not_modified(done, common)
        if done.withheld:
            return _head_only(done, common)
        large = done.large
        if large is None:
            size, payload = len(done.small), hashlib.sha1(done.small, usedforsecurity=False)
        else:
            size, payload = large.size, large.payload
        sha1 = payload.digest()
        may_refer = bool(size) and not done.truncated
        original = self._writer.payload(sha1) if may_refer else None
        framed = head.bare() if exchange.status in _NO_BODY else head.framed(size)
        digest = records.digest_text(sha1)
        identity = records.record_id()
        date = records.date_of(exchange.moment)
        fields = f"{common}WARC-Record-ID: {identity}\r\nWARC-Date: {date}\r\n"
        if original is not None:
            fields += (
                f"WARC-Profile: {records.IDENTICAL}\r\n"
                f"WARC-Refers-To-Target-URI: {original.url}\r\n"
                f"WARC-Refers-To-Date: {original.date}\r\n"
                f"WARC-Block-Digest: {_sha1(framed)}\r\nWARC-Payload-Digest: {digest}\r\n"
            )
            begun = records.header("revisit", fields, records.RESPONSE, len(framed))
            data: bytes | Spooled = member(begun + framed + records.END)
            return _Response(data, identity, date, "warc/revisit", digest, original=original)
        if done.truncated:
            fields += f"WARC-Truncated: {done.truncated}\r\n"
        if large is None:
            fields += f"WARC-Block-Digest: {_sha1(framed, done.small)}\r\n"
        elif large.block is not None and head.length == size:
            fields += f"WARC-Block-Digest: {records.digest_text(large.block.digest())}\r\n"
        fields += f"WARC-Payload-Digest: {digest}\r\n"
        begun = records.header("response", fields, records.RESPONSE, len(framed) + size) + framed
        data = member(begun + done.small + records.END) if large is None else large.ended(begun)
        fresh = sha1 if may_refer else b""
        return _Response(data, identity, date, head.media_type, digest, fresh)

    def _not_modified(self, done: Exchanged, common: str) -> _Response:
        """The `revisit` that a 304 is. Players answer with its empty body, so it has no index."""
        identity = records.record_id()
        date = records.date_of(done.exchange.moment)
        fields = f"{common}WARC-Record-ID: {identity}\r\nWARC-Date: {date}\r\n"
        fields += f"WARC-Profile: {records.NOT_MODIFIED}\r\n"
        there = self._writer.index.find(self._key)
        if there is not None and there.date:
            fields += f"WARC-Refers-To-Target-URI: {there.url}\r\n"
            fields += f"WARC-Refers-To-Date: {there.date}\r\n"
        framed = done.head.bare()
        fields += f"WARC-Block-Digest: {_sha1(framed)}\r\n"
        begun = records.header("revisit", fields, records.RESPONSE, len(framed))
        return _Response(member(begun + framed + records.END), identity, date, "", "")


class ArchiveUpload:
    """The upload of the body that is wanted. What it is given is decoded, and not kept."""

    def __init__(self, recording: WarcRecording) -> None:
        self._recording = recording

    def write(self, chunk: bytes) -> None:
        """Nothing: the recording has the bytes as they came."""

    def commit(self, body: Body) -> Stored:
        """Write the attempt's exchanges."""
        self._recording.commit(body)
        if self._recording.written is None:
            raise DestinationError("the archive was told of no exchange")
        return body.stored()

    def abort(self) -> None:
        """Nothing: the recording knows that its body is not whole."""


def _head_only(done: Exchanged, common: str) -> _Response:
    """The record of a response whose body is not kept: without a digest of it, and no index."""
    identity = records.record_id()
    date = records.date_of(done.exchange.moment)
    fields = f"{common}WARC-Record-ID: {identity}\r\nWARC-Date: {date}\r\n"
    if done.truncated:
        fields += f"WARC-Truncated: {done.truncated}\r\n"
    framed = done.head.bare() if done.exchange.status in _NO_BODY else done.head.framed(0)
    fields += f"WARC-Block-Digest: {_sha1(framed)}\r\n"
    begun = records.header("response", fields, records.RESPONSE, len(framed))
    return _Response(member(begun + framed + records.END), identity, date, "", "")


def _request(done: Exchanged, response: _Response, common: str) -> bytes:
    exchange = done.exchange
    block = request_head(exchange.url, exchange.fields, exchange.host)
    fields = (
        f"{common}WARC-Record-ID: {records.record_id()}\r\nWARC-Date: {response.date}\r\n"
        f"WARC-Concurrent-To: {response.record_id}\r\nWARC-Block-Digest: {_sha1(block)}\r\n"
    )
    begun = records.header("request", fields, records.REQUEST, len(block))
    return member(begun + block + records.END)


def _common(exchange: Exchange) -> str:
    """The lines that both records of an exchange have in their headers."""
    connection = _connection(exchange.remote_ip, exchange.lines[0], exchange.tls)
    return f"WARC-Target-URI: {exchange.url}\r\n{connection}"


@lru_cache(256)
def _connection(remote_ip: str | None, status_line: bytes, tls: str | None) -> str:
    lines = [f"WARC-Protocol: {one}\r\n" for one in protocols(status_line, tls)]
    if remote_ip:
        lines.insert(0, f"WARC-IP-Address: {remote_ip}\r\n")
    return "".join(lines)


def _sha1(*parts: bytes) -> str:
    digest = hashlib.sha1(usedforsecurity=False)
    for part in parts:
        digest.update(part)
    return records.digest_text(digest.digest())
