"""What a record keeps of a response.

Owns: which fields these are, and where they come from. Does not know: what follows the response
(`transfer.py`).
"""

from collections.abc import Mapping

from scraper.model import urls
from scraper.model.records import Response
from scraper.transfer.exchange import Reply
from scraper.transfer.redirects import Hop
from scraper.transfer.variant import variant_of


def facts(reply: Reply, hop: Hop, sent: Mapping[str, str], *, raw: bool) -> Response:
    """The facts of `reply`, which answered `hop`; `sent`: the headers of the request.

    `raw`: the body is kept with its coding.
    """
    get = reply.get
    coding, variant = get("content-encoding"), None
    if 200 <= reply.status < 300:
        variant = variant_of(coding, get("vary"), sent, raw=raw)
    return Response(
        reply.status,
        urls.redact(hop.url.href),
        get("content-type"),
        coding if raw else None,
        get("etag"),
        get("last-modified"),
        reply.remote_ip,
        hop.redirects,
        get("x-robots-tag"),
        variant,
    )
