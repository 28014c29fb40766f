"""Whether a server asks for a client certificate, as OpenSSL tells of its handshake.

A server that wants a certificate and gets none should say so by an alert. Some only close the
connection, or their reset overtakes the alert, and nothing tells their failure from any other. So
where no connection to an origin has brought an answer yet, and one was closed, one more handshake
is made and watched. Nothing is asked over it.

Owns: that handshake. Does not know: what follows. Rejected: to watch each first connection, which
is one for each host of a run: OpenSSL would call Python for each of its messages.
"""

import contextlib
import threading
from typing import Any

from urllib3.connectionpool import HTTPSConnectionPool

from scraper.engines.threads.connections import InUse
from scraper.engines.tls_context import make_context
from scraper.model.settings import Http

_ASKS = 13  # CertificateRequest (RFC 8446 4.3.2, RFC 5246 7.4.4)


class _Seen(threading.local):
    asked = False


class Handshakes:
    """Looks at handshakes of a run, from any worker's thread."""

    def __init__(self, http: Http) -> None:
        self._http = http
        self._making = threading.Lock()
        self._context: Any = None
        self._seen = _Seen()

    def ask_for_certificate(self, in_use: InUse, timeout_s: float) -> bool:
        """Whether the origin does, which closed the connection that `in_use` had."""
        pool = in_use.pool
        if not isinstance(pool, HTTPSConnectionPool):
            return False
        if pool.asks is None:  # type: ignore[attr-defined] # it is one of ours
            asks = self._look(pool, in_use, timeout_s)
            if in_use.is_broken:
                return False
            pool.asks = asks  # type: ignore[attr-defined]
        return bool(pool.asks)  # type: ignore[attr-defined]

    def _look(self, pool: Any, in_use: InUse, timeout_s: float) -> bool:
        self._seen.asked = False
        connection = pool._new_conn()  # noqa: SLF001 - as the pool itself connects
        connection.ssl_context = self._watched()
        connection.timeout = timeout_s
        in_use.connection, connection.in_use = connection, in_use
        with contextlib.suppress(Exception):  # TLS 1.2 ends within the handshake
            if pool.proxy is not None:
                pool._prepare_proxy(connection)  # noqa: SLF001
            else:
                connection.connect()
        connection.close()
        return self._seen.asked

    def _watched(self) -> Any:
        with self._making:
            if self._context is None:
                context: Any = make_context(self._http)
                context._msg_callback = self._take  # noqa: SLF001 - there is no other way
                self._context = context
        return self._context

    def _take(
        self,
        _connection: Any,
        direction: str,
        _version: int,
        _type: int,
        message: int,
        _data: bytes,
    ) -> None:
        """Called by OpenSSL's binding, with the type of a message of the handshake."""
        if direction == "read" and message == _ASKS:
            self._seen.asked = True
