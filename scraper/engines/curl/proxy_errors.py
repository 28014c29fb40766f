"""What ended a hop through a proxy before its request was sent, as libcurl tells it.

Owns: whether it was the proxy, and at which step. Does not know: what such a failure means
(`engines/proxy_errors.py`).
"""

import socket
from collections.abc import Sequence
from typing import Any

import pycurl

from scraper.engines import proxy_errors
from scraper.engines.curl.errors import NO_CONNECTION, PROXY_HANDSHAKE, Moment, mapped, timed_out
from scraper.engines.curl.socks_addresses import SocksAddresses
from scraper.engines.proxies import is_socks, looks_up
from scraper.engines.resolver import Resolved
from scraper.model.errors import TransferError

# CURLINFO_PROXY_ERROR (curl.se/libcurl/c/CURLINFO_PROXY_ERROR.html), and the replies of SOCKS 5
# (RFC 1928 6) and SOCKS 4 that they stand for.
_REPLIES = {17: 8, 18: 7, 19: 5, 20: 1, 21: 4, 22: 3, 23: 2, 24: 6, 26: 91, 7: 92, 8: 93}
_LOGIN = frozenset({12, 33})  # NO_AUTH, USER_REJECTED


class ProxiedHop:
    """A hop through `proxy`, which carries `secure` ones in tunnels. `easy` has carried it.

    `addresses`: of the host, for a proxy that does not look names up; else None.
    """

    def __init__(self, proxy: str, *, secure: bool) -> None:
        self.name = proxy.rpartition("://")[2].rpartition("@")[2]
        self.is_socks = is_socks(proxy)
        self.addresses = None
        if not looks_up(proxy):
            self.addresses = SocksAddresses(ipv4=proxy.startswith("socks4:"))
        self._tunnels = secure or self.is_socks
        self._by_tls = proxy.startswith("https:")
        self._sockets: list[tuple[int, Any]] = []  # that libcurl connects, and to which address

    def opened(self, fd: int, address: Any) -> None:
        """Note a socket that libcurl connects to the proxy: its CONNECT_TIME is set too late."""
        self._sockets.append((fd, address))

    def why_late(self, moment: Moment) -> TransferError:
        """The failure when there is no connection in time."""
        late = timed_out(moment)
        if moment is not Moment.CONNECTING or any(_is_connected(*one) for one in self._sockets):
            return late
        return proxy_errors.unreachable(self.name, late)

    def why_ended(
        self,
        easy: Any,
        code: int,
        message: str,
        number: int,
        lines: Sequence[bytes],
    ) -> TransferError | None:
        """The failure when no request was sent. None: it is the host's, as without a proxy.

        `lines`: what came of an answer to CONNECT. `number`: the system's errno, or 0.
        """
        if self.is_socks:
            return self._of_socks(easy, code, message, number)
        answered = easy.getinfo(pycurl.HTTP_CONNECTCODE)
        if answered >= 300:
            return proxy_errors.refused(self.name, answered, _reason(lines))
        if answered >= 200 or _status_line(lines).startswith("2"):
            return None
        if code in NO_CONNECTION or not self._tunnels or (self._by_tls and not _is_closed(code)):
            return proxy_errors.unreachable(
                self.name, mapped(code, message, number, Moment.CONNECTING)
            )
        if lines and not lines[0].startswith(b"HTTP/"):
            return proxy_errors.no_answer(self.name, "its answer is not HTTP", transient=False)
        return proxy_errors.no_answer(self.name, CLOSED, transient=_is_closed(code))

    def next_address(self, easy: Any, code: int) -> Resolved | None:
        """The host whose next address is to be asked for, None if there is none."""
        if self.addresses is None or code != PROXY_HANDSHAKE:
            return None
        reply = _REPLIES.get(easy.getinfo(pycurl.PROXY_ERROR))
        return None if reply is None else self.addresses.next_after(self.name, reply)

    def _of_socks(self, easy: Any, code: int, message: str, number: int) -> TransferError | None:
        if code != PROXY_HANDSHAKE:
            if code not in NO_CONNECTION:
                return None
            found = mapped(code, message, number, Moment.CONNECTING)
            return proxy_errors.unreachable(self.name, found)
        why = easy.getinfo(pycurl.PROXY_ERROR)
        if why in _LOGIN:
            return proxy_errors.socks(self.name, None, proxy_errors.LOGIN)
        if why in _REPLIES:
            told = proxy_errors.socks if self.addresses is None else self.addresses.why
            return told(self.name, _REPLIES[why])
        return proxy_errors.no_answer(self.name, proxy_errors.NO_SOCKS, transient=True)


CLOSED = "connection was closed before an answer to CONNECT"


def _is_closed(code: int) -> bool:
    return code in {pycurl.E_GOT_NOTHING, pycurl.E_RECV_ERROR, pycurl.E_SEND_ERROR}


def _is_connected(fd: int, address: Any) -> bool:
    """Whether `fd` is connected to `address`; it may be another socket's by now."""
    try:
        sock = socket.socket(fileno=fd)
    except OSError:
        return False
    try:
        return bool(sock.getpeername()[:2] == address[:2])
    except OSError:
        return False
    finally:
        sock.detach()


def _reason(lines: Sequence[bytes]) -> str:
    """The reason phrase of the last status line."""
    return _status_line(lines).partition(" ")[2]


def _status_line(lines: Sequence[bytes]) -> str:
    """Status and reason of the last status line, "" if there is none."""
    for line in reversed(lines):
        if line.startswith(b"HTTP/"):
            return line.decode("latin-1").strip().partition(" ")[2]
    return ""
