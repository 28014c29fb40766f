"""Grammar: how a list is written, as options, its name, its type or its first line say it.

Owns: the names of formats, and which one a list has. Does not know: how each is read (`lists.py`,
`tables.py`, `fields.py`). Rejected: a guess from the first lines of every list. A list of URLs
with commas in them would be CSV one day, and the same command would mean another thing. A header
with a column `url` is no guess: it can't be a target.
"""

import re
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from scraper.model.errors import BadTarget, UsageError

if TYPE_CHECKING:
    from scraper.model.urls import Url
    from scraper.source.tables import Dialect

Format = Literal[
    "lines",
    "csv",
    "tsv",
    "jsonl",
    "sums",
    "bagit",
    "gcs",
    "sitemap",
    "feed",
    "html",
    "m3u",
    "cdxj",
    "parquet",
    "aria2",
    "curl",
    "metalink",
]
FORMATS: tuple[Format, ...] = get_args(Format)
# They are read as a whole, not line by line.
DOCUMENTS = frozenset[Format | None](
    {"sitemap", "feed", "html", "parquet", "aria2", "curl", "metalink"}
)
# Their URLs are relative to the list's own, if it has one.
WITH_LINKS = frozenset[Format | None]({"feed", "html", "m3u"})
SCHEMES = ("https", "http")
STORAGE_TRANSFER = "TsvHttpData-1.0"  # the first line of a list of Google's Storage Transfer
PLAYLIST = "#EXTM3U"  # the first line of one
Column = str | int  # a name, or a place from 1 on

_HEADER_BYTES = 4096
_ENDINGS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".m3u": "m3u",
    ".m3u8": "m3u",
    ".parquet": "parquet",
    ".meta4": "metalink",
}
# RFC 4180 3; the second is of the IANA; the third is what many servers say; RFC 8216 4; RFC 5854
# 7.1. JSON Lines are lines.
_TYPES: dict[str, Format] = {
    "text/csv": "csv",
    "text/tab-separated-values": "tsv",
    "application/csv": "csv",
    "application/vnd.apple.mpegurl": "m3u",
    "audio/mpegurl": "m3u",
    "application/metalink4+xml": "metalink",
}
# A text: few runs need it, and `re` compiles it on its first use. `host:80/` has no scheme.
_NO_DOMAIN = r"(?i)https?:|[a-z][a-z0-9+.-]*:(?!\d{1,5}(?:[/?#]|$))|[/?#.]|[^/?#]*@|$"


class Grammar(NamedTuple):
    """How lists are written.

    `format` is None where a list itself tells it. A column that is a number means that the list
    has no header. `scheme` is put before URLs that have none, unless it is "". `base` is what
    relative URLs are relative to, None if there is none. `cdx_range`: of a CDX index the records
    are meant, not the pages.
    """

    format: Format | None = None
    url_column: Column | None = None
    key_column: Column | None = None
    scheme: str = ""
    base: "Url | None" = None
    cdx_range: bool = False

    @property
    def has_columns(self) -> bool:
        """Whether columns are named."""
        return self.url_column is not None or self.key_column is not None

    @property
    def has_header(self) -> bool:
        """Whether the first row of a table names its columns."""
        return not isinstance(self.url_column, int)


LINES = Grammar()


