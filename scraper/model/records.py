"""Records that travel between rooms: targets down, results up. Frozen data without behaviour.

Owns: the fields of a target, of a response, and of every outcome that a target can have.
Does not know: JSON (`manifest/record.py`), or how a record came about.
Rejected: one flat record with optional fields. It would allow fields that an outcome can't have;
and with a type for each outcome, mypy finds every `match` that forgot one.
Rejected: frozen dataclasses. They take three times as long to make and eight times as long to
define, and every start of the program defines them.

Times are seconds as float, sizes are bytes as int. Records are tuples and compare by their
values: tell a Failed from a Deferred with `match` or `isinstance`, not with `==`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from scraper.model.archived import Archived
from scraper.model.errors import Kind

if TYPE_CHECKING:
    from pathlib import Path

    from scraper.model.expected import Expected
    from scraper.model.stored_forms import Compressed

NO_HEADERS: Mapping[str, str] = {}
TAKEN_OVER = "taken-over"  # the variant of an object that no run has stored
ANY_URL = -1  # in the place of a digest: nobody knows which URL the object is from
_PLACE_CHARS = 1000  # of a target's texts; see `places_of`


class Mirror(NamedTuple):
    """Another URL of a target, told as `Target` tells the first one.

    `late`: its host was down when its turn came, so it is asked again after all others. Then its
    host is waited for.
    """

    listed: str
    url: str
    host: str
    userinfo: str = ""
    late: bool = False


class Target(NamedTuple):
    """One line of the list.

    `listed` is the URL as the line has it. `url` is its WHATWG form without fragment and
    userinfo, or "" when the line is no target. `host` is the server that is asked, for
    politeness. `key` is the final name of the object in the destination. `headers` come from a
    JSON line. `userinfo` is `user:password`, percent-decoded, or "". `places` is what the target
    counts for where the number of targets is bounded; see `places_of`. `expected`: what its body is
    to be, None if the list does not say. `lastmod`: when it was changed, as the list has it.
    `mirrors`: its other URLs, in the order in which they are tried. All that tells targets apart is
    of the first URL. `compressed`: `gzip` or `zstd` if its body is stored so, else "".
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
    expected: "Expected | None" = None
    lastmod: str | None = None
    mirrors: tuple[Mirror, ...] = ()
    compressed: str = ""

    def __repr__(self) -> str:
        """The fields that hold no secret: no URL, userinfo or headers."""
        where = f"line={self.line!r}, source={self.source!r}"
        return f"Target(host={self.host!r}, key={self.key!r}, {where})"


def places_of(listed: str, url: str, headers: Mapping[str, str]) -> int:
    """How many places a target takes in a bounded queue: one, or more if its texts are long."""
    size = len(listed) + len(url)
    if headers:
        size += sum(len(name) + len(value) for name, value in headers.items())
    return 1 + size // _PLACE_CHARS


class Existing(NamedTuple):
    """An object that lies at the key of a target, and that this run has not stored.

    `size` is in bytes. `modified_ms` is its own time in milliseconds since 1970, None if unknown.
    `sha256` is what an earlier run recorded; without it no run has stored the object.
    """

    size: int
    modified_ms: int | None = None
    sha256: str | None = None


class PreviousRecord(NamedTuple):
    """What earlier runs recorded of a target: whether it is done, and which object it has.

    `size` is the object's bytes, None without an object. `etag` and `last_modified` are its
    validators (RFC 9110 8.8). `effective` is a digest of the URL that answered with them, 0
    if that was the target's own URL, or ANY_URL. `variant` says which form of the body it is
    (`transfer/variant.py`), None for records that were written before there was this field.
    `digest` (SHA-256) and `modified_ms` tell the object from another of its size
    (`sinks/object_stat.py`); None is unknown. `permanent`: its last attempt failed in a way that
    no later one makes better. `recorded`: false for an object that no run has recorded.
    """

    done: bool
    size: int | None = None
    etag: str | None = None
    last_modified: str | None = None
    effective: int = 0
    variant: str | None = None
    digest: bytes | None = None
    modified_ms: int | None = None
    permanent: bool = False
    recorded: bool = True


