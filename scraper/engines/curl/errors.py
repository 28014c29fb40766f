"""libcurl's error codes as kinds of ours, the same that the threads engine gives.

Owns: that table. `Moment` says how far the hop had come, which decides as much as the code does.
Does not know: handles.
"""

import errno
import os
import re
from enum import Enum, auto

import pycurl

from scraper.engines import tls
from scraper.model.errors import Kind, TransferError, was_closed

# pycurl has no names for these.
HTTP2_STREAM, PROXY_HANDSHAKE, _WEIRD_REPLY = 92, 97, 8
OUR_FAULT = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL})
_TLS = frozenset(
    {
        pycurl.E_SSL_CONNECT_ERROR,
        pycurl.E_SSL_ENGINE_NOTFOUND,
        pycurl.E_SSL_ENGINE_SETFAILED,
        pycurl.E_SSL_CERTPROBLEM,
        pycurl.E_SSL_CIPHER,
        pycurl.E_PEER_FAILED_VERIFICATION,
        pycurl.E_USE_SSL_FAILED,
        pycurl.E_SSL_ENGINE_INITFAILED,
        pycurl.E_SSL_CACERT_BADFILE,
        pycurl.E_SSL_CRL_BADFILE,
        pycurl.E_SSL_ISSUER_ERROR,
        pycurl.E_SSL_PINNEDPUBKEYNOTMATCH,
        pycurl.E_SSL_INVALIDCERTSTATUS,
    }
)
_CLOSED = frozenset(
    {
        pycurl.E_GOT_NOTHING,
        pycurl.E_RECV_ERROR,
        pycurl.E_SEND_ERROR,
        pycurl.E_PARTIAL_FILE,
        pycurl.E_HTTP2,
    }
)
UNANSWERED = frozenset({pycurl.E_GOT_NOTHING, pycurl.E_RECV_ERROR, pycurl.E_SEND_ERROR})
# What a server that speaks HTTP/2 only makes of HTTP/1.1: it sends frames, or an alert.
NOT_HTTP1 = frozenset({pycurl.E_UNSUPPORTED_PROTOCOL, _WEIRD_REPLY, pycurl.E_SSL_CONNECT_ERROR})
_NO_NAME = frozenset({pycurl.E_COULDNT_RESOLVE_HOST, pycurl.E_COULDNT_RESOLVE_PROXY})
NO_CONNECTION = frozenset({pycurl.E_COULDNT_CONNECT, pycurl.E_INTERFACE_FAILED}) | _NO_NAME
_GONE = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED})


class Moment(Enum):
    """How far a hop has come."""

    CONNECTING = auto()  # name look-up, TCP, TLS, a proxy's tunnel
    ASKED = auto()
    BODY = auto()


def timed_out(moment: Moment) -> TransferError:
    """The failure when `moment` takes too long."""
    match moment:
        case Moment.CONNECTING:
            return TransferError(Kind.TIMEOUT, "no connection within the time", unreachable=True)
        case Moment.ASKED:
            return TransferError(Kind.TIMEOUT, "no response within the time")
        case Moment.BODY:
            return TransferError(Kind.TIMEOUT, "no bytes came for too long")


def mapped(code: int, message: str, number: int, moment: Moment) -> TransferError:  # noqa: PLR0911 - a table, read downwards
    """The failure of a hop at `moment`; `number` is the system's errno, or 0."""
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return timed_out(moment)
    if moment is Moment.BODY:
        return TransferError(Kind.TRUNCATED, f"connection broke in the body: {message}")
    if code in _NO_NAME:
        return TransferError(Kind.DNS, message, transient=True, unreachable=True)
    if code == pycurl.E_URL_MALFORMAT:
        text = f"no name to look up: {message}"
        return TransferError(Kind.DNS, text, transient=False, unreachable=True)
    alert = tls.is_alert(message)
    if code in _TLS or (code in _CLOSED and alert):
        if not alert and (number in _GONE or "unexpected eof" in message):
            return was_closed()
        text = f"TLS: {tls.explained(message)}"
        return TransferError(Kind.TLS, text, transient=False, unreachable=True)
    if code in _CLOSED or (code == pycurl.E_COULDNT_CONNECT and number == errno.ECONNRESET):
        return was_closed()  # the latter was connected: who is not there answers ECONNREFUSED
    if code == HTTP2_STREAM:
        return _stream_was_reset(message)
    if code in NO_CONNECTION or code == PROXY_HANDSHAKE:
        why = os.strerror(number) if number else message
        ours = number in OUR_FAULT
        return TransferError(Kind.CONNECT, f"can't connect: {why}", unreachable=not ours)
    return not_http(message)


def is_end_of_http2(code: int, message: str) -> bool:
    """Whether a whole connection of HTTP/2 may have ended, and not only the stream of the hop.

    libcurl says of such a stream that it was reset "by curl", as it closes it itself, or that it
    was closed "cleanly". A stream that its server broke off was reset "by server".
    """
    if code == HTTP2_STREAM:
        return "reset by curl" in message or "closed cleanly" in message
    return code == int(pycurl.E_HTTP2)


def _stream_was_reset(message: str) -> TransferError:
    """The failure when a stream of HTTP/2 ended before a response, by either side.

    PROTOCOL_ERROR says that its sender can't accept what it got (RFC 9113 7). So the same request
    fails again. The other codes may pass.
    """
    found = re.search(r"(?:error 0x\w+ |: )([A-Z][A-Z0-9_]+)", message)  # two forms of one fact
    why = found[1] if found else message
    if why == "PROTOCOL_ERROR":
        return TransferError(Kind.PROTOCOL, f"HTTP/2: {why}", transient=False)
    return TransferError(Kind.CONNECT, f"stream was reset before a response: {why}")


def not_http(why: str) -> TransferError:
    """The failure when the bytes that came are no HTTP response."""
    return TransferError(Kind.PROTOCOL, f"not HTTP: {why}", transient=False)
