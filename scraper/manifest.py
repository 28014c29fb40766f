"""The manifest: Results as JSON Lines, kept with the bodies.

Owns: flattening a Result to the contract's fields (nowhere else), and the two
ways of keeping the lines: appended to a file, or, where nothing can be
appended to (S3, other sinks), as numbered segments written through the sink
itself. Refuses to know: terminals. Rejected: a line for each attempt; one
target is one result.

A record is written after the sink's commit, never before.
"""

import json
import os
import secrets
import stat
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import orjson

from scraper import urls
from scraper.errors import DestinationError, SinkError
from scraper.records import (
    Deferred,
    Duplicate,
    Failed,
    Failure,
    NotModified,
    Outcome,
    Response,
    Result,
    Skipped,
    Stored,
    Times,
)
from scraper.sinks.base import Body, Sink, scheme_of
from scraper.sinks.directory import path_of

DEFAULT_PATH = ".scraper/manifest.jsonl"
SEGMENT_BYTES = 4 << 20
SEGMENT_S = 30.0
SEGMENT_WAITS_S = (1.0, 4.0, 16.0)  # between attempts at a segment: a busy S3 is no end of a run


def to_record(result: Result) -> dict[str, Any]:
    """The contract's fields of `result`; what is unknown is absent."""
    target = result.target
    record: dict[str, Any] = {
        "url": urls.redact(target.listed),
        "line": target.line,
        "source": target.source,
    }
    if target.key:
        record["key"] = target.key
    record |= {"status": result.status, **_outcome(result.outcome), "attempts": result.attempts}
    return record | _times(result.times)


def _outcome(outcome: Outcome) -> dict[str, Any]:
    match outcome:
        case Stored(response, size, digest):
            return _response(response) | {"size": size, "sha256": digest}
        case NotModified(response):
            return _response(response)
        case Skipped(reason):
            return {"reason": reason}
        case Duplicate(of_line):
            return {"of_line": of_line}
        case Deferred(failure, response) | Failed(failure, response):
            return _response(response) | {"error": _error(failure)}


def _times(times: Times) -> dict[str, Any]:
    durations = {
        "time_connect": times.connect,
        "time_starttransfer": times.starttransfer,
        "time_total": times.total,
        "time_queue": times.queue,
    }
    known = {name: round(value, 6) for name, value in durations.items() if value is not None}
    return known if times.started is None else {"started": rfc3339(times.started), **known}


def encode(result: Result) -> bytes:
    """The line of `result`, with its line feed."""
    return as_json(to_record(result)) + b"\n"


def as_json(record: Mapping[str, Any]) -> bytes:
    """One line of JSON in UTF-8, without line feed, that can be shown on a terminal."""
    try:
        line = orjson.dumps(record)
    except TypeError:  # a lone surrogate: from the name of a file that is not UTF-8
        line = json.dumps(record, ensure_ascii=False).encode("utf-8", "replace")
    return line if line.isascii() else urls.printable(line.decode()).encode()


def rfc3339(moment: float) -> str:
    """Seconds since 1970 as RFC 3339 in UTC, with milliseconds."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def _response(response: Response | None) -> dict[str, Any]:
    if response is None:
        return {}
    fields = {
        "http_code": response.http_code,
        "content_type": response.content_type,
        "etag": response.etag,
        "last_modified": response.last_modified,
        "redirects": response.redirects,
        "url_effective": response.url_effective,
        "remote_ip": response.remote_ip,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _error(failure: Failure) -> dict[str, str]:
    return {"kind": failure.kind.value, "message": failure.message}


class Manifest(Protocol):
    """A receiver of Results that remembers. Raises DestinationError when it can't."""

    place: str

    def __call__(self, result: Result) -> None:
        """Append the record of `result`."""

    def flush(self) -> None:
        """Let the records so far survive this process."""

    def close(self) -> None:
        """Let all records survive the machine."""


