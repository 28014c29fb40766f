"""Addresses: each range of IANA's registries, and each way to write one address inside another."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scraper.model.addresses import is_public, may_be_public

# The registries of special-purpose addresses as of 2026, and multicast.
CLOSED = [
    *("0.0.0.0/8", "0.0.0.0/32", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
    *("172.16.0.0/12", "192.0.0.0/24", "192.0.0.0/29", "192.0.0.8/32", "192.0.0.170/31"),
    *("192.0.2.0/24", "192.88.99.0/24", "192.88.99.2/32", "192.168.0.0/16", "198.18.0.0/15"),
    *("198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4", "255.255.255.255/32", "224.0.0.0/4"),
    *("::1/128", "::/128", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23"),
    *("2001::/32", "2001:2::/48", "2001:10::/28", "2001:db8::/32", "3fff::/20", "5f00::/16"),
    *("fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8", "::/96"),
    # Reachable by the registry, but of protocols, not of websites: closed with what is around them.
    *("192.0.0.9/32", "192.0.0.10/32", "2001:1::1/128", "2001:1::2/128", "2001:1::3/128"),
    *("2001:3::/32", "2001:4:112::/48", "2001:20::/28", "2001:30::/28"),
    # Where clouds tell a machine its secrets.
    *("169.254.169.254/32", "100.100.100.200/32", "192.0.0.192/32", "168.63.129.16/32"),
    "fd00:ec2::254/128",
]
OPEN = [
    *("1.1.1.1", "8.8.8.8", "93.184.216.34", "192.31.196.1", "192.52.193.1", "192.175.48.1"),
    *("9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255"),
    *("128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0"),
    *("191.255.255.255", "192.0.1.0", "192.0.3.0", "192.88.98.255", "192.88.100.0"),
    *("192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "198.51.99.255"),
    *("198.51.101.0", "203.0.112.255", "203.0.114.0", "223.255.255.255", "1.0.0.0"),
    *("168.63.129.15", "168.63.129.17"),
    *("2606:2800:220:1::1", "2620:4f:8000::1", "2001:200::", "2001:4860:4860::8888", "2000::"),
    *("2001:db7:ffff::", "2001:db9::", "3ffe:ffff::", "3fff:1000::", "2003::1", "2a00::1"),
]
TEREDO = "2001:0:7f00:1::"


def as_ipv6(address: str, prefix: str, behind: int = 0) -> str:
    """IPv4 inside IPv6."""
    return str(IPv6Address(int(IPv6Address(prefix)) | int(IPv4Address(address)) << behind))


EMBEDDED = {
    "mapped": ("::ffff:0:0", 0),
    "NAT64": ("64:ff9b::", 0),
    "6to4": ("2002::", 80),
    "6to4 with a host": ("2002::5:6:7:8", 80),
}


@pytest.mark.parametrize("network", CLOSED)
def test_no_address_of_a_special_range_is_public(network: str) -> None:
    found = ip_network(network)
    middle = found.network_address + found.num_addresses // 2
    for address in (found.network_address, middle, found.broadcast_address):
        assert not is_public(str(address))


@pytest.mark.parametrize("address", OPEN)
def test_what_is_beside_the_special_ranges_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("form", EMBEDDED)
def test_an_address_inside_another_one_is_what_it_is_alone(form: str) -> None:
    for network in (IPv4Network(one) for one in CLOSED if ":" not in one):
        assert not is_public(as_ipv6(str(network.network_address), *EMBEDDED[form]))
        assert not is_public(as_ipv6(str(network.broadcast_address), *EMBEDDED[form]))
    for address in (one for one in OPEN if ":" not in one):
        assert is_public(as_ipv6(address, *EMBEDDED[form]))


@pytest.mark.parametrize(
    "address",
    [
        *("::127.0.0.1", "::8.8.8.8", "::ffff:0:127.0.0.1", "::ffff:0:8.8.8.8", TEREDO),
        *("64:ff9b:1::8.8.8.8", "64:ff9b:1:2:3::8.8.8.8", "64:ff9b:0:0:0:1:8.8.8.8", "4000::1"),
    ],
)
def test_forms_that_lead_nowhere_any_more_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["fe80::1%lo", "fe80::1%25", "::1%lo", "::ffff:10.0.0.1%eth0"])
def test_a_zone_makes_nothing_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("text", ["", "localhost", "127.1", "0x7f.0.0.1", "010.0.0.1", "[::1]"])
def test_what_is_no_address_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="does not appear"):
        is_public(text)


@pytest.mark.parametrize(
    ("host", "may"),
    [
        *(("localhost", False), ("localhost.", False), ("a.b.localhost", False)),
        *(("127.0.0.1", False), ("[::1]", False), ("[64:ff9b::a00:1]", False), ("10.0.0.1", False)),
        *(("8.8.8.8", True), ("[2606:2800:220:1::1]", True), ("example.com", True)),
        *(("localhost.example", True), ("notlocalhost", True), ("1.2.3.com", True), ("a1", True)),
    ],
)
def test_a_name_alone_says_little(host: str, may: bool) -> None:
    assert may_be_public(host) == may


@given(st.ip_addresses(v=4))
def test_the_standard_library_never_calls_private_what_is_public_here(address: IPv4Address) -> None:
    if address.is_private or address.is_multicast or address.is_reserved or address.is_link_local:
        assert not is_public(str(address))


@given(st.ip_addresses(v=6))
def test_nor_does_it_of_ipv6(address: IPv6Address) -> None:
    special = (address.is_private, address.is_multicast, address.is_reserved, address.is_site_local)
    resources = ("::ffff:0:0/96", "64:ff9b::/96", "2002::/16")
    if any(special) and not any(address in IPv6Network(one) for one in resources):
        assert not is_public(str(address))
