"""HTML links: the URLs that a page names, as `wget -i --force-html` takes them.

The attributes are those of wget (its `html-url.c`), without form actions, which it does not fetch,
and with `srcset`. `<base href>` counts for what follows it. Links within the page (`#top`), and
URLs that are not http(s), such as `mailto:`, name nothing to fetch and are passed over. URLs in
style sheets and scripts are not looked for.

Owns: that table, and reading a page in pieces. Does not know: what a URL is worth (`lists.py`).
Rejected: lxml and selectolax, which read the whole page, and are no part of Python. The parser's
`close` is never called: what is left at the end is a tag without an end, which browsers drop, and
it would be looked at again from each of its characters. Its references are not decoded by the
parser either: Python 3.11 takes the `&reg` of `?a=1&region=2` for one.
"""

import codecs
import re
from collections.abc import Iterable, Iterator, Sequence
from html import unescape
from html.entities import html5
from html.parser import HTMLParser

from scraper.model.errors import BadTarget, ListBroken
from scraper.model.urls import Url, join, parse
from scraper.source.documents import Entry

_LINKS = {
    "a": ("href",),
    "applet": ("code",),
    "area": ("href",),
    "audio": ("src",),
    "bgsound": ("src",),
    "body": ("background",),
    "embed": ("href", "src"),
    "fig": ("src",),
    "frame": ("src",),
    "iframe": ("src",),
    "img": ("href", "lowsrc", "src"),
    "input": ("src",),
    "layer": ("src",),
    "link": ("href",),
    "object": ("data",),
    "overlay": ("src",),
    "script": ("src",),
    "source": ("src",),
    "table": ("background",),
    "td": ("background",),
    "th": ("background",),
    "track": ("src",),
    "video": ("poster", "src"),
}
_SETS = {"img": "srcset", "source": "srcset", "link": "imagesrcset"}
_MOST_CHARS = 8 << 20  # of a tag: an image may stand in it
_AT_ONCE = 65_536
_AMPERSAND = "\ud800"  # stands for `&` in the parser; no decoder makes it
# Texts: few runs need them.
_CHARSET = rb"(?i)<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})"
# https://encoding.spec.whatwg.org/#names-and-labels; Python knows others, which make no text.
_ENCODINGS = r"(?i)(?:windows-|iso-8859-|koi8-|gb|big5|euc-|shift_jis|latin|us-ascii)[\w-]*"
_REFRESH = r"(?i)\s*\d*(?:\.\d*)?\s*[;,]?\s*url\s*=\s*[\"']?([^\"']+)"
_OTHER_SCHEME = r"(?i)\s*(?:#|(?!https?:)[a-z][a-z0-9+.-]*:)"
_REFERENCE = r"&(?:#[0-9]++;?|#[xX][0-9A-Fa-f]++;?|[A-Za-z][A-Za-z0-9]*+(?:;|(?!=)))"
_MOST_DIGITS = 100  # of a reference: Python refuses to read a number of thousands
_CANDIDATE = r"[\s,]*+(?:([^\s,]\S*)(?<!,)[^,]*|(\S+),+)?"
# https://html.spec.whatwg.org/multipage/images.html#parsing-a-srcset-attribute


def read_html(pieces: Iterable[bytes], name: str, base: Url | None) -> Iterator[Entry]:
    """What the page `name` names; `base`: what its relative URLs are relative to.

    Raises ListBroken for a tag that does not end.
    """
    parser = _Parser(base)
    for text in _texts(pieces):
        parser.take(text)
        found, parser.found = parser.found, []
        yield from found
        if parser.pending_chars > _MOST_CHARS:
            raise ListBroken(
                f"the list {name!r} broke off: a tag is longer than {_MOST_CHARS:,} characters"
            )
    parser.take("", is_last=True)
    yield from parser.found