class Earlier(NamedTuple):
    """What came before an attempt at one of several URLs.

    `target` is the target as listed. `attempts` were made at other URLs. `outcome` is the one to
    tell if no URL is better, of the URL `mirror`; None: of the first one. `late`: the URL that is
    asked now was late, see `Mirror`.
    """

    target: Target
    attempts: int
    outcome: "Failed | Deferred"
    mirror: Mirror | None = None
    late: bool = False


class Attempt(NamedTuple):
    """The `number`-th attempt (from 1) at a target, before or during its transfer.

    `queued_at` and `first_started` are monotonic seconds; `first_started` is None before the
    first attempt starts. `previous` has the validators for a conditional request, if there may
    be one. `free`: attempts before this one that the target's host is to blame for; they are no
    retries. `hop`: the host of its next request, where a redirect led; "" for the target's own.
    `fresh`: it begins over a connection of its own, as the last one brought no response.
    `mismatch`: how the body of the last attempt differed from the expected one, or "".
    `earlier`: what other URLs of the target did; `target` has the URL that is asked now, and the
    `mirrors` that are left. None before the first URL has ended. `archived`: what an archive has of
    all attempts so far.
    """

    target: Target
    queued_at: float
    number: int = 1
    first_started: float | None = None
    previous: PreviousRecord | None = None
    free: int = 0
    hop: str = ""
    fresh: bool = False
    mismatch: str = ""
    earlier: Earlier | None = None
    archived: tuple[Archived, ...] = ()

    @property
    def waits_for_host(self) -> bool:
        """Whether its host is waited for while it is down: no other URL is to be asked first."""
        return not self.target.mirrors or (self.earlier is not None and self.earlier.late)


class Response(NamedTuple):
    """The final response of a transfer. A field that was not seen is None.

    `content_encoding` is that of the stored bytes, None if they have none. `variant` says which
    form of its body is stored (`transfer/variant.py`). `parts`: in how many parts the body came,
    None if it came as one. `expected_of`: "coded" if it is the coded form that was as expected,
    and another one is stored; else None.
    """

    http_code: int
    url_effective: str
    content_type: str | None = None
    content_encoding: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    remote_ip: str | None = None
    redirects: int = 0
    x_robots_tag: str | None = None
    variant: str | None = None
    parts: int | None = None
    expected_of: str | None = None


class Failure(NamedTuple):
    """Why an attempt failed. `TransferError` explains the flags.

    `retry_after_s` is the wait in seconds that the server asked for, None if it asked for none.
    `pushback`: the host wants fewer requests, of whatever target. As a text: `kind: message`.
    """

    kind: Kind
    message: str
    transient: bool | None = None
    unreachable: bool = False
    http_code: int | None = None
    retry_after_s: float | None = None
    pushback: bool = False
    proxy: str = ""
    shared: bool = False
    closed: bool = False

    def __str__(self) -> str:
        """The kind and the message."""
        return f"{self.kind.value}: {self.message}"


class Times(NamedTuple):
    """When an attempt started, and how long its parts took. A part that is not known is None.

    `started` is seconds since 1970 (UTC); where nothing was asked, it is when that was known.
    `connect` ends when the new connection is there, and
    is 0.0 for one that was reused. `starttransfer` ends with the response's headers. `total`
    ends with the commit. `queue` is the time from reading the line to the start of the last
    attempt. The names are those of curl's `--write-out`.
    """

    started: float | None = None
    connect: float | None = None
    starttransfer: float | None = None
    total: float | None = None
    queue: float | None = None


class Stored(NamedTuple):
    """The whole body is in the sink under the target's key."""

    response: Response
    size: int
    sha256: str
    compressed: "Compressed | None" = None  # size and sha256 are those of what is stored


class NotModified(NamedTuple):
    """The object in the sink is current, said the server (304).

    `existing`: that object, as far as it is known. It is recorded now, if no run had done it.
    """

    response: Response
    existing: Existing | None = None


