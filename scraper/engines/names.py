"""Names of hosts and the addresses that are meant by them, in every engine alike.

Owns: `--resolve`, `-4` and `-6`, and the question to the system. Does not know: which address is
connected to, and whether it may be (`guard.py`). The guard judges an address that the user gave as
any other. `--resolve` says where a name is, not that strangers may lead us there: with `*` each
name of a redirect would lead to it.

Rejected: the same for S3. boto3 and the puts look names up by themselves, and a run with another
endpoint has `--s3-endpoint`.
"""

import socket
from typing import Any

from scraper.model.errors import Kind, TransferError
from scraper.model.resolve import entries
from scraper.model.settings import Http

Address = tuple[socket.AddressFamily, Any]  # as a socket's `connect` takes it


class Names:
    """What hosts are called. From any thread."""

    def __init__(self, http: Http) -> None:
        self._given = entries(http.resolve)
        self.family = socket.AF_UNSPEC
        if http.ipv4 or http.ipv6:
            self.family = socket.AF_INET if http.ipv4 else socket.AF_INET6

    def given(self, host: str, port: int) -> tuple[str, ...]:
        """The addresses that the user gave for it; none if it is to be looked up."""
        if not self._given:
            return ()
        found = self._given.get((host.lower(), port))
        return self._given.get(("*", port), ()) if found is None else found

    def addresses(self, host: str, port: int) -> list[Address]:
        """Its addresses, in the order that the user, or else the system, prefers.

        Raises OSError and UnicodeError as `getaddrinfo` does, and TransferError if it has none of
        the family that is wanted.
        """
        found: list[Address] = []
        wanted = self.given(host, port) or (host.strip("[]"),)
        for one in wanted:
            try:
                answer = socket.getaddrinfo(one, port, self.family, socket.SOCK_STREAM)
            except socket.gaierror as error:
                if self.family == socket.AF_UNSPEC or error.errno not in _NO_ADDRESS:
                    raise
                continue
            found += dict.fromkeys((entry[0], entry[4]) for entry in answer)
        if not found:
            which = "IPv4" if self.family == socket.AF_INET else "IPv6"
            message = f"name look-up failed: no {which} address"
            raise TransferError(Kind.DNS, message, transient=False, unreachable=True)
        return found


_NO_ADDRESS = frozenset(
    getattr(socket, name)
    for name in ("EAI_ADDRFAMILY", "EAI_NODATA", "EAI_NONAME", "EAI_FAMILY")
    if hasattr(socket, name)
)