def grammar_of(  # noqa: PLR0913 - they are options
    list_format: str | None = None,
    url_column: str | None = None,
    key_column: str | None = None,
    default_scheme: str | None = None,
    base: str | None = None,
    *,
    cdx_range: bool | None = None,
) -> Grammar:
    """What these options mean. Raises UsageError."""
    url = _column("--url-column", url_column)
    key = _column("--key-column", key_column)
    if isinstance(key, int) and not isinstance(url, int):
        raise UsageError(
            f"--key-column {key} is a place in a list without a header",
            hint="give --url-column as a number too, or --key-column as a name",
        )
    if isinstance(url, int) and isinstance(key, str):
        raise UsageError(
            f"--url-column {url} means a list without a header, so there is no column {key!r}",
            hint="give --key-column as a number too, or --url-column as a name",
        )
    known: Format | None = next((one for one in FORMATS if one == list_format), None)
    if isinstance(url, int) and known not in {None, "csv", "tsv"}:
        raise UsageError(f"--url-column {url} is a place in CSV or TSV, not in {known}")
    if known == "sums" and base is None:
        raise UsageError(
            "--list-format sums needs --base URL", hint="checksum files name files, not URLs"
        )
    if cdx_range:
        known = _of_cdx(known, base)
    scheme = (default_scheme or "").lower().removesuffix("://").removesuffix(":")
    if scheme and scheme not in SCHEMES:
        raise UsageError(f"--default-scheme {default_scheme!r} must be https or http")
    if scheme and base is not None:
        raise UsageError(
            "--base and --default-scheme both say what 'a.example/b' means",
            hint="leave one of them away",
        )
    return Grammar(known, url, key, scheme, None if base is None else _base(base), bool(cdx_range))


def format_of(name: str, content_type: str = "") -> Format | None:
    """The format that the name of a list says, or its Content-Type; None if both say nothing."""
    stem = name.lower().removesuffix(".gz")
    named = _ENDINGS.get(stem[stem.rfind(".") :])
    return named or _TYPES.get(content_type.partition(";")[0].strip().lower())


def table_format(form: Format | None) -> "Dialect | None":
    """The same format if it is that of a table, else None."""
    return form if form == "csv" or form == "tsv" else None  # noqa: PLR1714 - mypy narrows it


def is_header(first: bytes) -> bool:
    """Whether this first line names the columns of a table, one of which is `url`.

    It has two cells or more, and no character that a URL has and a name has not. So it is no
    target, and what follows it are rows.
    """
    if b"url" not in first[:_HEADER_BYTES].lower() or b"/" in first or b":" in first:
        return False
    cells = re.split(rb"[,;\t]", first.strip())
    return len(cells) > 1 and b"url" in {cell.strip(b' "').lower() for cell in cells}


def format_by(first: bytes, grammar: Grammar) -> Format:
    """The format of a list whose columns `grammar` names, by its first line."""
    line = first.strip()
    if line.startswith(b"{") and grammar.has_header:
        return "jsonl"
    return "tsv" if b"\t" in line else "csv"


def with_scheme(url: str, scheme: str) -> str:
    """The URL with `scheme` before it, if it begins with a domain or with `//`.

    What looks like a path, an e-mail address or another scheme stays as it is.
    """
    if url.startswith("//"):
        return f"{scheme}:{url}"
    return url if re.match(_NO_DOMAIN, url) else f"{scheme}://{url}"


def joined(base: "Url", url: str) -> str:
    """The URL, if it has a scheme of ours, else what it means relative to `base`.

    Raises BadTarget.
    """
    from scraper.model.urls import join

    if not url or "\0" in url or re.match(r"(?i)https?:", url):
        return url  # a NUL byte stays, to be told
    return join(base, url).href


def _of_cdx(known: Format | None, base: str | None) -> Format:
    if known not in {None, "jsonl", "cdxj"}:
        raise UsageError(f"--cdx-range reads lines of a CDX index in JSON, not {known}")
    if base is None:
        raise UsageError(
            "--cdx-range needs --base URL: an index names files, not URLs",
            hint="those of Common Crawl are at https://data.commoncrawl.org/",
        )
    return "cdxj"


def _base(given: str) -> "Url":
    from scraper.model.urls import parse  # few runs have a base

    try:
        return parse(given.strip())
    except BadTarget as error:
        raise UsageError(f"--base {given!r} is no URL: {error}") from None


def _column(option: str, given: str | None) -> Column | None:
    if given is None:
        return None
    name = given.strip()
    if not name:
        raise UsageError(f"{option} is empty: give a name or a number from 1 on")
    if not (name.isascii() and name.isdigit()):
        return name
    if int(name) < 1:
        raise UsageError(f"{option} {given}: columns are counted from 1 on")
    return int(name)
