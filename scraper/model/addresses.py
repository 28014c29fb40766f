"""Addresses: which of them are on the public Internet, judged by the number alone.

An address is public if IANA's registries call it globally reachable (RFC 6890, RFC 8190). An
IPv6 address must also lie in the space that IANA has given out. An address that contains an IPv4
address is judged by that one: `::ffff:127.0.0.1` (mapped), `64:ff9b::7f00:1` (NAT64) and
`2002:7f00:1::` (6to4) lead to loopback. An address in doubt is not public: 192.0.0.0/24 and
2001::/23 are closed as a whole, although a few protocols have reachable addresses there.

The number can't tell two things: a prefix that a network chose for its own NAT64 (RFC 6052 2.2),
and public addresses that a network uses internally.

Owns: these ranges. Does not know: look-ups, and what is done about an address.
Rejected: `ipaddress.is_global`. Its answers changed within 3.11, 3.12 and 3.13. It says yes to
192.88.99.1 and `::127.0.0.1`, and it does not look at the target of NAT64 and 6to4.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address

# https://www.iana.org/assignments/iana-ipv4-special-registry
_CLOSED_4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # behind a carrier's NAT
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local; clouds hand out credentials there
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # former relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",
        # A public number that leads to the host of a virtual machine in Azure:
        # https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
        "168.63.129.16/32",
    )
)

# https://www.iana.org/assignments/ipv6-address-space: only this space is given out.
_UNICAST = IPv6Network("2000::/3")
# https://www.iana.org/assignments/iana-ipv6-special-registry
_CLOSED_6 = (
    IPv6Network("2001::/23"),  # protocols: Teredo, benchmarks, identifiers that are no addresses
    IPv6Network("2001:db8::/32"),
    IPv6Network("3fff::/20"),
)
# Networks whose addresses contain an IPv4 address, and the number of bits behind it.
_CONTAINS_IPV4 = (
    (IPv6Network("::ffff:0:0/96"), 0),  # mapped (RFC 4291 2.5.5.2)
    (IPv6Network("64:ff9b::/96"), 0),  # NAT64 (RFC 6052 2.1)
    (IPv6Network("2002::/16"), 80),  # 6to4 (RFC 3056 2)
)


@lru_cache(4096)
def is_public(address: str) -> bool:
    """Whether `address` (IPv4 or IPv6, with or without a zone) is on the public Internet.

    Raises ValueError unless it is an address.
    """
    parsed = ip_address(address)
    if not isinstance(parsed, IPv4Address):
        for network, behind in _CONTAINS_IPV4:
            if parsed in network:
                return _is_public_4(IPv4Address(int(parsed) >> behind & 0xFFFF_FFFF))
        return parsed in _UNICAST and not any(parsed in network for network in _CLOSED_6)
    return _is_public_4(parsed)


def may_be_public(hostname: str) -> bool:
    """Whether the host of a canonical URL may be public. A name needs a look-up to be sure."""
    if hostname.rstrip(".").rpartition(".")[2] == "localhost":  # RFC 6761 6.3
        return False
    # The URL standard writes every address in one of these two forms.
    literal = hostname.startswith("[") or hostname.rpartition(".")[2].isdigit()
    return not literal or is_public(hostname.strip("[]"))


def _is_public_4(address: IPv4Address) -> bool:
    return not any(address in network for network in _CLOSED_4)
