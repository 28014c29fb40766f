"""Failures that are a proxy's, in every engine alike.

A proxy that can't be reached says nothing of any host. What it answers to CONNECT instead of 200
is its own answer (RFC 9110 9.3.6), which is final or not by its code. A SOCKS proxy says in one
byte why there is no connection (RFC 1928 6): some of these bytes are about the proxy, others about
the host. A tunnel that is not there in time is the host's: the proxy is there, and still tries.

Owns: these readings, and their messages. Does not know: libraries, and what follows
(`schedule/proxies.py`). Plain http:// through a proxy is read in `transfer/refusal.py`.
"""

from collections.abc import Sequence

from scraper.model.errors import Kind, TransferError
from scraper.schedule import RETRIED_CODES

_OF_HOST = {  # RFC 1928 6
    3: "network unreachable",
    4: "host unreachable",
    5: "Connection refused",
    6: "TTL expired",
}
_OF_PROXY = {
    1: "general failure",
    2: "not allowed by its rules",
    7: "command not supported",
    8: "address type not supported",
}
_SOCKS4 = {91: "rejected or failed", 92: "it can't reach identd here", 93: "identd names another"}
_MAY_PASS = frozenset({1, 91})
# Another address of the host may do: out of reach, or not known to the proxy. SOCKS 4 has one
# reply for all failures.
OF_ADDRESS = frozenset({3, 4, 5, 8, 91})
LOGIN = "user name and password"
NO_SOCKS = "it does not answer as a SOCKS proxy"


def unreachable(name: str, error: TransferError) -> TransferError:
    """The failure when there is no connection to the proxy; `error`: as if it were a host."""
    message = f"the proxy {name}: {error.message}"
    return TransferError(Kind.PROXY, message, transient=_may_pass(error), proxy=name)


def refused(name: str, status: int, reason: str) -> TransferError:
    """The failure when the proxy answers CONNECT with another `status` than 200."""
    said = f"{status} {reason}".strip()
    message = f"the proxy {name} answered CONNECT with {said}"
    return TransferError(Kind.PROXY, message, transient=status in RETRIED_CODES)


def no_answer(name: str, why: str, *, transient: bool) -> TransferError:
    """The failure when the proxy does not answer as a proxy does."""
    return TransferError(Kind.PROXY, f"the proxy {name}: {why}", transient=transient)


def socks(name: str, code: int | None, why: str = "") -> TransferError:
    """The failure that the SOCKS proxy tells by `code`; None: its other refusals, told by `why`."""
    if code in _OF_HOST:
        message = f"can't connect: {_OF_HOST[code]} (says the proxy {name})"
        return TransferError(Kind.CONNECT, message, unreachable=True)
    if code is not None:
        why = _OF_PROXY.get(code) or _SOCKS4.get(code) or f"reply {code}"
    message = f"the proxy {name} refused: {why}"
    return TransferError(Kind.PROXY, message, transient=code in _MAY_PASS)


def of_all(errors: Sequence[TransferError]) -> TransferError:
    """The failure of a host none of whose addresses was reached: the last that is the host's."""
    return next((one for one in reversed(errors) if one.unreachable), errors[-1])


def _may_pass(error: TransferError) -> bool:
    return error.kind is not Kind.TLS if error.transient is None else error.transient