class FileManifest:
    """One file, appended to; a torn last line of a run that died is closed first."""

    def __init__(self, path: Path) -> None:
        self.place = str(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torn = _is_torn(path)
            self._file = open(path, "ab")  # noqa: SIM115 - closed by close()
            if torn:
                self._file.write(b"\n")
        except OSError as error:
            raise DestinationError(_cannot(self.place, error)) from None

    def __call__(self, result: Result) -> None:
        """Append."""
        try:
            self._file.write(encode(result))
        except OSError as error:
            raise DestinationError(_cannot(self.place, error)) from None

    def flush(self) -> None:
        """Hand what is buffered to the system."""
        try:
            self._file.flush()
        except OSError as error:
            raise DestinationError(_cannot(self.place, error)) from None

    def close(self) -> None:
        """Flush to the disk."""
        if self._file.closed:
            return
        try:
            with self._file:  # which is closed even when it can't take what is buffered
                self._file.flush()
                if stat.S_ISREG(os.fstat(self._file.fileno()).st_mode):
                    os.fsync(self._file.fileno())
        except OSError as error:
            raise DestinationError(_cannot(self.place, error)) from None


class SinkManifest:
    """Segments `.scraper/manifest-<run>-<number>.jsonl` in any sink, written by one thread."""

    def __init__(self, sink: Sink, destination: str) -> None:
        self._sink = sink
        run = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        self._stem = f".scraper/manifest-{run}"
        self.place = f"{urls.redact(destination).rstrip('/')}/{self._stem}-*.jsonl"
        self._lines: list[bytes] = []
        self._bytes = 0
        self._number = 0
        self._begun = time.monotonic()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="manifest")
        self._pending: list[Future[None]] = []

    def __call__(self, result: Result) -> None:
        """Append to the segment that is open."""
        line = encode(result)
        self._lines.append(line)
        self._bytes += len(line)

    def flush(self) -> None:
        """Roll the segment when it is big or old; raises what an earlier one met."""
        old = time.monotonic() - self._begun > SEGMENT_S
        if self._lines and (old or self._bytes >= SEGMENT_BYTES):
            self._roll()
        while self._pending and self._pending[0].done():
            self._pending.pop(0).result()

    def close(self) -> None:
        """Write what is left, and wait until it is durable."""
        if self._lines:
            self._roll()
        self._writer.shutdown(wait=True)
        pending, self._pending = self._pending, []
        for segment in pending:
            segment.result()

    def _roll(self) -> None:
        self._number += 1
        data, self._lines, self._bytes = b"".join(self._lines), [], 0
        self._begun = time.monotonic()
        key = f"{self._stem}-{self._number:05}.jsonl"
        self._pending.append(self._writer.submit(_put, self._sink, key, data))


def path_for(path: str | None, destination: str) -> Path | None:
    """The file of the manifest given as `path`, else the destination's own; None: no file."""
    if path is not None:
        return Path(path)
    return path_of(destination) / DEFAULT_PATH if scheme_of(destination) == "file" else None


def open_manifest(path: str | None, destination: str, sink: Sink) -> Manifest:
    """The manifest at `path`, or where the destination keeps it. Raises DestinationError."""
    file = path_for(path, destination)
    return SinkManifest(sink, destination) if file is None else FileManifest(file)


def _put(sink: Sink, key: str, data: bytes) -> None:
    """Store `data`, patiently. Raises DestinationError."""
    for wait_s in (*SEGMENT_WAITS_S, None):
        try:
            _put_once(sink, key, data)
        except SinkError as error:
            if wait_s is None or not error.transient:
                raise DestinationError(f"can't write the manifest: {error}") from None
            time.sleep(wait_s)
        else:
            return


def _put_once(sink: Sink, key: str, data: bytes) -> None:
    response = Response(200, "", content_type="application/x-ndjson")
    body = Body("", time.time(), len(data), sha256(data).hexdigest(), response)
    upload = sink.open(key)
    try:
        upload.write(data)
        upload.commit(body)
    finally:
        upload.abort()


def _is_torn(path: Path) -> bool:
    """Whether there is a last line that has no end. Raises OSError."""
    if not path.is_file() or not path.stat().st_size:
        return False
    with open(path, "rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def _cannot(place: str, error: OSError) -> str:
    reason = "its directory is a file" if isinstance(error, FileExistsError) else error.strerror
    return f"can't write the manifest {place!r}: {reason or error}"
