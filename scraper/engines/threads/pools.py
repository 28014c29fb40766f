"""Pools of the threads engine's connections, and requests' adapter that uses them.

Owns: which connection of a pool is taken, TLS contexts. Does not know: what a connection does
(`connections.py`), transfers.
"""

import queue
import threading
from typing import TYPE_CHECKING, Any

import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from scraper.engines.proxies import is_socks
from scraper.engines.threads import socks
from scraper.engines.threads.connections import (
    CURRENT,
    DirectHttpConnection,
    DirectHttpsConnection,
    SocksHttpConnection,
    SocksHttpsConnection,
)
from scraper.engines.tls_context import make_context
from scraper.model.settings import Http

if TYPE_CHECKING:
    import ssl


class _OpenFirst(queue.LifoQueue[Any]):
    """The connections of a pool, those that are open first: a server may take no more of them."""

    def _put(self, item: Any) -> None:
        if item is None or item.sock is None:
            self.queue.insert(0, item)
        else:
            self.queue.append(item)


class _NotedPool:
    """Mixed into a pool class: notes which connection the worker got.

    `asks`: its server asks for a client certificate, and has answered nothing; None: not known.
    """

    QueueCls = _OpenFirst
    asks: bool | None = None

    def _get_conn(self, timeout: float | None = None) -> Any:
        connection = super()._get_conn(timeout)  # type: ignore[misc]
        if CURRENT.in_use is not None:
            try:
                CURRENT.in_use.use(connection, self)
            except Exception:
                connection.close()
                raise
        return connection


class _HttpPool(_NotedPool, HTTPConnectionPool):
    ConnectionCls = DirectHttpConnection


class _HttpsPool(_NotedPool, HTTPSConnectionPool):
    ConnectionCls = DirectHttpsConnection


class _SocksHttpPool(_NotedPool, HTTPConnectionPool):
    ConnectionCls = SocksHttpConnection


class _SocksHttpsPool(_NotedPool, HTTPSConnectionPool):
    ConnectionCls = SocksHttpsConnection


_POOLS = {"http": _HttpPool, "https": _HttpsPool}
_SOCKS_POOLS = {"http": _SocksHttpPool, "https": _SocksHttpsPool}


class Adapter(HTTPAdapter):
    """requests' adapter with our pools: `hosts` of them kept, `each` connections in one.

    All connections share two contexts of TLS, one for servers and one for proxies. Each is made
    when the first connection needs it.
    """

    def __init__(self, hosts: int, each: int, http: Http) -> None:
        super().__init__(pool_connections=hosts, pool_maxsize=each)
        self._hosts, self._each = hosts, each
        self._http = http
        self._making = threading.Lock()
        self._to_servers: ssl.SSLContext | None = None
        self._to_proxies: ssl.SSLContext | None = None

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """As requests does, with our connection classes."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        """As requests does, with our connection classes and our context."""
        if is_socks(str(args[0])):
            return self._socks_manager(str(args[0]))
        if str(args[0]).lower().startswith("https:"):
            with self._making:
                if self._to_proxies is None:
                    self._to_proxies = make_context(self._http, with_certificate=False)
            kwargs["proxy_ssl_context"] = self._to_proxies
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def _socks_manager(self, proxy: str) -> Any:
        """urllib3's PoolManager, whose connections go through the SOCKS proxy."""
        manager = self.proxy_manager.get(proxy)
        if manager is None:
            made: Any = urllib3.PoolManager(
                self._hosts,
                maxsize=self._each,
                _socks_options=socks.options_of(proxy),
            )
            made.pool_classes_by_scheme = _SOCKS_POOLS
            manager = self.proxy_manager.setdefault(proxy, made)
        return manager

    def build_connection_pool_key_attributes(
        self, request: Any, verify: Any, cert: Any = None
    ) -> Any:
        """The host, and our context: requests would name a file, which urllib3 reads each time."""
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        if host["scheme"] != "https":
            return host, {}
        if self._to_servers is None:
            with self._making:
                if self._to_servers is None:
                    self._to_servers = make_context(self._http)
        reqs = "CERT_NONE" if self._http.insecure else "CERT_REQUIRED"
        return host, {"ssl_context": self._to_servers, "cert_reqs": reqs}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Set nothing: the context knows it."""
