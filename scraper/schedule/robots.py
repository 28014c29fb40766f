"""robots.txt (RFC 9309): what it says to us, and what it means that there is none.

The file is read as octets. Lines end with LF, CR or CRLF, and with nothing else. Only User-agent,
Allow and Disallow make groups: any other line is as if it were not there (2.2.4), also between two
names of a group. So `User-agent: a`, `Crawl-delay: 9`, `User-agent: b`, `Disallow: /` is one group
of two, as in Google's parser. A Crawl-delay is for the names that stand before it.

Owns: those decisions, and their messages. Does not know: which URLs a rule matches
(`robots_match.py`), how a robots.txt is fetched, which targets wait for it (`robots_queue.py`).
Rejected: the stdlib's robotparser, which knows neither wildcards nor that the longest rule wins;
Protego, see `robots_match.py`.
"""

import re
from typing import NamedTuple

from scraper.model.errors import NO_CONTENT_CODES, Kind
from scraper.model.records import Failure
from scraper.model.urls import origin_of
from scraper.schedule import robots_match
from scraper.schedule.robots_match import Rule, is_wild, match_rules

READ_BYTES = 500 * 1024  # of one robots.txt; the rest is ignored (RFC 9309 2.5)
PATH = "/robots.txt"
_MOST_WILDCARDS = 2_000  # rules of ours with * or $: each is tried for each URL
_BYTE_ORDER_MARK = rb"\A\xef(?:\xbb\xbf?)?"  # or a part of it, as in Google's parser
# Names of lines with the slips that Google's parser and Protego know. People forget the colon.
_AGENT = re.compile(rb"user[-\s]*agent(?:\s*:\s*|\s+|$)(.*)", re.IGNORECASE | re.DOTALL)
_RULE = re.compile(
    rb"(allow|dis(?:s?allow|s?alow|allaw)|diasllow)(?:\s*:\s*(.*)|\s+(\S+))",
    re.IGNORECASE | re.DOTALL,
)
_DELAY = re.compile(rb"crawl[-\s]?delay\s*:?\s*(\d{1,9}(?:\.\d{1,9})?)", re.IGNORECASE)


class Rules(NamedTuple):
    """What an origin says. `reason`: why nothing at all is to be fetched, None if `rules` tell.

    `delay_s`: the least time between requests that it asks for. `weight`: what these rules take
    in memory, in bytes, as measured.
    """

    reason: str | None = None
    rules: robots_match.Rules | None = None
    delay_s: float = 0.0
    weight: int = 512

    def forbids(self, url: str) -> str | None:
        """Why `url` is not to be fetched, None if it may be: the longest match decides (2.2.2)."""
        if self.rules is None:
            return self.reason
        path = url[len(origin_of(url)) :].encode("utf-8", "surrogatepass")
        return None if self.rules.allows(path) else "disallows this"


ALLOWED = Rules()


def product_token(user_agent: str) -> str:
    """What of a User-Agent robots.txt knows us by: the first product's name (RFC 9309 2.2.1)."""
    return re.split(r"[\s/(]", user_agent.strip(), maxsplit=1)[0]


def parse(body: bytes, token: str) -> Rules:
    """What `body`, of which `READ_BYTES` are read, says to the product `token`.

    `body` may be anything. Lines that are no rule are ignored (RFC 9309 2.2.4), so that a page
    of HTML allows everything. Far more wildcards than any site needs allow nothing: 500 KiB of
    them take a second a URL, and to ignore some could be against the wish of the site.
    """
    if len(body) > READ_BYTES:
        is_whole = body[READ_BYTES] in b"\r\n"  # else half a rule is another rule
        body = body[:READ_BYTES]
        if not is_whole:
            body = body[: max(body.rfind(b"\n"), body.rfind(b"\r"), 0)]
    text = re.sub(_BYTE_ORDER_MARK, b"", body, count=1)
    rules, delay_s = _group(text, token.encode("utf-8", "replace").lower())
    if not rules and not delay_s:
        return ALLOWED
    wild = sum(is_wild(rule.path) for rule in rules)
    if wild > _MOST_WILDCARDS:
        return Rules(f"has more than {_MOST_WILDCARDS:,} rules with wildcards")
    matched = match_rules(rules)
    return Rules(None, matched, delay_s, 2_000 + matched.weight)


class _Group:
    """The rules and the Crawl-delay for one name. Of two delays the last one counts."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self.delay_s = 0.0
        self.is_open = False  # the lines that come now are for it


def _group(text: bytes, token: bytes) -> tuple[list[Rule], float]:
    """What follows our name, or else what is for everyone (RFC 9309 2.2.1)."""
    ours, everyone = _Group(), _Group()
    named = heading = False
    for raw in text.splitlines():  # of bytes: at CR, LF and CRLF alone
        line = raw.partition(b"#")[0].strip()
        if found := _AGENT.fullmatch(line):
            if not heading:  # else another name of the same group
                heading, ours.is_open, everyone.is_open = True, False, False
            agent = re.split(rb"[\s/]", found[1].lower(), maxsplit=1)[0]
            everyone.is_open |= agent == b"*"
            ours.is_open |= token != b"" and agent.rstrip(b"*") == token
            named |= ours.is_open
            continue
        rule, delay_s = _RULE.fullmatch(line), _DELAY.fullmatch(line)
        heading = heading and rule is None
        for group in (ours, everyone):
            if group.is_open and rule and (path := rule[2] or rule[3]):
                group.rules.append(Rule(rule[1].lower() == b"allow", path))
            elif group.is_open and delay_s:
                group.delay_s = float(delay_s[1])
    chosen = ours if named else everyone
    return chosen.rules, chosen.delay_s


def without(failure: Failure) -> Rules:
    """What it means that robots.txt could not be had, after the last attempt.

    A 4xx, or redirects without end: there is none, everything is allowed (RFC 9309 2.3.1.2
    and 2.3.1.3). A 204 or 205 has no rule, as an empty file has none. 429 asks for patience, it
    does not say that there is none. Anything else: nothing is allowed (2.3.1.4).
    """
    code = failure.http_code or 0
    unavailable = failure.kind is Kind.HTTP_STATUS and 400 <= code < 500 and code != 429
    empty = failure.kind is Kind.HTTP_STATUS and code in NO_CONTENT_CODES
    if unavailable or empty or failure.kind is Kind.TOO_MANY_REDIRECTS:
        return ALLOWED
    return Rules(f"can't be had ({failure.message}), so nothing is allowed")
