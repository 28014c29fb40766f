"""Statuses that are failures: what one says of its target, and of the whole host.

A host pushes back by 429 (RFC 6585 4) and 503 (RFC 9110 15.6.4), and by a 403 that says that no
request is left, as GitHub does. Its Retry-After speaks for the host then. With any other status
it speaks for the one target, if that is tried again at all: a 404 with Retry-After, as Varnish
sends it, makes nobody wait.

Owns: that reading. Does not know: what follows (`schedule/`).
"""

from scraper.model.errors import Kind
from scraper.model.records import Failure
from scraper.schedule import Announced, retry_after
from scraper.transfer.exchange import Reply

PUSHBACK = frozenset({429, 503})


def refusal(reply: Reply, why: str, limits: Announced | None, led_to: str = "") -> Failure:
    """The failure that the status of `reply` is, for `why`; `limits`: what it announces.

    `led_to`: the host, if a redirect led there: who asked for patience is named then.
    Without a Retry-After a limit that is used up says how long to wait.
    """
    spent = limits is not None and limits.remaining == 0
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
