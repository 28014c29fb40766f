"""Statuses that are failures: what one says of its target, and of the whole host.

A host pushes back by 429 (RFC 6585 4) and 503 (RFC 9110 15.6.4), and by a 403 that says that no
request is left, as GitHub does. Its Retry-After speaks for the host then. With any other status
it speaks for the one target, if that is tried again at all: a 404 with Retry-After, as Varnish
sends it, makes nobody wait.

A proxy between us and an http:// URL answers in the place of the host. It is known to be its answer
by 407 (RFC 9110 15.5.8), by squid's X-Squid-Error and by an `error` in Proxy-Status (RFC 9209
2.1.1). Nothing is said of the host then. Any other answer may be the proxy's too, and counts as the
host's; its Via (RFC 9110 7.6.3) is named.

Owns: that reading. Does not know: what follows (`schedule/`).
"""

import re

from scraper.model.errors import Kind
from scraper.model.records import Failure
from scraper.schedule import RETRIED_CODES, Announced, retry_after
from scraper.transfer.exchange import Reply

PUSHBACK = frozenset({429, 503})
_SHOWN = 80  # characters of a header in a message
# A text: few runs need it, and `re` compiles it on its first use.
_PROXY_ERROR = r";\s*error=([a-z_]+)"


def refusal(reply: Reply, why: str, limits: Announced | None, led_to: str = "") -> Failure:
    """The failure that the status of `reply` is, for `why`; `limits`: what it announces.

    `led_to`: the host, if a redirect led there: who asked for patience is named then.
    Without a Retry-After a limit that is used up says how long to wait.
    """
    spent = limits is not None and limits.remaining == 0
    if reply.proxied:
        if (said := _by_proxy(reply)) is not None:
            failed = f"{why} from the proxy{said}"
            passing = reply.status in RETRIED_CODES
            return Failure(Kind.PROXY, failed, transient=passing, http_code=reply.status)
        why += f" (via {shown})" if (shown := _shown(reply.get("via"))) else ""
    pushback = reply.status in PUSHBACK or (reply.status == 403 and spent)
    asked = retry_after(reply.all("retry-after"), reply.get("date"))
    if asked is None and pushback and spent:
        assert limits is not None
        asked = limits.reset_s
    return Failure(
        kind=Kind.HTTP_STATUS,
        message=f"{why} from {led_to}" if pushback and led_to else why,
        http_code=reply.status,
        retry_after_s=asked,
        pushback=pushback,
    )


def _by_proxy(reply: Reply) -> str | None:
    """What is known of a proxy's own answer, for a message; None: it may be the host's."""
    squid, status = reply.get("x-squid-error"), reply.get("proxy-status")
    if squid:
        return f": {_shown(squid)}"
    if status and (found := re.search(_PROXY_ERROR, status)):
        return f": {found[1]}"
    return "" if reply.status == 407 else None


def _shown(value: str | None) -> str:
    return "".join(filter(str.isprintable, value or ""))[:_SHOWN]
