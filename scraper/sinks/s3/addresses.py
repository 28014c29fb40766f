"""Endpoints with several addresses: boto3 connects by RFC 8305 too.

urllib3 tries one address after another, each with the whole time-out: a dead IPv6 address costs ten
seconds for each connection. botocore has no option for the classes of its connections. Here they
get a subclass whose sockets come from `model/happy_eyeballs.py`. It also asks once more whether a
request may be sent: botocore's own event comes before the connection, which can take ten seconds.

Owns: that. Does not know: requests. Where botocore is built otherwise than today, nothing is
changed, and boto3 connects in its own way. libcurl needs none of it: it does so by itself.
"""

import contextlib
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from scraper.model.happy_eyeballs import connect

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def race_addresses(client: "S3Client", may_send: Callable[[], None] = lambda: None) -> "S3Client":
    """`client`, whose connections race for the addresses of its endpoint, or of a proxy.

    `may_send` is called when a connection was made. It raises if nothing may be sent over it.
    """
    made: Any = client
    with contextlib.suppress(AttributeError):
        session = made._endpoint.http_session  # noqa: SLF001 - see the module
        own = session._manager.pool_classes_by_scheme  # noqa: SLF001
        raced = {scheme: _raced(pool, may_send) for scheme, pool in own.items()}
        session._pool_classes_by_scheme = raced  # noqa: SLF001 - for proxies
        session._manager.pool_classes_by_scheme = raced  # noqa: SLF001
    return client


def _raced(pool: type[Any], may_send: Callable[[], None]) -> type[Any]:
    own = {"may_send": staticmethod(may_send)}
    connection = type("_Connection", (_Racing, pool.ConnectionCls), own)
    return type("_Pool", (pool,), {"ConnectionCls": connection})


class _Racing:
    """Mixed into a connection class of botocore."""

    host: str
    port: int
    timeout: float | None
    socket_options: Any
    _dns_host: str
    may_send: Callable[[], None]

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        self.may_send()

    def _new_conn(self) -> socket.socket:
        """A connection, with urllib3's exceptions, which botocore knows."""
        from urllib3.exceptions import (
            ConnectTimeoutError,
            NameResolutionError,
            NewConnectionError,
        )
        from urllib3.util.connection import allowed_gai_family

        me: Any = self
        host, family = self._dns_host.strip("[]"), allowed_gai_family()
        try:
            found = socket.getaddrinfo(host, self.port, family, socket.SOCK_STREAM)
            addresses = list(dict.fromkeys((entry[0], entry[4]) for entry in found))
            return connect(addresses, self.timeout, self.socket_options or ())
        except socket.gaierror as error:
            raise NameResolutionError(self.host, me, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(me, f"no connection to {self.host} in time") from error
        except OSError as error:
            raise NewConnectionError(me, f"can't connect: {error}") from error
