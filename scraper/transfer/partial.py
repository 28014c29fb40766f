"""Partial bodies: what an attempt that broke off leaves for the next one to go on from.

Owns: when a body can be continued (RFC 9110 14.2 and 13.1.5: a strong validator
says that the rest is of the same representation), the two headers that ask for
the rest, and whether an answer is that rest. Refuses to know: what a body is made of
(`body.py`), who keeps partial bodies, and how many (`failure_policy.py`). Rejected:
continuing by length alone; two versions of a page would be joined in silence.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from scraper.model.dates import parse_http_date
from scraper.transfer.body import Incoming
from scraper.transfer.exchange import Reply

_CONTENT_RANGE = re.compile(r"bytes +([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", re.IGNORECASE)


class Partial(NamedTuple):
    """A body that broke off, put aside: `url` sent it, `validator` says what it is a part of."""

    url: str
    validator: str
    body: Incoming

    def headers(self) -> Mapping[str, str]:
        """What asks for the rest, or for everything if it is another body now."""
        return {"range": f"bytes={self.body.received}-", "if-range": self.validator}

    def total(self, reply: Reply) -> int | None:
        """The length of the whole body if `reply` is the rest of this one, None if it is not.

        A 206 brings the ETag that a 200 would (RFC 9110 15.3.7); what else it leaves out is
        as it was, and what it says must be the same.
        """
        received, whole = self.body.received, self.body.expected
        found = _CONTENT_RANGE.fullmatch((reply.get("content-range") or "").strip())
        if reply.status != 206 or found is None or int(found[1]) != received:
            return None
        total = whole if found[3] == "*" else int(found[3])
        if total is None or int(found[2]) != total - 1 or whole not in {None, total}:
            return None  # of another body, or a part of the rest
        by_tag = self.validator.startswith('"')
        told = reply.get("etag" if by_tag else "last-modified")
        same = told == self.validator or (told is None and not by_tag)
        return total if same and reply.get("content-encoding") in {None, self.body.coding} else None

    def discard(self) -> None:
        """Let go of it: nothing goes on from here. Never raises."""
        self.body.abort()


def put_aside(body: Incoming, url: str, least: int) -> Partial | None:
    """`body`, sent by `url` until it broke off; None if the next attempt had better begin anew.

    `least`: how many bytes are worth it.
    """
    response = body.response
    # A coded body of unknown length is made on the fly: is it made alike the next time?
    steady = body.coding is None or body.expected is not None
    if not (body.short and body.received >= max(1, least) and steady and response.http_code == 200):
        return None
    validator = strong_validator(response.etag, response.last_modified, body.dated)
    return Partial(url, validator, body) if validator is not None else None


def strong_validator(etag: str | None, last_modified: str | None, date: str | None) -> str | None:
    """What If-Range may carry: a strong ETag, or a Last-Modified that is strong.

    It is if the response's Date is later by a second or more (RFC 9110 8.8.2.2).
    """
    if etag is not None:
        return etag if re.fullmatch(r'"[^"]*"', etag) else None
    modified, sent = parse_http_date(last_modified), parse_http_date(date)
    if modified is None or sent is None or sent - modified < 1:
        return None
    return last_modified
