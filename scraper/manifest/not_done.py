"""Targets that are not done: the last record of each one, and a line of a list that names it again.

A target is not done if its last record is a failure of any kind: `failed`, `deferred` or
`not_reached`. A target whose key another URL has taken since is not among them: it was stored,
and fetching it again would only take the key back. `scraper verify` tells those.

A line of a list that names no target has no key. It is known by its list and its number there. It
is forgotten when a later record is of that line, because the line was corrected.

A line that this module writes was read back by the reader of lists. So it names the same target
with the same key, or there is no line at all.

Owns: which records these are, which of them a user asks for, and those lines. Does not know: how
they are shown (`cli/failed.py`), who fetches them. Rejected: a dict of last records, which takes
gigabytes; the index takes 16 MB, and the manifest is read twice. Rejected: the index that a run
keeps beside the manifest. Only a run that holds the manifest may write to it.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from enum import Enum, auto
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import orjson

from scraper.manifest.codec import Reading
from scraper.manifest.identity import REDACTED, of_record, plain
from scraper.manifest.index import Index, told
from scraper.manifest.record import as_json
from scraper.model import urls
from scraper.model.errors import BadTarget, Kind
from scraper.model.records import Target
from scraper.model.stored_forms import ENDINGS
from scraper.source import lists
from scraper.source.keys import url_key
from scraper.source.sources import from_iterable
from scraper.source.stored_form import in_form

Record = Mapping[str, Any]


def not_done(lines: Callable[[], Iterator[bytes]], reading: Reading) -> Iterator[dict[str, Any]]:
    """The last record of every target that is not done, in the order of the manifest.

    `lines` gives the manifest's lines from the start; it is called twice. Raises what `lines`
    raises, Unusable, and UsageError for the manifest of another destination than `reading` has.
    """
    with contextlib.closing(Index("", reading)) as index:
        yield from absorbed(index, lines)


def absorbed(
    index: Index,
    lines: Callable[[], Iterator[bytes]],
    on_record: Callable[[dict[str, Any]], None] | None = None,
) -> Iterator[dict[str, Any]]:
    """The same, by an empty `index`, which keeps what it has absorbed.

    `on_record` hears of every record in order, since a line is parsed once.
    """
    with contextlib.closing(BadLines()) as bad:

        def seen(number: int, record: dict[str, Any]) -> None:
            bad.see(number, record)
            if on_record is not None:
                on_record(record)

        index.absorb(lines(), seen)
        flags = index.failures()
        for number in bad.numbers():
            flags[number] = 1
        for flag, line in zip(flags, lines(), strict=False):
            if flag:
                yield orjson.loads(line)


class BadLines:
    """Lines of lists that name no target: the number (from 0) of the last record of each."""

    @told()
    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=OFF")
        self._db.execute("CREATE TABLE bad (place INTEGER PRIMARY KEY, number INTEGER)")
        self._any = False

    def see(self, number: int, record: Record) -> None:
        """Look at the record at `number`."""
        if self._any or kind_of(record) == Kind.BAD_URL:
            self._look(number, record)

    @told()
    def numbers(self) -> list[int]:
        """Where these records are."""
        return [number for (number,) in self._db.execute("SELECT number FROM bad")]

    @told()
    def close(self) -> None:
        """Forget everything."""
        self._db.close()

    @told()
    def _look(self, number: int, record: Record) -> None:
        with contextlib.suppress(ValueError, LookupError, TypeError):  # not a record of ours
            place = urls.fingerprint(f"{record['line']}\0{record['source']}")
            if "key" in record or kind_of(record) != Kind.BAD_URL:
                self._db.execute("DELETE FROM bad WHERE place = ?", (place,))
            else:
                self._db.execute("INSERT OR REPLACE INTO bad VALUES (?, ?)", (place, number))
                self._any = True


def kind_of(record: Record) -> str:
    """The kind of its failure, "" if it tells none."""
    error = record.get("error")
    kind = error.get("kind") if isinstance(error, dict) else None
    return kind if isinstance(kind, str) else ""


def host_of(record: Record) -> tuple[str, str]:
    """The host of its URL, with its port where the URL has one, and without it."""
    try:
        origin = urls.parse(record["url"]).origin
    except BadTarget:
        return "", ""
    return origin.host, origin.hostname


class Wanted(NamedTuple):
    """Which records are asked for. An empty field asks for all.

    `codes` are HTTP statuses, or classes of them (`5xx`). `kinds` are those of errors. `hosts`
    are patterns as of a shell, with or without a port.
    """

    codes: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()

    def has(self, record: Record) -> bool:
        """Whether `record` is one of them."""
        if self.codes:
            code = str(record.get("http_code", ""))
            if code not in self.codes and f"{code[:1]}xx" not in self.codes:
                return False
        if self.kinds and kind_of(record) not in self.kinds:
            return False
        if self.hosts:
            names = host_of(record)
            return any(fnmatchcase(name, host) for host in self.hosts for name in names)
        return True


class Missing(Enum):
    """Why no line of a list can name the target of a record again."""

    TARGET = auto()  # it is none, or another target of its list has its key: `bad_url`
    SECRET = auto()  # the manifest does not keep secrets of URLs, nor headers of JSON lines
    KEY = auto()  # a list can't give the key
    PLAIN = ""  # its run had no --store-compressed, and this one has
    GZIP = "gzip"  # its run had this one
    ZSTD = "zstd"


def form_of(record: Record) -> str:
    """The form that its body is stored in (--store-compressed), "" for none."""
    form = record.get("compressed")
    return form if form in ENDINGS else ""


def list_line(record: Record, form: str | None = None) -> bytes | Missing:
    """The line of a list, without its end, that names the target of `record` with its key.

    It names it in a run with --store-compressed `form`, which gives the key its ending. The line is
    `URL`, `URL<TAB>key` if the rule `url` makes another key, or JSON if the URL has characters that
    a terminal must not see, if a size or a digest is expected, or if it has mirrors. One mirror
    with a secret is enough for none: without it the target might fail for good.
    """
    if "key" not in record or kind_of(record) == Kind.BAD_URL:
        return Missing.TARGET
    url, key = record["url"], record["key"].removesuffix(ENDINGS.get(form_of(record), ""))
    others = _others(record)
    if any(REDACTED in one for one in (url, *others)) or "headers" in record:
        return Missing.SECRET
    target = of_record(record), form_of(record)
    more = dict(record.get("expected") or {})
    if others:
        more["urls"] = others
    if url.isprintable() and key.isprintable() and not more:
        for text in (url, f"{url}\t{key}"):
            if _named_by(line := text.encode(), form) == target:
                return line
    line = as_json({"url": url, "key": key, **more})
    if _named_by(line, form) == target:
        return line
    return Missing.KEY if form_of(record) == (form or "") else Missing(form_of(record))


def _others(record: Record) -> list[str]:
    """The other URLs of its target."""
    given = record.get("urls")
    texts = [one for one in given if isinstance(one, str)] if isinstance(given, list) else []
    return [one for one in texts if one != record["url"]]


def _named_by(line: bytes, form: str | None) -> tuple[int, str] | None:
    """Identity and form of the target that `line` names in a run with --store-compressed `form`.

    None if it names none.
    """
    for target in lists.read(from_iterable([line]), url_key):
        if isinstance(target, Target):
            named = in_form(target, form) if form else target
            return plain(named.key, named.url, named.userinfo), named.compressed
    return None
