"""Redirects: the hop that an attempt is at, and the one that a response leads to.

Owns: which responses are redirects (RFC 9110 15.4), how many are followed, where they lead, and
whether the next hop may connect to public addresses only. Does not know: requests, bodies or
connections. Rejected: redirects followed by the HTTP client. requests reads the body of each one,
and nobody would look at the address or at robots.txt in between.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from scraper.model import urls
from scraper.model.addresses import is_public, may_be_public
from scraper.model.errors import BadTarget, Kind, TransferError
from scraper.transfer.exchange import Reply, as_sent

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SHOWN = 200  # characters of a Location in a message


class Hop(NamedTuple):
    """One request of an attempt: `url`, after so many `redirects`.

    `guarded` says why it may connect to public addresses only, "" if it may connect to any.
    """

    url: urls.Url
    redirects: int = 0
    guarded: str = ""


class Origin(NamedTuple):
    """Where a response came from: the hop, and what was sent.

    `started` is when the attempt began, in monotonic seconds; `fetched_at` in seconds since 1970.
    """

    hop: Hop
    headers: Mapping[str, str]
    started: float
    fetched_at: float


def is_redirect(reply: Reply) -> bool:
    """Whether `reply` leads elsewhere. Without a Location it is an ordinary response."""
    return reply.status in _REDIRECTS and reply.get("location") is not None


def follow(
    hop: Hop, reply: Reply, max_redirects: int, forbids: Callable[[str], str | None] | None = None
) -> Hop:
    """The hop that `reply`, the redirect that answered `hop`, leads to.

    `forbids` says why a URL may not be fetched, None if it may. Raises TransferError:
    `too_many_redirects` after `max_redirects`, `protocol` for a Location that is no http(s) URL,
    `robots` for a URL that is forbidden.
    """
    if hop.redirects >= max_redirects:
        message = f"more than {hop.redirects} redirects"
        raise TransferError(Kind.TOO_MANY_REDIRECTS, message, transient=False)
    location = as_sent(reply.all("location")[0])
    try:
        url = urls.join(hop.url, location)
    except BadTarget as error:
        shown = urls.redact_wreck(location)[:_SHOWN]
        message = f"redirect to {shown!r}: {error.message}"
        raise TransferError(Kind.PROTOCOL, message, transient=False) from None
    if forbids is not None and (reason := forbids(url.href)):
        message = f"{reason}: redirect to {urls.redact(url.href)[:_SHOWN]}"
        raise TransferError(Kind.ROBOTS, message, transient=False)
    return Hop(url, hop.redirects + 1, hop.guarded or _guard_after(hop.url, reply))


def _guard_after(url: urls.Url, reply: Reply) -> str:
    """Why the hop after `url` is guarded: a public server must not lead us into a private network.

    Behind a proxy nobody sees the server's address, so its name decides.
    """
    if reply.remote_ip is not None:
        return "redirected from a public address" if is_public(reply.remote_ip) else ""
    return "redirected through a proxy" if may_be_public(url.origin.hostname) else ""
