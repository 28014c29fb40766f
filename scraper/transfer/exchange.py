"""What an engine and a transfer exchange: requests, heads of responses, what follows.

Owns: these types, and how the length of a body is read from its head. Does not know: engines
or transfers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum, auto
from functools import lru_cache
from typing import NamedTuple

from scraper.model.errors import Kind, TransferError
from scraper.transfer.repeated import combined

OWS = " \t\r\n"  # around a value (RFC 9110 5.6.3); line breaks if it was folded


_NO_NAMES: Mapping[str, str] = {}


@lru_cache(1024)
def _usual_name(name: str) -> str:
    return "-".join(map(str.capitalize, name.split("-")))


class Next(Enum):
    """What an engine does after it reported a response."""

    READ = auto()  # push the body, then call `finish`, which says what follows
    HOP = auto()  # drop the body and carry out `request` again
    STOP = auto()  # drop the body: the transfer has ended


class Request(NamedTuple):
    """One hop; `headers` have names in lower case. `origin` is that of `url`.

    `names` are the names that the user wrote, by the same in lower case; see `fields`.

    `guarded` says why it may connect to public addresses only, "" if it may connect to any.
    `fresh`: over a new connection, since the request failed over a kept one.
    """

    url: str
    headers: Mapping[str, str]
    origin: str
    guarded: str = ""
    fresh: bool = False
    names: Mapping[str, str] = _NO_NAMES

    def fields(self) -> Iterator[tuple[str, str]]:
        """The headers as they go out over HTTP/1.1: named as the user wrote it, or as usual.

        Case means nothing (RFC 9110 5.1), but some servers know one spelling only.
        """
        written = self.names.get
        for name, value in self.headers.items():
            yield written(name) or _usual_name(name), value


class RawHead(NamedTuple):
    """A head as it came, for an archive: its lines with their line ends, and the protocol of TLS.

    Its name is OpenSSL's (`TLSv1.3`), None without TLS.
    """

    lines: Sequence[bytes]
    tls: str | None = None


class Reply:
    """The head of a response; `headers` have names in lower case, in the order of arrival.

    `get(name)` is the value of the header `name` (lower case), None if absent; of several what
    `repeated.py` makes of them. It is asked ten times for each response, so it is the dict's own.
    `remote_ip` is the server's address, None behind a proxy. `proxied`: a proxy of ours may have
    made or changed this head, since it came by plain HTTP through it. `time_connect` is seconds,
    0.0 on a reused connection, None if unknown. `raw` is told to transfers that want it.
    """

    __slots__ = ("_headers", "get", "proxied", "raw", "remote_ip", "status", "time_connect")

    def __init__(
        self,
        status: int,
        headers: Sequence[tuple[str, str]],
        remote_ip: str | None = None,
        time_connect: float | None = None,
        *,
        proxied: bool = False,
    ) -> None:
        self.status = status
        self.raw: RawHead | None = None
        self.proxied = proxied
        self.remote_ip = remote_ip
        self.time_connect = time_connect
        self._headers = headers
        values = dict(headers)
        if len(values) < len(headers):
            for name in list(values):
                if len(every := self.all(name)) > 1:
                    one = combined(name, every)
                    if one is None:
                        del values[name]
                    else:
                        values[name] = one
        self.get: Callable[[str], str | None] = values.get

    def all(self, name: str) -> list[str]:
        """Every value of the header `name` (lower case)."""
        return [value for one, value in self._headers if one == name]


def content_length(reply: Reply) -> int | None:
    """The bytes of the body on the wire; None if it is chunked or does not say (RFC 9112 6.3).

    Raises TransferError of kind `protocol` for a value that is no length, for two that differ,
    and for a transfer coding that we did not ask for.
    """
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
    """A header's value as its sender meant it: HTTP clients read Latin-1, servers send UTF-8."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value
