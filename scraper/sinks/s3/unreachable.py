"""Why boto3 had no connection, in words.

Its exceptions have urllib3's inside, whose texts name classes of Python.

Owns: finding the reason of the system in them, and which proxy it was. Does not know: what follows.
"""

import socket
from typing import Any

from scraper.model.urls import redact


def why(error: Any) -> str:
    """The reason in an exception of botocore."""
    inside = error.kwargs.get("error", "")
    cause: BaseException | None = inside if isinstance(inside, BaseException) else None
    while cause is not None:
        if isinstance(cause, ConnectionError | TimeoutError | socket.gaierror) and cause.strerror:
            return cause.strerror
        if type(cause) is OSError:  # also of a tunnel that the proxy refuses
            return cause.strerror or str(cause)
        cause = _inside(cause)
    return str(inside)


def proxy_of(error: Any) -> tuple[str, str]:
    """The proxy that could not be reached, in words, and why."""
    url = str(error.kwargs.get("proxy_url", ""))
    as_named = url.removeprefix("http://")  # botocore puts it before a scheme that it does not know
    if as_named.startswith("socks"):
        return f"the proxy {redact(as_named)}", "boto3 takes no SOCKS proxy (--s3-client curl does)"
    return f"the proxy {redact(url)}", why(error)


def _inside(error: BaseException) -> BaseException | None:
    """The exception that this one tells of."""
    for name in ("original_error", "reason", "__cause__"):
        found = getattr(error, name, None)
        if isinstance(found, BaseException):
            return found
    return None
