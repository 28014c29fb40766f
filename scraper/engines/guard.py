"""The guard: hops that may lead to public addresses only, for every engine alike.

An engine checks each address where it connects, so that no look-up in between can answer
otherwise, and again where it uses a connection that was kept. Owns: what is refused,
and the words for it. Refuses to know: which hop is guarded (`transfer.py`), connections.
Rejected: checking names before the request; whoever owns a name changes what it means.

Through a proxy it is the proxy that looks names up and connects. What can be known is
refused: addresses in URLs, and `localhost`.
"""

from scraper.model.addresses import is_public, may_be_public
from scraper.model.errors import Kind, TransferError
from scraper.model.urls import canonical


def check_address(address: str, why: str) -> None:
    """Raise TransferError unless `address`, an IP address, is public. `why`: `Request.guarded`."""
    if not is_public(address):
        raise blocked(address, why)


def check_proxied(url: str, why: str) -> None:
    """Raise TransferError if the canonical `url` by itself leads to what is not public."""
    host = canonical(url).origin.hostname
    if not may_be_public(host):
        raise blocked(host.strip("[]"), why)


def blocked(address: str, why: str) -> TransferError:
    """What it is when a guarded hop leads to `address`."""
    return TransferError(Kind.BLOCKED_ADDRESS, f"{why}: {address} is not public", transient=False)