class _Parser(HTMLParser):
    """Collects what tags name."""

    def __init__(self, base: Url | None) -> None:
        super().__init__()
        self._base, self._has_base = base, False
        self.found: list[Entry] = []
        self._waiting: list[str] = []
        self._waiting_chars = 0

    def take(self, text: str, *, is_last: bool = False) -> None:
        """Read on. A tag of many pieces is looked at again only when it has doubled."""
        self._waiting.append(text)
        self._waiting_chars += len(text)
        if is_last or self._waiting_chars >= len(self.rawdata):
            self.feed("".join(self._waiting).replace("&", _AMPERSAND))
            self._waiting, self._waiting_chars = [], 0

    @property
    def pending_chars(self) -> int:
        """Of a tag that has not ended."""
        return len(self.rawdata) + self._waiting_chars

    def parse_html_declaration(self, i: int) -> int:
        """See `HTMLParser`, which fails at sections of SGML. In HTML they are comments."""
        is_section = self.rawdata.startswith("<![", i)
        return self.parse_bogus_comment(i) if is_section else super().parse_html_declaration(i)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        """Take what it names."""
        names = _LINKS.get(tag, ())
        given = {name: _decoded(value) for name, value in reversed(attrs) if value}  # first counts
        for name in names:
            if name in given:
                self._add(given[name])
        if tag in _SETS and (several := given.get(_SETS[tag])):
            for one in re.finditer(_CANDIDATE, several):
                if url := one[1] or one[2]:
                    self._add(url.rstrip(","))
        if tag == "base" and "href" in given and not self._has_base:
            self._has_base = True
            self._set_base(given["href"])
        is_led = tag == "meta" and given.get("http-equiv", "").lower() == "refresh"
        if is_led and (led := re.match(_REFRESH, given.get("content", ""))):
            self._add(led[1])

    def _set_base(self, href: str) -> None:
        try:
            self._base = join(self._base, href) if self._base else parse(href)
        except BadTarget as error:
            self.found.append(BadTarget(f"<base href>: {error}"))

    def _add(self, url: str) -> None:
        if re.match(_OTHER_SCHEME, url):
            return
        url = re.sub(r"[\r\n\t]", "", url.strip())  # as browsers do; in a page it is one URL
        try:
            self.found.append({"url": url if self._base is None else join(self._base, url).href})
        except BadTarget as error:
            self.found.append(BadTarget(f"{error}: {url[:200]!r}"))


def _decoded(value: str) -> str:
    """The value of an attribute, from what the parser gave.

    See https://html.spec.whatwg.org/#named-character-reference-state: a name without `;` before a
    `=`, a letter or a digit is none.
    """
    value = value.replace(_AMPERSAND, "&")
    return re.sub(_REFERENCE, _meaning, value) if "&" in value else value


def _meaning(found: re.Match[str]) -> str:
    reference = found[0]
    if reference[1] != "#":
        return html5.get(reference[1:], reference)
    return unescape(reference) if len(reference) < _MOST_DIGITS else "\ufffd"


def _texts(pieces: Iterable[bytes]) -> Iterator[str]:
    """The text of a page, in its own encoding, or UTF-8. Bytes that are none become surrogates."""
    decoder: codecs.IncrementalDecoder | None = None
    for piece in pieces:
        if decoder is None:
            decoder = _decoder(piece)
        yield from (
            decoder.decode(piece[at : at + _AT_ONCE]) for at in range(0, len(piece), _AT_ONCE)
        )


def _decoder(first: bytes) -> codecs.IncrementalDecoder:
    """What decodes a page that begins so: https://html.spec.whatwg.org/#encoding-sniffing-algorithm."""
    found = re.search(_CHARSET, first[:1024])
    name = found[1].decode() if found else "utf-8"
    if first.startswith((b"\xff\xfe", b"\xfe\xff")):
        name = "utf-16"
    elif not re.fullmatch(_ENCODINGS, name):  # UTF-16 could not have been read so far
        name = "utf-8"
    try:
        return codecs.getincrementaldecoder(name)("surrogateescape")
    except LookupError:
        return codecs.getincrementaldecoder("utf-8")("surrogateescape")
