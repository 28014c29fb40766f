"""Conditional requests: what is asked instead of a whole body, and what the response means then.

Owns: the decision, for each hop, which validators or which range are sent (RFC 9110 13 and 14),
and what a 304, a 206, a 226 or a 416 says. All of it is frozen data and pure functions. Does not
know: whether the object is really there, or what a body is made of (`transfer.py`, `body.py`).

At most one question is asked at a time: the user's own, else for the rest of a body that broke
off, else whether a stored body has changed. With two of them nobody could tell which one a
response answers. Rejected: a body continued by its length alone. Two versions of a page would be
joined, and nobody would see it.
"""

import re
from collections.abc import Mapping
from enum import Enum, auto
from typing import NamedTuple

from scraper.model import urls
from scraper.model.dates import parse_http_date
from scraper.model.records import ANY_URL, PreviousRecord
from scraper.transfer.exchange import Reply
from scraper.transfer.redirects import Hop
from scraper.transfer.tags import with_bare
from scraper.transfer.variant import is_decoded, is_same

CONDITIONS = frozenset(
    {
        "a-im",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "range",
    }
)
_ANSWERS = frozenset({206, 226, 304, 416})  # the statuses that answer them
_ASKED_BY = {206: "range", 226: "a-im"}  # RFC 9110 15.3.7, RFC 3229 10.4.1
_ASK_FOR_CHANGE = frozenset({"if-none-match", "if-modified-since"})  # a 304 answers these
# A text: few runs need it, and `re` compiles it on its first use.
_CONTENT_RANGE = r"(?i)bytes +([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)"
UNASKED = {
    206: "206 Partial Content, though no part was asked for",
    226: "226 IM Used, though no manipulation was asked for",
    304: "304 Not Modified, though nothing was asked about",
}
_NOTHING: Mapping[str, str] = {}


class Answer(Enum):
    """What a response to a conditional request means, apart from the rest of a body."""

    UNCHANGED = auto()  # the stored body is current
    UNCHANGED_FOR_USER = auto()  # the user's own condition says so; we know of no object
    NOT_THE_REST = auto()  # the body that broke off can't be continued
    UNASKED = auto()  # the server answers a condition that nobody set


class Rest(NamedTuple):
    """The response brings the rest of a body, which has `complete_length` bytes with it."""

    complete_length: int


class RangeRequest(NamedTuple):
    """What asks for a part of a body: the rest of one that broke off, or one of --split.

    `url` sent it; `validator` says which representation it is a part of; `first` is the first
    byte that is missing; `complete_length` is the length of the whole body in bytes, None if
    unknown; `coding` is its Content-Encoding. `last` is the last byte of the part, None for all.
    """

    url: str
    validator: str
    first: int
    complete_length: int | None = None
    coding: str | None = None
    last: int | None = None

    def headers(self) -> Mapping[str, str]:
        """The part, or everything if it is another body by now (RFC 9110 13.1.5, 14.2)."""
        last = "" if self.last is None else self.last
        return {"range": f"bytes={self.first}-{last}", "if-range": self.validator}

    def completed_by(self, reply: Reply) -> int | None:
        """The length of the whole body if `reply` brings the part, None if it does not.

        A 206 has the ETag that a 200 would have (RFC 9110 15.3.7). Other headers may be missing,
        and must be the same where they are not.
        """
        found = re.fullmatch(_CONTENT_RANGE, (reply.get("content-range") or "").strip())
        if reply.status != 206 or found is None or int(found[1]) != self.first:
            return None
        length = self.complete_length if found[3] == "*" else int(found[3])
        if length is None or int(found[2]) != (length - 1 if self.last is None else self.last):
            return None  # a part of the part
        if self.complete_length not in {None, length}:
            return None
        by_tag = self.validator.startswith('"')
        said = reply.get("etag" if by_tag else "last-modified")
        same = said == self.validator or (said is None and not by_tag)
        return length if same and reply.get("content-encoding") in {None, self.coding} else None


class Conditions(NamedTuple):
    """What an attempt may ask with.

    `own` are the names of the user's conditional headers, in lower case; `previous` is what is
    known of the stored body, `range` what asks for the rest of one that broke off. `raw`: bodies
    keep their coding.
    """

    own: frozenset[str] = frozenset()
    previous: PreviousRecord | None = None
    range: RangeRequest | None = None
    raw: bool = False

    def headers(self, hop: Hop, sent: Mapping[str, str]) -> Mapping[str, str]:
        """Our own conditional headers for the request of `hop`, whose others are `sent`."""
        if self.own:
            return _NOTHING
        if self.range is not None:
            return self.range.headers() if self.range.url == hop.url.href else _NOTHING
        previous = self.previous
        if previous is None or not _is_of(previous, hop):
            return _NOTHING
        if not is_same(previous.variant, sent, raw=self.raw):
            return _NOTHING  # a 304 would be about another body than the stored one
        tag = previous.etag
        if tag and is_decoded(previous.variant):
            tag = with_bare(tag)
        given = {"if-none-match": tag, "if-modified-since": previous.last_modified}
        return {name: value for name, value in given.items() if value}

    def answer(self, reply: Reply, asked: Mapping[str, str]) -> Answer | Rest | None:
        """What `reply` to a request with the headers `asked` of ours means.

        None: what its status says by itself.
        """
        if reply.status not in _ANSWERS:
            return None
        if reply.status == 304:
            if asked and "range" not in asked:
                return Answer.UNCHANGED
            by_user = self.own & _ASK_FOR_CHANGE
            return Answer.UNCHANGED_FOR_USER if by_user else Answer.UNASKED
        if self.range is not None and "range" in asked and reply.status != 226:
            length = self.range.completed_by(reply)
            return Answer.NOT_THE_REST if length is None else Rest(length)
        asks = _ASKED_BY.get(reply.status)
        return None if asks is None or asks in self.own else Answer.UNASKED


def strong_validator(etag: str | None, last_modified: str | None, date: str | None) -> str | None:
    """What If-Range may carry: a strong ETag, or a strong Last-Modified if there is no ETag.

    A Last-Modified is strong if the response's Date is later by a second or more
    (RFC 9110 8.8.2.2).
    """
    if etag is not None:
        return etag if re.fullmatch(r'"[^"]*"', etag) else None
    modified, sent = parse_http_date(last_modified), parse_http_date(date)
    if modified is None or sent is None or sent - modified < 1:
        return None
    return last_modified


def _is_of(previous: PreviousRecord, hop: Hop) -> bool:
    """Whether it was the URL of `hop` that answered: validators are of one URL."""
    if previous.effective == ANY_URL:
        return True
    if previous.effective:
        return urls.fingerprint(urls.redact(hop.url.href)) == previous.effective
    return not hop.redirects
