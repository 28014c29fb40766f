"""Partial bodies: what an attempt that broke off leaves for the next one to go on from.

Owns: when a body can be continued (RFC 9110 14.2 and 13.1.5: a strong validator
says that the rest is of the same representation), the two headers that ask for
the rest, and whether an answer is that rest. Refuses to know: who keeps partial
bodies, and how many (`loop.py`). Rejected: continuing by length alone; two
versions of a page would be joined in silence.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scraper.dates import parse_http_date
from scraper.decode import Decoder
from scraper.sinks.base import Upload

if TYPE_CHECKING:
    from hashlib import _Hash

_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Partial:
    """A body that broke off. `received` are its bytes on the wire, `size` those in the sink.

    `whole` is the length of all of it on the wire, None if unsaid; `url` who sent it.
    """

    url: str
    validator: str
    upload: Upload
    decoder: Decoder | None
    digest: "_Hash"
    received: int
    size: int
    whole: int | None

    def headers(self) -> Mapping[str, str]:
        """What asks for the rest, or for everything if it is another body now."""
        return {"range": f"bytes={self.received}-", "if-range": self.validator}

    def goes_on(self, content_range: str | None, etag: str | None) -> bool:
        """Whether a 206 with these headers is the rest of this body."""
        found = _CONTENT_RANGE.fullmatch((content_range or "").strip())
        if found is None or int(found[1]) != self.received:
            return False
        whole = None if found[3] == "*" else int(found[3])
        if whole is not None and int(found[2]) != whole - 1:
            return False  # a part of the rest: the next would have to be asked for as well
        known = None not in (whole, self.whole)
        if known and whole != self.whole:
            return False
        return etag is None or not self.validator.startswith('"') or etag == self.validator


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
