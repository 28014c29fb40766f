"""Every error of ours, and the kinds a failed target can have.

    ScraperError
    ├── UsageError            a wrong option or combination        (exit 2)
    │   └── ListError         a list that can't be opened          (exit 2)
    ├── DestinationError      the sink can't be used at all        (exit 3)
    ├── Held                  another run has the destination      (exit 75)
    └── TransferError         one attempt at one target failed
        ├── BadTarget         a line that is no target
        └── SinkError         the sink refused one object

Owns: the names. Refuses to know: what is retried (`retry.py`), how an error is
printed (`log.py`), which foreign exception becomes which of these (the seams:
`engines/`, `sinks/`). Rejected: one exception class per kind; nobody catches
them apart, and the kind travels on in the manifest as a word.
"""

from enum import StrEnum


class Kind(StrEnum):
    """Why a target failed: the `error.kind` of the manifest, word for word."""

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
    INTERRUPTED = "interrupted"


class ScraperError(Exception):
    """The root: catch this to catch everything the package raises on purpose."""


class UsageError(ScraperError):
    """A wrong option, value or combination; the message is one line."""


class ListError(UsageError):
    """A list of URLs that can't be opened or fetched; the message names it."""


class DestinationError(ScraperError):
    """The destination can't be used, or stopped taking objects, for any target."""


class Held(ScraperError):
    """Another run holds the destination, or has taken it over."""


class TransferError(ScraperError):
    """One attempt failed.

    `unreachable` says that no connection to the host could be made; `transient`
    that the seam which saw the error knows it may pass (None: the kind alone decides).
    """

    def __init__(
        self,
        kind: Kind,
        message: str,
        *,
        transient: bool | None = None,
        unreachable: bool = False,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.transient = transient
        self.unreachable = unreachable


class BadTarget(TransferError):
    """A line of the list that names no target; the message is the reason."""

    def __init__(self, message: str) -> None:
        super().__init__(Kind.BAD_URL, message, transient=False)


class SinkError(TransferError):
    """The sink refused one object; `transient` when another attempt may do."""

    def __init__(self, message: str, *, transient: bool) -> None:
        super().__init__(Kind.SINK, message, transient=transient)
