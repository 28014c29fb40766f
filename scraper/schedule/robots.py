"""robots.txt (RFC 9309): what it says to us, and what it means that there is none.

Protego reads rules and matches URLs. The group of the file that is ours is found here: Protego
keeps a copy of each rule for each agent of its group, and 500 KiB can name 20,000 agents before
20,000 rules.

Owns: those decisions, and their messages. Does not know: how a robots.txt is fetched, which
targets wait for it (`robots_queue.py`). Rejected: the stdlib's robotparser, which knows neither
wildcards nor that the longest rule wins; asking Protego for our group, see above.
"""

import re
from typing import TYPE_CHECKING, NamedTuple

from scraper.model.errors import NO_CONTENT_CODES, Kind
from scraper.model.records import Failure

if TYPE_CHECKING:
    from protego import Protego

READ_BYTES = 500 * 1024  # of one robots.txt; the rest is ignored (RFC 9309 2.5)
PATH = "/robots.txt"
_MOST_WILDCARDS = 2_000  # rules of ours with * or $: each is tried for each URL
_AGENT = re.compile(r"user[-\s]*agent(?:\s*:\s*|\s+|$)(.*)", re.IGNORECASE)
_OF_NO_GROUP = re.compile(r"(?:sitemaps?|site-map|host)\s*:", re.IGNORECASE)


class Rules(NamedTuple):
    """What an origin says. `reason`: why nothing at all is to be fetched, None if `protego` tells.

    `delay_s`: the least time between requests that it asks for. `weight`: what these rules take
    in memory, in bytes, as measured.
    """

    reason: str | None = None
    protego: "Protego | None" = None
    delay_s: float = 0.0
    weight: int = 512

    def forbids(self, url: str) -> str | None:
        """Why `url` is not to be fetched, None if it may be: the longest match decides (2.2.2)."""
        if self.protego is None:
            return self.reason
        return None if self.protego.can_fetch(url, "*") else "disallows this"


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
        body = body[:READ_BYTES]
        body = body[: max(body.rfind(b"\n"), body.rfind(b"\r"), 0)]  # half a rule is another rule
    rules = _group(body.decode("utf-8-sig", "replace"), token.lower())
    if not rules:
        return ALLOWED
    wild = sum("*" in rule or "$" in rule for rule in rules)
    if wild > _MOST_WILDCARDS:
        return Rules(f"has more than {_MOST_WILDCARDS:,} rules with wildcards")
    from protego import Protego

    text = "\n".join(["User-agent: *", *rules])
    protego = Protego.parse(text)
    weight = 2_000 + 20 * len(text) + 500 * wild
    return Rules(None, protego, protego.crawl_delay("*") or 0.0, weight)


def _group(text: str, token: str) -> list[str]:
    """The lines that follow our name, or else those for everyone (RFC 9309 2.2.1)."""
    ours: list[str] = []
    everyone: list[str] = []
    named = heading = for_us = for_everyone = False
    for raw in text.splitlines():
        line = raw.partition("#")[0].strip()
        found = _AGENT.match(line)
        if found:
            if not heading:  # else another name of the same group
                heading, for_us, for_everyone = True, False, False
            agent = re.split(r"[\s/]", found[1].lower(), maxsplit=1)[0]
            for_everyone |= agent == "*"
            for_us |= token != "" and agent.rstrip("*") == token
            named |= for_us
        elif line and not _OF_NO_GROUP.match(line):
            heading = False
            if for_us:
                ours.append(line)
            if for_everyone:
                everyone.append(line)
    return ours if named else everyone


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
