"""The resolver of the curl engine: it asks the system for addresses, on threads of its own.

Owns: one look-up for all transfers that want the same name, how long an answer holds, and what
a failed look-up means. Does not know: transfers, and which of the addresses is taken.

Rejected: libcurl's resolver. It does not say whether a failure may pass. It answers the retries
of a failed name for half a minute without asking. It may hold up all transfers while it waits
for a look-up that was given up.
"""

import functools
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from scraper.engines.names import Names
from scraper.engines.worker_pool import WorkerPool
from scraper.model.errors import Kind, TransferError

HOLDS_S = 50.0  # less than the 60 s that libcurl keeps what it is given
_MOST = 10_000  # origins remembered
_WORKERS = 32
_PORTS = {"http": 80, "https": 443}


@dataclass(slots=True)
class Resolved:
    """The addresses of an origin, good until `expires` (monotonic seconds), or why it has none.

    `addresses` are in the order in which to try them. `entry` is `+host:port:address,...` as
    libcurl's RESOLVE wants it, "" where the host is an address. `server` is `host:port`.
    `in_libcurl` is for the user of the resolver: libcurl has the entry.
    """

    origin: str
    server: str
    entry: str
    expires: float
    error: TransferError | None = None
    in_libcurl: bool = False
    addresses: tuple[str, ...] = ()

    def put_last(self, address: str) -> None:
        """Let others be tried before `address`, which was not reached."""
        self.addresses = (*(one for one in self.addresses if one != address), address)


class Resolver:
    """Used by one thread. `tell` is called from others when `answers` has something."""

    def __init__(self, tell: Callable[[], None], names: Names) -> None:
        self._tell = tell
        self._names = names
        self._known: dict[str, Resolved] = {}
        self._asked: set[str] = set()
        self._answered: deque[Resolved] = deque()
        self._pool = WorkerPool("look-up", _WORKERS)

    def find(self, origin: str, now: float) -> Resolved | None:
        """What is known of `scheme://host:port`; None: it is being looked up."""
        resolved = self._known.get(origin)
        if resolved is not None and now < resolved.expires:
            return resolved
        if origin not in self._asked:
            host, port = host_and_port(origin)
            is_address = host.startswith("[") or host.rpartition(".")[2].isdigit()
            if self._names.given(host, port) or (is_address and self._names.family):
                return self._keep(_looked_up(origin, self._names))  # it takes no time
            if is_address:
                its = (host.strip("[]"),)
                known = Resolved(origin, f"{host}:{port}", "", float("inf"), addresses=its)
                return self._keep(known)
            self._asked.add(origin)
            self._pool.do(functools.partial(self._look_up, origin))
        return None

    def forget(self, origin: str) -> None:
        """Look `origin` up again when it is asked for next: its addresses may have changed."""
        self._known.pop(origin, None)

    def answers(self) -> Iterator[Resolved]:
        """Look-ups that have ended, failed ones too."""
        while self._answered:
            resolved = self._answered.popleft()
            self._asked.discard(resolved.origin)
            yield resolved if resolved.error else self._keep(resolved)

    def close(self) -> None:
        """Begin no more look-ups. Wait for none."""
        self._pool.close()

    def _keep(self, resolved: Resolved) -> Resolved:
        if len(self._known) >= _MOST:
            del self._known[next(iter(self._known))]  # the oldest
        self._known[resolved.origin] = resolved
        return resolved

    def _look_up(self, origin: str) -> None:
        self._answered.append(_looked_up(origin, self._names))
        self._tell()


def _looked_up(origin: str, names: Names) -> Resolved:
    host, port = host_and_port(origin)
    server, expires = f"{host}:{port}", time.monotonic() + HOLDS_S
    try:
        found = names.addresses(host, port)
    except TransferError as error:
        return Resolved(origin, server, "", expires, error)
    except (OSError, UnicodeError) as error:
        return Resolved(origin, server, "", expires, failure(error))
    addresses = tuple(dict.fromkeys(str(address[0]) for _, address in found))
    entry = f"+{server}:{','.join(map(bracketed, addresses))}"
    return Resolved(origin, server, entry, expires, addresses=addresses)


def bracketed(address: str) -> str:
    """The address as it stands in a URL."""
    return f"[{address}]" if ":" in address else address


def failure(error: OSError | UnicodeError) -> TransferError:
    """What `getaddrinfo` raised, as one of our kinds."""
    if isinstance(error, UnicodeError):
        message = f"no name to look up: {error}"
        return TransferError(Kind.DNS, message, transient=False, unreachable=True)
    again = error.args[0] in {socket.EAI_AGAIN, socket.EAI_SYSTEM}
    message = f"name look-up failed: {error.args[-1]}"
    return TransferError(Kind.DNS, message, transient=again, unreachable=True)


def host_and_port(origin: str) -> tuple[str, int]:
    """The two of a URL's origin, the port of its scheme if it has none."""
    parts = urlsplit(origin)
    host = parts.netloc.rpartition("@")[2]
    if parts.port is None:
        return host, _PORTS[parts.scheme]
    return host.rpartition(":")[0], parts.port
