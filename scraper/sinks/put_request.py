"""Puts that an engine may carry out: a commit that is one HTTP request.

A sink whose `commit` is one request with the whole body may hand that request out instead
(`PutUpload`). An engine that moves many requests at once then carries it beside its fetches: no
thread waits, and nothing is handed over. The sink judges how it ended. An engine that can't do so
calls `commit`, as always.

So engines know no store, and this room no engine. Owns: what the two say to each other. It is plain
data. Does not know: signatures, what an answer means, HTTP clients.

Rejected: an engine that offers sinks a client to call. The order of a put and of what follows it
would be the sink's, and it belongs to whoever holds the slot.
"""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from typing import NamedTuple, Protocol

from scraper.model.errors import DestinationError, SinkError
from scraper.sinks.base import Body, Upload


class Route(NamedTuple):
    """How the store is reached: the same for all puts of a sink.

    `proxy` is its URL, with userinfo if it needs any. `ca_file` (PEM) and `ca_directory` (as
    OpenSSL keeps it) say whom to trust.
    """

    proxy: str | None = None
    ca_file: str | None = None
    ca_directory: str | None = None
    connect_timeout_s: float = 10


class Answer(NamedTuple):
    """The store's answer. `lines` are those of all heads that came, a proxy's among them.

    `content` is the beginning of the body.
    """

    status: int
    lines: Sequence[bytes] = ()
    content: bytes = b""

    def headers(self) -> dict[str, str]:
        """The fields of the last head, with names in lower case."""
        found: dict[str, str] = {}
        for line in self.lines:
            if line.startswith(b"HTTP/"):
                found.clear()
            name, colon, value = line.decode("latin-1").partition(":")
            if colon:
                found[name.strip().lower()] = value.strip()
        return found


class Trouble(Enum):
    """Why there is no answer."""

    NO_CONNECTION = auto()
    NO_CONNECTION_IN_TIME = auto()
    NO_ANSWER_IN_TIME = auto()
    BROKEN = auto()  # the connection, after it stood


class NoAnswer(NamedTuple):
    """There is no answer. `why` is the client's own text."""

    trouble: Trouble
    why: str


def _always() -> bool:
    return True


class PutRequest(NamedTuple):
    """A request that stores an object. `timeout_s`: for all of it, its connection included.

    `headers` are all that the store must get, those of the signature among them, with names in
    lower case; the client adds Host and Content-Length. `judge` says why it failed, or None if the
    object is stored. It does not block. `may_be_sent` is asked when the connection stands; if it
    says no, that is NO_CONNECTION. It is asked again while a long body is sent; then no is BROKEN.
    """

    url: str
    headers: Mapping[str, str]
    data: bytes
    route: Route
    timeout_s: float
    judge: Callable[[Answer | NoAnswer], SinkError | DestinationError | None]
    may_be_sent: Callable[[], bool] = _always


class PutUpload(Upload, Protocol):
    """An upload whose commit may be one request that the engine carries out."""

    def put_request(self, body: Body) -> PutRequest | None:
        """The request that commits the body. It does not block. None: `commit` must do it.

        Once it has succeeded, the object is stored, and `abort` releases what is left here.
        Raises SinkError and DestinationError.
        """


def put_request_of(upload: Upload, body: Body) -> PutRequest | None:
    """What `put_request` of `upload` returns; None where there is no such method."""
    ask: Callable[[Body], PutRequest | None] | None = getattr(upload, "put_request", None)
    return None if ask is None else ask(body)
