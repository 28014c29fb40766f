"""The input file of aria2 (`aria2c -i`).

A line has the URLs of one body, a TAB between them. Lines after it that begin with a blank are its
options, one a line. https://aria2.github.io/manual/en/html/aria2c.html#input-file

Owns: that grammar. Does not know: what fields mean (`fields.py`), in which order mirrors are asked.
Rejected: `dir=` as a place anywhere. A list must not write outside the destination.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from scraper.model.errors import BadTarget
from scraper.source.documents import Entry
from scraper.source.lines import BLANK, Note
from scraper.source.option_lines import Others, add_header, all_headers, numbered, text_of

_DIGESTS = {"md5": "md5", "sha-1": "sha1", "sha-256": "sha256", "sha-512": "sha512"}
_MOST_CHARS = 1 << 20  # of the options of one body


class _Body:
    """The URLs of one body, and its options so far. `wrong`: why it is no target."""

    def __init__(self, urls: list[str]) -> None:
        self._urls = urls
        self._options: dict[str, str] = {}
        self._headers: dict[str, str] = {}
        self._chars = 0
        self.wrong: BadTarget | None = None

    def add(self, text: str, number: int, others: Others) -> None:
        """Take an option line. Raises BadTarget; the message has no part of the line."""
        name, equals, value = (part.strip() for part in text.strip().partition("="))
        self._chars += len(text)
        if self._chars > _MOST_CHARS:
            raise BadTarget(
                f"line {number}: one URL has more than {_MOST_CHARS:,} bytes of options"
            )
        if not (equals and re.fullmatch(r"[a-z][a-z0-9-]*", name)):
            raise BadTarget(f"line {number}: an indented line is no option NAME=VALUE")
        if name == "header":
            add_header(self._headers, value, number)
        elif name in {"out", "dir", "user-agent", "referer"}:
            self._options[name] = value
        elif name == "checksum" and (kind := value.partition("=")[0].lower()) in _DIGESTS:
            self._options[_DIGESTS[kind]] = value.partition("=")[2]
        else:
            others.see(name)

    def entry(self) -> Entry:
        """What it says."""
        if self.wrong is not None:
            return self.wrong
        try:
            return self._fields()
        except BadTarget as error:
            return error

    def _fields(self) -> Mapping[str, Any]:
        given, (url, *mirrors) = self._options, self._urls
        referer = url if given.get("referer") == "*" else given.get("referer", "")
        headers = all_headers(self._headers, given.get("user-agent", ""), referer)
        fields: dict[str, Any] = {"url": url, "key": _key(given, url)}
        fields |= {name: given[name] for name in _DIGESTS.values() if name in given}
        if mirrors:
            fields["urls"] = mirrors
        return fields | ({"headers": headers} if headers else {})


def read_aria2(pieces: Iterable[bytes], name: str, note: Note) -> Iterator[Entry]:
    """What the list `name` says. See `read_entries`."""
    others, body, has_told = Others(name, note), None, False
    for number, line in numbered(pieces):
        if not line.strip() or line.startswith(b"#"):
            continue
        is_option = line[:1] in {b" ", b"\t"}
        if not is_option and body is not None:
            yield body.entry()
        try:
            text = text_of(line, number)
            if not is_option:
                body = _Body([one for part in text.split("\t") if (one := part.strip(BLANK))])
            elif body is not None:
                body.add(text, number, others)
            elif not has_told:  # once: those that follow are of the same URL
                has_told = True
                yield BadTarget(f"line {number}: an option without a URL before it")
        except BadTarget as error:
            if not is_option or body is None:
                body = _Body([])
            body.wrong = body.wrong or error
    if body is not None:
        yield body.entry()


def _key(given: Mapping[str, str], url: str) -> str:
    """The key: below `dir=`, `out=` or the file's name in the URL; "" where neither is given."""
    out, folder = given.get("out", ""), given.get("dir", "")
    if folder.startswith("/"):
        raise BadTarget(f"dir={folder} is absolute: it leaves the destination")
    if not folder:
        return out
    path = re.split(r"[?#]", url, maxsplit=1)[0]
    return f"{folder}/{out or unquote(path.rpartition('/')[2]) or 'index.html'}"
