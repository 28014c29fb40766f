"""Look-ups of names for the curl engine: the system's, on threads of their own.

Owns: asking once for all transfers that want the same name, how long an answer
holds, and what a look-up means that fails. Refuses to know: transfers,
and which address is then taken. Rejected: libcurl's resolver. It does not say whether
a failure may pass, gives a failed name's retries the same answer for half a minute
without asking, and may hold up all transfers while it waits for one that was given up.
"""

import functools
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from scraper.engines.worker_pool import WorkerPool
from scraper.model.errors import Kind, TransferError

HOLDS_S = 50.0  # less than the 60 s that libcurl keeps what it is given
_MOST = 10_000  # names remembered
_WORKERS = 32
_PORTS = {"http": 80, "https": 443}


@dataclass(slots=True)
class Found:
    """What is known of an origin. `entry` is `+host:port:address,...`, "" for an address itself.

    `error` says why there is none. Noted by who uses it: `given`, that libcurl has the entry;
    `scouted`, that a first connection is being made; `met`, that there is no need for that.
    """

    origin: str
    entry: str
    until: float
    error: TransferError | None = None
    given: bool = False
    scouted: bool = False
    met: bool = False


class Resolver:
    """Used by one thread; `tell` is called from others when `answers` has something."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._known: dict[str, Found] = {}
        self._asked: set[str] = set()
        self._answered: deque[Found] = deque()
        self._pool = WorkerPool("look-up", _WORKERS, daemon=True)

    def find(self, origin: str, now: float) -> Found | None:
        """What is known of `scheme://host:port`; None: it is being asked for."""
        found = self._known.get(origin)
        if found is not None and now < found.until:
            return found
        if origin not in self._asked:
            host, _ = _host_and_port(origin)
            if host.startswith("[") or host.rpartition(".")[2].isdigit():
                return self._keep(Found(origin, "", float("inf")))
            self._asked.add(origin)
            self._pool.do(functools.partial(self._look_up, origin))
        return None

    def answers(self) -> Iterator[Found]:
        """What was asked for and is known now, errors too."""
        while self._answered:
            found = self._answered.popleft()
            self._asked.discard(found.origin)
            yield found if found.error else self._keep(found)

    def close(self) -> None:
        """Wait for nobody."""
        self._pool.close()

    def _keep(self, found: Found) -> Found:
        if len(self._known) >= _MOST:
            self._known.clear()
        found.met = not found.origin.startswith("https:")
        self._known[found.origin] = found
        return found

    def _look_up(self, origin: str) -> None:
        self._answered.append(_looked_up(origin))
        self._tell()


def _looked_up(origin: str) -> Found:
    host, port = _host_and_port(origin)
    until = time.monotonic() + HOLDS_S
    try:
        answer = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return Found(origin, "", until, failure(error))
    addresses = dict.fromkeys(str(entry[4][0]) for entry in answer)
    shown = (f"[{one}]" if ":" in one else one for one in addresses)
    return Found(origin, f"+{host}:{port}:{','.join(shown)}", until)


def failure(error: OSError | UnicodeError) -> TransferError:
    """What `getaddrinfo` raised, as one of our kinds."""
    if isinstance(error, UnicodeError):
        message = f"no name to look up: {error}"
        return TransferError(Kind.DNS, message, transient=False, unreachable=True)
    again = error.args[0] in {socket.EAI_AGAIN, socket.EAI_SYSTEM}
    message = f"name look-up failed: {error.args[-1]}"
    return TransferError(Kind.DNS, message, transient=again, unreachable=True)


def _host_and_port(origin: str) -> tuple[str, int]:
    parts = urlsplit(origin)
    host = parts.netloc.rpartition("@")[2]
    if parts.port is None:
        return host, _PORTS[parts.scheme]
    return host.rpartition(":")[0], parts.port
