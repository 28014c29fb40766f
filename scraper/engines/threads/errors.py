"""Errors of requests and urllib3 as kinds of ours, the same that the curl engine gives.

Owns: that table. Does not know: connections. An exception of these libraries has its causes in
its arguments as well as in its context, so all of them are searched.
"""

import errno
import socket
import ssl
from collections.abc import Iterator
from http.client import RemoteDisconnected

import requests
from urllib3.exceptions import LocationParseError, NewConnectionError

from scraper.engines import resolver, tls
from scraper.model.errors import Kind, TransferError, was_closed

# The server closed the connection.
GONE = (
    RemoteDisconnected,
    ConnectionResetError,
    BrokenPipeError,
    ConnectionAbortedError,
    ssl.SSLEOFError,
)
_OUR_FAULT = {errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL}


def _causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and its causes, the outermost first."""
    pending: list[object] = [error]
    met: set[int] = set()
    while pending:
        one = pending.pop(0)
        if not isinstance(one, BaseException) or id(one) in met:
            continue
        met.add(id(one))
        yield one
        pending += [getattr(one, "reason", None), *one.args, one.__cause__, one.__context__]


def cause(error: BaseException, *types: type[BaseException]) -> BaseException | None:
    """The outermost of `error` and its causes that is one of `types`."""
    return next((one for one in _causes(error) if isinstance(one, types)), None)


def mapped(error: Exception) -> TransferError:  # noqa: PLR0911 - a table, read downwards
    """The failure of a hop before its response; `error` is of requests or urllib3."""
    if found := cause(error, TransferError):
        assert isinstance(found, TransferError)
        return found
    if found := next((one for one in _causes(error) if _is_ours(one)), None):
        return TransferError(Kind.CONNECT, f"can't connect: {_short(found)}")
    if found := cause(error, socket.gaierror, UnicodeError):
        assert isinstance(found, OSError | UnicodeError)
        return resolver.failure(found)
    if found := cause(error, LocationParseError):
        message = f"no name to look up: {_short(found)}"
        return TransferError(Kind.DNS, message, transient=False, unreachable=True)
    if isinstance(error, requests.ConnectTimeout):
        return TransferError(Kind.TIMEOUT, "no connection within the time", unreachable=True)
    if isinstance(error, requests.ReadTimeout):
        return TransferError(Kind.TIMEOUT, "no response within the time")
    alert = next((one for one in _causes(error) if _is_alert(one)), None)
    if alert is None and cause(error, *GONE):
        return was_closed()
    if found := alert or cause(error, ssl.SSLError, requests.exceptions.SSLError):
        return _of_tls(_short(found))
    if cause(error, NewConnectionError, requests.exceptions.ProxyError) or (
        isinstance(error, OSError) and not isinstance(error, requests.RequestException)
    ):
        found = next((one for one in _causes(error) if getattr(one, "errno", None)), error)
        return TransferError(Kind.CONNECT, f"can't connect: {_short(found)}", unreachable=True)
    return TransferError(Kind.PROTOCOL, f"not HTTP: {_short(error)}", transient=False)


def _of_tls(message: str) -> TransferError:
    text = f"TLS: {tls.explained(message)}"
    return TransferError(Kind.TLS, text, transient=False, unreachable=True)


def _is_alert(error: BaseException) -> bool:
    return isinstance(error, ssl.SSLError) and tls.is_alert(str(error))


def _is_ours(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in _OUR_FAULT


def _short(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    deepest = list(_causes(error))[-1]
    return str(deepest) or type(deepest).__name__
