"""ListIndex: the lists that a list names, such as the sitemaps of an index.

They are opened one after another, as the index is read. So the first targets do not wait for the
last sitemap. An index may name itself, or indexes without end: each list is read once, and depth
and number are bounded.

Owns: these bounds, and what may be opened. A list at a URL names lists at http(s) URLs only, since
it must not make us read files or buckets. A file may name files beside it and below. Does not know:
how a list is fetched (the run passes a function for that), what is in it. Rejected: all of them at
once, before the run; an index of 50,000 sitemaps would take hours to begin.
"""

import os
import re
from collections.abc import Callable
from urllib.parse import unquote

from scraper.model import urls
from scraper.model.errors import BadTarget, ListError
from scraper.source.grammar import joined
from scraper.source.sources import RemoteList, Source, file_source, remote_source

MAX_DEPTH = 5  # of indexes in indexes; the protocol knows none
MAX_LISTS = 100_000  # of one index; the protocol allows 50,000


class ListIndex:
    """The lists that `source` names, and those that these name.

    `stopped` says whether the run has ended.
    """

    def __init__(self, source: Source, stopped: Callable[[], bool]) -> None:
        self.stopped, self.name = stopped, source.name
        self._source, self._depth = source, 1
        self._seen: set[int] = set()
        self._fetched: RemoteList | None = None

    def of(self, child: Source) -> "ListIndex":
        """The lists that a list of this index names."""
        below = ListIndex(child, self.stopped)
        below._depth, below._seen = self._depth + 1, self._seen
        return below

    def open(self, url: str) -> Source | None:
        """The list at `url`, None if it was read already.

        Raises ListError or another ScraperError if it can't be had.
        """
        url, path = self._place(url)
        mark = urls.fingerprint(path or url)
        if mark in self._seen:
            return None
        if len(self._seen) >= MAX_LISTS:
            raise ListError(f"an index names more than {MAX_LISTS:,} lists")
        self._seen.add(mark)
        if self._depth > MAX_DEPTH:
            raise ListError(f"it lies deeper than {MAX_DEPTH} indexes")
        source = self._source
        grammar = source.grammar._replace(format=None, url_column=None, key_column=None)
        if path:
            child = file_source(path, grammar)
        else:
            assert source.open_child is not None
            self._fetched = source.open_child(url, self.stopped)
            child = remote_source(url, self._fetched, grammar)
        return child._replace(open_child=source.open_child)

    def close(self) -> None:
        """Give back what the list that was opened last has."""
        if self._fetched is not None:
            self._fetched.close()
            self._fetched = None

    def _place(self, url: str) -> tuple[str, str]:
        """The URL of a list, or the path of its file. Raises ListError."""
        base = self._source.grammar.base
        try:
            if base is not None:
                url = joined(base, url)
            if self._source.path and not re.match(r"(?i)[a-z][a-z0-9+.-]*:", url):
                return "", self._beside(url)
            urls.parse(url)
        except BadTarget as error:
            raise ListError(f"can't open the list {urls.redact_wreck(url)!r}: {error}") from None
        return url, ""

    def _beside(self, name: str) -> str:
        path = os.path.normpath(unquote(name))
        if os.path.isabs(path) or path.split(os.sep)[0] == os.pardir or "\0" in path:
            raise BadTarget("it does not lie beside the index")
        return os.path.join(os.path.dirname(self._source.path), path)
