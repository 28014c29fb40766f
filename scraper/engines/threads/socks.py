"""Connections through a SOCKS proxy, by PySocks, with failures told as what they are.

Owns: that, for SOCKS 4, 4a, 5 and 5h. Does not know: what is sent. With `socks4` and `socks5` the
name is looked up here, with `socks4a` and `socks5h` by the proxy, as in curl. Rejected: urllib3's
own classes for it, which make one kind of error of all that a proxy says.
"""

import re
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from scraper.engines import guard, proxy_errors
from scraper.engines.proxies import looks_up
from scraper.engines.threads.errors import mapped
from scraper.model.errors import Kind, TransferError
from scraper.model.happy_eyeballs import Address, Options

_CODE = re.compile(r"0x([0-9a-f]{2}): ", re.IGNORECASE)


def options_of(proxy: str) -> Mapping[str, str | None]:
    """What `connect` wants to know of the proxy's URL."""
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(proxy)
    name = parts.netloc.rpartition("@")[2]
    user, password = (one and unquote(one) for one in (parts.username, parts.password))
    return {"scheme": parts.scheme, "name": name, "user": user, "password": password}


def connect(  # noqa: PLR0913, PLR0917 - facts of one connection
    proxy: Mapping[str, str | None],
    host: str,
    port: int,
    timeout_s: float | None,
    options: Options,
    addresses: Callable[[str, int], list[Address]],
    guarded: str = "",
) -> tuple[socket.socket, str]:
    """A connection to the host through the proxy, and what the proxy was asked for.

    Where names are looked up here, the next address is tried when the proxy does not reach one. If
    it is `guarded`, only public ones are. `addresses` are those of the host and of the proxy.
    Raises TransferError.
    """
    host = host.strip("[]")
    until = None if timeout_s is None else time.monotonic() + timeout_s
    errors: list[TransferError] = []
    for one in _asked_for(str(proxy["scheme"]), host, port, addresses, guarded):
        left = None if until is None else until - time.monotonic()
        if errors and left is not None and left <= 0:
            break
        try:
            return _connected(proxy, one, port, left, options, addresses), one
        except (OSError, UnicodeError) as error:
            errors.append(_mapped(str(proxy["name"]), error))
            if _reply_of(error) not in proxy_errors.OF_ADDRESS:
                raise errors[-1] from None
    raise proxy_errors.of_all(errors)


def _asked_for(
    scheme: str,
    host: str,
    port: int,
    addresses: Callable[[str, int], list[Address]],
    guarded: str,
) -> list[str]:
    """What the proxy is asked for: the host by its name, or each of its addresses."""
    if looks_up(f"{scheme}:"):
        return [host]
    found = guard.public(addresses(host, port), guarded)
    fit = [one for one in found if scheme == "socks5" or one[0] == socket.AF_INET]
    if not fit:
        raise TransferError(Kind.DNS, "no IPv4 address, for SOCKS 4", transient=False)
    return list(dict.fromkeys(str(one[1][0]) for one in fit))


def _connected(  # noqa: PLR0913, PLR0917 - facts of one connection
    proxy: Mapping[str, str | None],
    host: str,
    port: int,
    timeout_s: float | None,
    options: Options,
    addresses: Callable[[str, int], list[Address]],
) -> socket.socket:
    """Ask the proxy at the first of its addresses that accepts."""
    import socks

    until = None if timeout_s is None else time.monotonic() + timeout_s
    scheme, name = str(proxy["scheme"]), str(proxy["name"])
    proxy_host, _, proxy_port = name.rpartition(":")
    try:
        left = addresses(proxy_host.strip("[]"), int(proxy_port))
    except TransferError as error:
        raise proxy_errors.unreachable(name, error) from None
    while True:
        address = left.pop(0)[1][0]
        try:
            made: Any = socks.create_connection(
                (host, port),
                timeout=None if until is None else max(0.001, until - time.monotonic()),
                proxy_type=socks.SOCKS5 if scheme.startswith("socks5") else socks.SOCKS4,
                proxy_addr=address,
                proxy_port=int(proxy_port),
                proxy_rdns=True,
                proxy_username=proxy["user"],
                proxy_password=proxy["password"],
                socket_options=options,
            )
        except OSError as error:
            answered = isinstance(error, socks.ProxyError)
            if not left or (answered and not isinstance(error, socks.ProxyConnectionError)):
                raise
        else:
            return made  # type: ignore[no-any-return]


def _reply_of(error: Exception) -> int | None:
    """The code with which the proxy refused; None: it was something else."""
    import socks

    why = getattr(error, "socket_err", None) or error
    found = isinstance(why, socks.SOCKS5Error | socks.SOCKS4Error) and _CODE.match(str(why))
    return int(found[1], 16) if found else None


def _mapped(name: str, error: Exception) -> TransferError:
    """What PySocks raised."""
    import socks

    why = getattr(error, "socket_err", None)
    if isinstance(why, socks.ProxyError):  # each of them is an OSError, so PySocks wraps it
        error, why = why, None
    if isinstance(error, socks.ProxyConnectionError) or not isinstance(error, socks.ProxyError):
        if isinstance(why, TimeoutError):
            late = TransferError(Kind.TIMEOUT, "no connection within the time")
            return proxy_errors.unreachable(name, late)
        return proxy_errors.unreachable(name, mapped(why or error))
    if isinstance(why, TimeoutError):
        return TransferError(Kind.TIMEOUT, "no connection within the time", unreachable=True)
    if isinstance(error, socks.SOCKS5Error | socks.SOCKS4Error):
        return proxy_errors.socks(name, _reply_of(error), str(error))
    if isinstance(error, socks.SOCKS5AuthError):
        return proxy_errors.socks(name, None, proxy_errors.LOGIN)
    return proxy_errors.no_answer(name, proxy_errors.NO_SOCKS, transient=True)
