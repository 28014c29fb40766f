"""What a line of a list says: its URL, and what else it gives.

Owns: the forms that one line may have, and what options add to its URLs. Does not know: tables and
documents (`lists.py`), which key a URL gets.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson

from scraper.model.errors import BadTarget
from scraper.model.records import NO_HEADERS
from scraper.source.grammar import STORAGE_TRANSFER, joined, with_scheme
from scraper.source.lines import BLANK, LINE_BREAK, Note, in_one_line
from scraper.source.sources import Source

if TYPE_CHECKING:
    from scraper.source.bag import Bag
    from scraper.source.fields import Fields, Parts
    from scraper.source.mirrors import Mirrors
    from scraper.source.published import ReadLine

_RECORDED = frozenset({"lastmod", "range_start"})  # of a list of another format


class Line:
    """What the lines of the list `source` mean. `note` hears what is to be said of it."""

    def __init__(self, source: Source, note: Note) -> None:
        grammar = source.grammar
        self.source, self._note = source.name, note
        self._columns = grammar.url_column, grammar.key_column
        self._scheme, self._base = grammar.scheme, grammar.base
        self._only_json = source.format == "jsonl"
        self._has_own_names = source.format not in {None, "lines", "jsonl"}
        self._read: ReadLine | None = None
        self._bag: Bag | None = None
        if source.format == "bagit":
            from scraper.source import bag  # few lists are of one

            self._bag = bag.Bag(source.path)
            self._read = self._bag.of_fetch_txt
        elif source.format in {"sums", "gcs", "m3u"}:
            from scraper.source import published  # few lists are

            self._read = published.reader_of(source.format, source.name)
        elif source.format == "cdxj":
            from scraper.source import captures  # few lists are

            self._read = captures.reader_of(ranges=grammar.cdx_range)

    @cached_property
    def fields(self) -> "Fields":
        """What the fields of JSON mean here."""
        from scraper.source.fields import Fields  # few lists have some

        if self._has_own_names:
            return Fields(self.source, self._note)
        url, key = (name if isinstance(name, str) else None for name in self._columns)
        return Fields(self.source, self._note, url, key)

    @cached_property
    def mirrors(self) -> "Mirrors":
        """What other URLs of one body mean here."""
        from scraper.source.mirrors import Mirrors  # few targets have some

        return Mirrors(self.source, self._note)

    def parts(self, text: str) -> "Parts | None":
        """What a line gives. None for a blank line and for a comment. Raises BadTarget."""
        if not text or text.isspace():
            return None
        if self._read is not None:
            told = self._read(text)
            return None if told is None else self.of_fields(told)
        if text[0] == "{" or self._only_json:
            parts = self._json(_parse_json(text))
        elif "\r" in text or "\n" in text:  # in a comment too: it would hide a line
            raise BadTarget(LINE_BREAK)
        elif text[0] == "#":
            return None
        else:
            if text == STORAGE_TRANSFER:
                from scraper.source import published  # few lists are

                self._read = published.reader_of("gcs")
                return None
            url, _, key = text.partition("\t")
            if "\t" in key and not key.isspace():
                raise BadTarget("line has two TABs: it is URL, or URL<TAB>key")
            parts = url.rstrip(BLANK), key.strip(), NO_HEADERS, None, ()
        return self.completed(parts)

    def of_fields(self, told: Mapping[str, Any]) -> "Parts":
        """What these fields of a list of another format give. Raises BadTarget."""
        known = {name: value for name, value in told.items() if name not in _RECORDED}
        url, key, headers, expected, mirrors = self.fields.parts(known, "a line")
        if expected is not None and "range_start" in told:
            expected = expected._replace(first=told["range_start"])
        return self.completed((url, key, headers, expected, mirrors))

    def completed(self, parts: "Parts") -> "Parts":
        """The same, with what its URLs lack. Raises BadTarget."""
        if not self._scheme and self._base is None:
            return parts
        url, key, headers, expected, mirrors = parts
        if not mirrors:
            return self._whole(url), key, headers, expected, ()
        from scraper.source.mirrors import each_completed

        first, *others = each_completed((url, *mirrors), self._whole)
        return first, key, headers, expected, others

    def close(self) -> None:
        """Forget what lies beside the list."""
        if self._bag is not None:
            self._bag.close()

    def _whole(self, url: str) -> str:
        if self._scheme:
            url = with_scheme(url, self._scheme)
        return url if self._base is None else joined(self._base, url)

    def _json(self, given: object) -> "Parts":
        """What a JSON line gives. In JSON Lines a text is a URL too."""
        if isinstance(given, dict):
            return self.fields.parts(given, "a JSON line")
        if isinstance(given, str):
            return in_one_line(given), "", NO_HEADERS, None, ()
        raise BadTarget("line is JSON, but neither an object nor a text")


def _parse_json(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadTarget(f"line is not JSON: {error}") from None
