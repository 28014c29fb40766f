"""What travels: targets down, results up. Frozen data, nothing else.

Owns: the shape of a target, of a response's facts, and of every outcome a
target can have. Refuses to know: JSON (`codec.py`), how any of it came
about. Rejected: one flat record with optional fields, in which an outcome
could carry what it does not have; here `match` with an exhaustiveness check
finds each case that was forgotten.

Units: times are seconds as float, sizes bytes as int.

All are NamedTuples: a frozen dataclass takes three times as long to make, and eight
times as long to define, which every start has to wait for. As tuples they are equal
if their values are: what tells a Failed from a Deferred is `match`, or `isinstance`.
"""

from collections.abc import Mapping
from typing import NamedTuple

from scraper.model.errors import Kind

NO_HEADERS: Mapping[str, str] = {}
_PLACE_CHARS = 1000


class Target(NamedTuple):
    """One line of the list.

    `listed` is the URL as it stood there; `url` its WHATWG form without fragment
    and userinfo (empty when the line names no target); `host` is who is asked,
    for politeness; `key` the object's name in the destination, final; `headers`
    come from a JSON line; `userinfo` is `user:password`, percent-decoded, or "";
    `places` is how many it takes of a bounded number of targets, see `places_of`.
    """

    listed: str
    url: str
    host: str
    key: str
    line: int
    source: str
    headers: Mapping[str, str] = NO_HEADERS
    userinfo: str = ""
    places: int = 1

    def __repr__(self) -> str:
        """Without what may be secret: a URL's query, its userinfo, headers."""
        where = f"line={self.line!r}, source={self.source!r}"
        return f"Target(host={self.host!r}, key={self.key!r}, {where})"


def places_of(listed: str, url: str, headers: Mapping[str, str]) -> int:
    """How many places a target takes where targets are counted: one, unless it is very long."""
    size = len(listed) + len(url)
    if headers:
        size += sum(len(name) + len(value) for name, value in headers.items())
    return 1 + size // _PLACE_CHARS


class PreviousRecord(NamedTuple):
    """What earlier runs left of a target: whether it is done, and the object it has.

    `size` is bytes, None without an object; the validators (RFC 9110 8.8) are those of
    `effective`, a digest of the URL that answered, 0 if it was the target's own.
    """

    done: bool
    size: int | None = None
    etag: str | None = None
    last_modified: str | None = None
    effective: int = 0


class Attempt(NamedTuple):
    """The `number`-th attempt (from 1) at a target, before or while it is made.

    `queued_at` and `first_started` (None before the first start) are monotonic seconds.
    `known`: what may be asked with, if the object should not be sent again.
    """

    target: Target
    queued_at: float
    number: int = 1
    first_started: float | None = None
    previous: PreviousRecord | None = None


class Response(NamedTuple):
    """The final response of a transfer, as far as it was seen."""

    http_code: int
    url_effective: str
    content_type: str | None = None
    content_encoding: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    remote_ip: str | None = None
    redirects: int = 0
    x_robots_tag: str | None = None


class Failure(NamedTuple):
    """Why an attempt failed: see `TransferError` for the flags.

    `retry_after_s` is the wait the server asked for, None if it asked for none.
    """

    kind: Kind
    message: str
    transient: bool | None = None
    unreachable: bool = False
    http_code: int | None = None
    retry_after_s: float | None = None


class Times(NamedTuple):
    """`started` is seconds since 1970 (UTC); the rest are durations, None if unknown.

    connect: to a fresh connection (0.0 when one was reused); starttransfer: to
    the response's headers; total: to the commit; queue: from the line being
    read to the start of the last attempt. The names are curl's `--write-out`.
    """

    started: float | None = None
    connect: float | None = None
    starttransfer: float | None = None
    total: float | None = None
    queue: float | None = None


class Stored(NamedTuple):
    """The body is in the sink, durable, under the target's key."""

    response: Response
    size: int
    sha256: str


class NotModified(NamedTuple):
    """The server said that what the sink holds is current (304)."""

    response: Response


class Skipped(NamedTuple):
    """Nothing was asked, because nothing was needed."""

    reason: str


class Duplicate(NamedTuple):
    """The same URL and key stood in an earlier line."""

    of_line: int


class Deferred(NamedTuple):
    """The server asked for a longer wait than this run grants."""

    failure: Failure
    response: Response | None = None


class Failed(NamedTuple):
    """No object was stored."""

    failure: Failure
    response: Response | None = None


Outcome = Stored | NotModified | Skipped | Duplicate | Deferred | Failed

STATUSES: Mapping[type[Outcome], str] = {
    Stored: "stored",
    NotModified: "not_modified",
    Skipped: "skipped",
    Duplicate: "duplicate",
    Deferred: "deferred",
    Failed: "failed",
}


class Result(NamedTuple):
    """What became of one target: exactly one for each line that is no comment."""

    target: Target
    outcome: Outcome
    attempts: int = 0
    times: Times = Times()

    @property
    def status(self) -> str:
        """`stored`, `not_modified`, `skipped`, `duplicate`, `deferred` or `failed`."""
        return STATUSES[type(self.outcome)]

    @property
    def failure(self) -> Failure | None:
        """Why nothing was stored, if something went wrong."""
        return self.outcome.failure if isinstance(self.outcome, Failed | Deferred) else None

    @property
    def response(self) -> Response | None:
        """The final response, if one was seen."""
        match self.outcome:
            case Skipped() | Duplicate():
                return None
            case outcome:
                return outcome.response
