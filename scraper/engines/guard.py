"""The guard: some hops may connect to public addresses only, in every engine alike.

An engine checks each address where it connects, so that no second look-up can answer otherwise.
It checks again where it uses a connection that was kept. Names that are looked up here for a proxy
(of SOCKS 4 and 5) are judged alike: the proxy is asked for public addresses only. Other proxies
look names up and connect by themselves. So only what the URL shows is refused then: addresses, and
`localhost`.

Owns: what is refused, and the messages. Does not know: which hop is guarded (`transfer.py`),
connections. Rejected: checking names before the request. The owner of a name can change its
address at any time.
"""

from scraper.model.addresses import is_public, may_be_public
from scraper.model.errors import Kind, TransferError
from scraper.model.happy_eyeballs import Address
from scraper.model.urls import canonical


def check_address(address: str, why: str) -> None:
    """Raise TransferError unless `address`, an IP address, is public. `why`: `Request.guarded`."""
    if not is_public(address):
        raise blocked(address, why)


def check_proxied(url: str, why: str) -> None:
    """Raise TransferError if the canonical `url` itself names a host that is not public."""
    host = canonical(url).origin.hostname
    if not may_be_public(host):
        raise blocked(host.strip("[]"), why)


def public(addresses: list[Address], why: str) -> list[Address]:
    """The public ones of `addresses`, all of them if `why` is "". Raises TransferError for none."""
    found = [one for one in addresses if not why or is_public(str(one[1][0]))]
    if addresses and not found:
        raise blocked(str(addresses[0][1][0]), why)
    return found


def blocked(address: str, why: str) -> TransferError:
    """The failure when a guarded hop leads to `address`."""
    return TransferError(Kind.BLOCKED_ADDRESS, f"{why}: {address} is not public", transient=False)