class Skipped(NamedTuple):
    """No request was made, because none was needed.

    `failed_for_good`: an earlier run found that it never will be done. `unknown`: only failures are
    wanted, and no run has recorded it. `existing`: the object taken over (--skip-existing).
    """

    reason: str
    failed_for_good: bool = False
    existing: Existing | None = None
    unknown: bool = False


class Duplicate(NamedTuple):
    """Line `of_line` has the same URL and key."""

    of_line: int


class Deferred(NamedTuple):
    """The server asked for a longer wait than this run allows."""

    failure: Failure
    response: Response | None = None


class Failed(NamedTuple):
    """No object was stored."""

    failure: Failure
    response: Response | None = None


class NotReached(NamedTuple):
    """The run ended first: a signal, a limit of the whole run, or --fail-fast.

    It is no failure. Another run fetches the target. The kind of `failure` is `interrupted`.
    """

    failure: Failure
    response: Response | None = None


Outcome = Stored | NotModified | Skipped | Duplicate | Deferred | Failed | NotReached

STATUSES: Mapping[type[Outcome], str] = {
    Stored: "stored",
    NotModified: "not_modified",
    Skipped: "skipped",
    Duplicate: "duplicate",
    Deferred: "deferred",
    Failed: "failed",
    NotReached: "not_reached",
}


class Result(NamedTuple):
    """What became of one target. Each line that is no comment has exactly one.

    `attempts` is the number of attempts that were made at it, in this run, at all its URLs.
    `directory` is the absolute path of the destination if that is a directory and `scraper.run`
    yielded the Result, else None. `mirror` is the URL that the outcome is of, None if that is the
    first one. `archived`: what an archive has of its attempts.
    """

    target: Target
    outcome: Outcome
    attempts: int = 0
    times: Times = Times()
    directory: str | None = None
    mirror: Mirror | None = None
    archived: tuple[Archived, ...] = ()

    @property
    def status(self) -> str:
        """One of STATUSES: `stored`, `failed`, `not_reached` and so on."""
        return STATUSES[type(self.outcome)]

    @property
    def ok(self) -> bool:
        """Whether all is well: the target did not fail, was not put off, and was reached."""
        return self.failure is None

    @property
    def url(self) -> str:
        """The URL as the list has it, with any password or token in it."""
        return self.target.listed

    @property
    def key(self) -> str:
        """The name of the object in the destination. "" for a line that is no target."""
        return self.target.key

    @property
    def size(self) -> int | None:
        """Bytes of the object that was stored, found unmodified, or taken over. Else None."""
        match self.outcome:
            case Stored(size=size):
                return size
            case Skipped(existing=Existing(size)) | NotModified(existing=Existing(size)):
                return size
            case _:
                return None

    @property
    def path(self) -> "Path | None":
        """The file of the object, as an absolute path.

        None if the destination is no directory, and if `ok` is false. Nobody looked for the file
        of a target that was skipped, nor of a duplicate, whose first line may still be on its way.
        """
        from pathlib import Path

        return Path(self.directory, self.target.key) if self.directory and self.ok else None

    @property
    def error(self) -> Failure | None:
        """Why nothing was stored: `error.kind`, `error.message`. None if `ok`."""
        return self.failure

    @property
    def failure(self) -> Failure | None:
        """The same as `error`."""
        outcome = self.outcome
        return outcome.failure if isinstance(outcome, Failed | Deferred | NotReached) else None

    @property
    def response(self) -> Response | None:
        """The final response. None if there was none."""
        outcome = self.outcome
        return None if isinstance(outcome, Skipped | Duplicate) else outcome.response

    def __repr__(self) -> str:
        """What `str.format` and a debugger show: no secrets of the URL."""
        from scraper.model.urls import redact

        target, error = self.target, self.error
        shown: dict[str, object] = {"status": self.status, "url": redact(target.listed)}
        if target.key:
            shown["key"] = target.key
        if self.size is not None:
            shown["size"] = self.size
        if error is not None:
            shown["error"] = str(error)
        if self.mirror is not None:
            shown["mirror"] = redact(self.mirror.listed)
        shown["attempts"] = self.attempts
        return f"Result({', '.join(f'{name}={value!r}' for name, value in shown.items())})"
