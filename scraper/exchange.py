"""What an engine and a transfer say to each other: requests, heads of responses, what follows.

Owns: those words, and reading what a head says of its body. Refuses to know:
who says them.
"""

from collections.abc import Iterable, Mapping
from enum import Enum, auto
from typing import NamedTuple

from scraper.errors import Kind, TransferError

OWS = " \t\r\n"  # around a value (RFC 9110 5.6.3), line breaks where it was folded


class Next(Enum):
    """What an engine does after it reported a response."""

    READ = auto()  # push the body, then `finish`, which says what follows
    HOP = auto()  # drop the body, carry out `request` again
    STOP = auto()  # drop the body; the transfer has ended


class Request(NamedTuple):
    """One hop. `guarded`: it may connect to global addresses only."""

    url: str
    headers: Mapping[str, str]
    guarded: bool


class Reply:
    """A response's head. `headers` as they came; `time_connect` 0.0 on a reused connection."""

    __slots__ = ("_values", "remote_ip", "status", "time_connect")

    def __init__(
        self,
        status: int,
        headers: Iterable[tuple[str, str]],
        remote_ip: str | None = None,
        time_connect: float | None = None,
    ) -> None:
        self.status = status
        self.remote_ip = remote_ip
        self.time_connect = time_connect
        self._values: dict[str, list[str]] = {}
        for name, value in headers:
            self._values.setdefault(name.lower(), []).append(value)

    def all(self, name: str) -> list[str]:
        """Every value of the header `name` (lower case)."""
        return self._values.get(name, [])

    def get(self, name: str) -> str | None:
        """The values of the header `name` (lower case) as one (RFC 9110 5.3), None without."""
        values = self._values.get(name)
        if values is None:
            return None
        return values[0] if len(values) == 1 else ", ".join(values)


def content_length(reply: Reply) -> int | None:
    """The body's length on the wire; None if chunked or unsaid (RFC 9112 6.3).

    Raises TransferError of kind `protocol` for a value that is no length, or for two,
    and for a transfer coding that we did not ask for.
    """
    if reply.status == 204:
        return 0
    codings = [value.strip(OWS).lower() for value in reply.all("transfer-encoding")]
    if codings == ["chunked"]:
        return None
    if codings and codings != ["identity"]:
        message = f"Transfer-Encoding {', '.join(codings)!r} was not asked for"
        raise TransferError(Kind.PROTOCOL, message, transient=False)
    said = reply.get("content-length")
    if said is None:
        return None
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
