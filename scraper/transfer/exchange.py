"""What an engine and a transfer say to each other: requests, heads of responses, what follows.

Owns: those words, and reading what a head says of its body. Refuses to know:
who says them.
"""

from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import NamedTuple

from scraper.model.errors import Kind, TransferError

OWS = " \t\r\n"  # around a value (RFC 9110 5.6.3), line breaks where it was folded


class Next(Enum):
    """What an engine does after it reported a response."""

    READ = auto()  # push the body, then `finish`, which says what follows
    HOP = auto()  # drop the body, carry out `request` again
    STOP = auto()  # drop the body; the transfer has ended


class Request(NamedTuple):
    """One hop. `guarded` says why it may connect to public addresses only, if that is so."""

    url: str
    headers: Mapping[str, str]
    guarded: str = ""


class Reply:
    """A response's head: `headers` with names in lower case, in the order in which they came.

    `time_connect` is 0.0 on a reused connection.
    """

    __slots__ = ("_headers", "_values", "remote_ip", "status", "time_connect")

    def __init__(
        self,
        status: int,
        headers: Sequence[tuple[str, str]],
        remote_ip: str | None = None,
        time_connect: float | None = None,
    ) -> None:
        self.status = status
        self.remote_ip = remote_ip
        self.time_connect = time_connect
        self._headers = headers
        self._values = dict(headers)
        if len(self._values) < len(headers):
            for name in self._values:
                self._values[name] = ", ".join(self.all(name))

    def all(self, name: str) -> list[str]:
        """Every value of the header `name` (lower case)."""
        return [value for one, value in self._headers if one == name]

    def get(self, name: str) -> str | None:
        """The values of the header `name` (lower case) as one (RFC 9110 5.3), None without."""
        return self._values.get(name)


def content_length(reply: Reply) -> int | None:
    """The body's length on the wire; None if chunked or unsaid (RFC 9112 6.3).

    Raises TransferError of kind `protocol` for a value that is no length, or for two,
    and for a transfer coding that we did not ask for.
    """
    if reply.status == 204:
        return 0
    coding = reply.get("transfer-encoding")
    if coding is not None:
        coding = coding.strip(OWS).lower()
        if coding == "chunked":
            return None
        if coding != "identity":
            message = f"Transfer-Encoding {coding!r} was not asked for"
            raise TransferError(Kind.PROTOCOL, message, transient=False)
    said = reply.get("content-length")
    if said is None:
        return None
    if said.isascii() and said.isdigit() and len(said) <= 18:
        return int(said)
    values = {part.strip(OWS) for part in said.split(",")}
    value = values.pop()
    if values or not (value.isascii() and value.isdigit()) or len(value) > 18:
        message = f"Content-Length {said!r} is no length"
        raise TransferError(Kind.PROTOCOL, message, transient=False)
    return int(value)


def as_sent(value: str) -> str:
    """A header's value as its sender meant it: UTF-8, though HTTP says Latin-1."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value
