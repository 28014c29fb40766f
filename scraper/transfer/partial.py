"""Partial bodies: what an attempt that broke off leaves, for the next one to continue.

Owns: which bodies are worth that, and can be known again. Does not know: how the rest is asked
for (`conditions.py`), or who keeps partial bodies and how many of them (`run/`).
"""

from typing import NamedTuple

from scraper.transfer.body import Incoming
from scraper.transfer.conditions import RangeRequest, strong_validator


class Partial(NamedTuple):
    """A body that broke off, and what asks for the rest of it. Its owner must `discard` it."""

    range: RangeRequest
    body: Incoming

    def discard(self) -> None:
        """Drop it: nobody continues it. Never raises."""
        self.body.abort()


def put_aside(body: Incoming, url: str, least: int) -> Partial | None:
    """`body`, which `url` sent until it broke off; None if it must be fetched from its start.

    `least`: how many bytes are worth it.
    """
    response = body.response
    # A coded body of unknown length is coded on the fly, and perhaps differently the next time.
    steady = body.coding is None or body.expected is not None
    if not (body.short and body.received >= max(1, least) and steady and response.http_code == 200):
        return None
    validator = strong_validator(response.etag, response.last_modified, body.dated)
    if validator is None:
        return None
    asked = RangeRequest(url, validator, body.received, body.expected, body.coding)
    return Partial(asked, body)
