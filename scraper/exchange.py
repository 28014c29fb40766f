"""What an engine and a transfer say to each other: requests, heads of responses, what follows.

Owns: those words, and reading what a head says of its body. Refuses to know:
who says them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from scraper.errors import Kind, TransferError


class Next(Enum):
    """What an engine does after it reported a response."""

    READ = auto()  # push the body, then `finish`, which says what follows
    HOP = auto()  # drop the body, carry out `request` again
    STOP = auto()  # drop the body; the transfer has ended


@dataclass(frozen=True, slots=True)
class Request:
    """One hop. `guarded`: it may connect to global addresses only."""

    url: str
    headers: Mapping[str, str]
    guarded: bool


@dataclass(frozen=True, slots=True)
class Reply:
    """A response's head. `headers` as they came; `time_connect` 0.0 on a reused connection."""

    status: int
    headers: Sequence[tuple[str, str]]
    remote_ip: str | None = None
    time_connect: float | None = None

    def all(self, name: str) -> list[str]:
        """Every value of the header `name` (lower case)."""
        return [value for key, value in self.headers if key.lower() == name]

    def get(self, name: str) -> str | None:
        """The values of the header `name` (lower case) as one (RFC 9110 5.3), None without."""
        values = self.all(name)
        return ", ".join(values) if values else None


def content_length(reply: Reply) -> int | None:
    """The body's length on the wire; None if chunked or unsaid (RFC 9112 6.3).

    Raises TransferError of kind `protocol` for a value that is no length, or for two,
    and for a transfer coding that we did not ask for.
    """
    if reply.status == 204:
        return 0
    codings = [value.lower() for value in reply.all("transfer-encoding")]
    if codings == ["chunked"]:
        return None
    if codings not in ([], ["identity"]):
        message = f"Transfer-Encoding {', '.join(codings)!r} was not asked for"
        raise TransferError(Kind.PROTOCOL, message, transient=False)
    values = {part.strip() for value in reply.all("content-length") for part in value.split(",")}
    if not values:
        return None
    value = values.pop()
    if values or not (value.isascii() and value.isdigit()) or len(value) > 18:
        message = f"Content-Length {reply.get('content-length')!r} is no length"
        raise TransferError(Kind.PROTOCOL, message, transient=False)
    return int(value)


def as_sent(value: str) -> str:
    """A header's value as its sender meant it: UTF-8, though HTTP says Latin-1."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value
