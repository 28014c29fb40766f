"""The package's errors, and the kinds of failure that a target can have.

    ScraperError
    ├── UsageError            a wrong option or combination        (exit 2)
    │   └── ListError         a list that can't be opened          (exit 2)
    │       ├── ListBroken    a list that broke off while it was read
    │       └── ListChanged   a list that changed while it was read
    ├── DestinationError      the sink can't be used at all        (exit 3)
    │   ├── ReaderLeft        whoever read stdout has enough       (exit 1)
    │   └── NoThread          the system gives no thread           (exit 3)
    ├── Held                  another run has the destination      (exit 75)
    ├── ClusterError          the cluster can't run the shards     (exit 1)
    └── TransferError         one attempt at one target failed
        ├── BadTarget         a line that is no target
        └── SinkError         the sink refused one object
            ├── Damaged       what lies there is no whole object any more
            └── Fenced        another run may have the destination

Owns: these names. Does not know: what is retried (`schedule/retry.py`), how an error is
printed (`report/log.py`), which exception of a library becomes which error (`engines/` and
`sinks/` decide).
Rejected: an exception class for each kind. Nobody catches one kind alone, and the kind goes
into the manifest as a word.
"""

from enum import StrEnum

READER_LEFT = "stdout was closed"  # why a run ended that has nobody to write to
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_DESTINATION = 3
EXIT_HELD = 75  # EX_TEMPFAIL of sysexits.h
EXIT_INTERRUPTED = 130  # 128 and the number of SIGINT, as shells say it


class Kind(StrEnum):
    """Why a target failed. The values are those of `error.kind` in the manifest."""

    BAD_URL = "bad_url"
    DNS = "dns"
    CONNECT = "connect"
    TLS = "tls"
    TIMEOUT = "timeout"
    PROTOCOL = "protocol"
    TRUNCATED = "truncated"
    TOO_LARGE = "too_large"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    BLOCKED_ADDRESS = "blocked_address"
    ROBOTS = "robots"
    HTTP_STATUS = "http_status"
    UNEXPECTED_TYPE = "unexpected_type"
    HOST_DOWN = "host_down"
    SINK = "sink"
    PROXY = "proxy"
    MISMATCH = "mismatch"  # not the size or digest that the list expects
    INTERRUPTED = "interrupted"
    LOST = "lost"  # `scraper verify --repair` found the object missing or changed


# The page is gone (RFC 9110 15.5.5 and 15.5.11), or a law forbids it here (RFC 7725 3).
_PERMANENT_CODES = frozenset({404, 410, 451})

# The server has nothing for this URL, and says so (RFC 9110 15.3.5 and 15.3.6).
NO_CONTENT_CODES = frozenset({204, 205})


def is_permanent_failure(kind: str | None, http_code: int | None) -> bool:
    """Whether no later attempt is better: such a status, or a line that names no target."""
    return kind == Kind.BAD_URL or (kind == Kind.HTTP_STATUS and http_code in _PERMANENT_CODES)


class ScraperError(Exception):
    """The root of the tree: catch it to catch every error that the package raises on purpose.

    `hint` is the way out in one line, or "". It is in the words of the command line.
    """

    def __init__(self, message: str = "", *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(ScraperError):
    """An option, a value or a combination of them is wrong. The message is one line."""


class ListError(UsageError):
    """A list of URLs can't be opened or fetched. The message names the list."""


class ListBroken(ListError):
    """A list broke off while it was read. `line` is the first one that is missing, 0: unknown."""

    line = 0


class ListChanged(ListError):
    """A list was cut short or rewritten while it was read. All lines that were read are known."""


class DestinationError(ScraperError):
    """The destination can't be used at all: it refuses every object.

    `passing`: it has answered that another attempt may succeed, not before `retry_after_s` if it
    says so.
    """

    passing = False
    retry_after_s: float | None = None


class ReaderLeft(DestinationError):
    """The reader of stdout has left, as `head` does when it has enough."""


class NoThread(DestinationError):
    """The system refuses a thread that a run can't do without."""

    def __init__(self) -> None:
        super().__init__("the system gives no more threads (ulimit -u, ulimit -v)")


class Held(ScraperError):
    """Another run holds the destination, or took it over during this run."""


class ClusterError(ScraperError):
    """The cluster can't run the shards: no scheduler, a worker of another version."""


class TransferError(ScraperError):
    """One attempt at one target failed.

    `transient` says whether another attempt may succeed, where the code that saw the error knows
    that; None leaves it to the kind. `unreachable` says that there was no connection to the host.
    `proxy` is the proxy that there was no connection to, as `host:port`; then nothing is known of
    the host.
    `shared` says that its connection ended, which other requests shared: one of them may be why.
    `closed` says that the server closed the connection before a response.
    `retry_after_s` is the wait in seconds that the destination asked for, None if there is none.
    """

    def __init__(
        self,
        kind: Kind,
        message: str,
        *,
        transient: bool | None = None,
        unreachable: bool = False,
        proxy: str = "",
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.transient = transient
        self.unreachable = unreachable
        self.proxy = proxy
        self.closed = self.shared = False
        self.retry_after_s: float | None = None


def was_closed() -> TransferError:
    """The failure when the server closed the connection before a response."""
    error = TransferError(Kind.CONNECT, "connection was closed before a response")
    error.closed = True
    return error


class BadTarget(TransferError):
    """A line of the list is no target. The message is the reason."""

    def __init__(self, message: str) -> None:
        super().__init__(Kind.BAD_URL, message, transient=False)


class SinkError(TransferError):
    """The sink refused one object. `transient`: another attempt may succeed."""

    def __init__(
        self, message: str, *, transient: bool, retry_after_s: float | None = None
    ) -> None:
        super().__init__(Kind.SINK, message, transient=transient)
        self.retry_after_s = retry_after_s


class Damaged(SinkError):
    """What lies at the key is there, and is no whole object any more."""

    def __init__(self, message: str) -> None:
        super().__init__(message, transient=False)


class Fenced(SinkError):
    """The sink changes nothing more: another run may have the destination. The run ends."""

    def __init__(self, message: str) -> None:
        super().__init__(message, transient=False)
        self.kind = Kind.INTERRUPTED


def status_of(error: BaseException | None) -> int:
    """The exit status of a run that ended with `error`, 0 for None."""
    match error:
        case None:
            return 0
        case DestinationError():
            return EXIT_FAILED if isinstance(error, ReaderLeft) else EXIT_DESTINATION
        case Held():
            return EXIT_HELD
        case UsageError():
            return EXIT_USAGE
        case KeyboardInterrupt():
            return EXIT_INTERRUPTED
        case _:
            return EXIT_FAILED
