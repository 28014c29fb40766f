"""CDXJ: the index of an archive file, by which players find a page.

A line is `SURT TIMESTAMP JSON`, as cdxj-indexer writes it, byte for byte. The lines are sorted as
bytes. A 304 has no line: a player would answer with its empty body.

Owns: the line, and how a file of many lines is sorted in bounded memory. Does not know: where
lines are kept until their file is finished.
"""

import heapq
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _quoted  # as json.dumps does
from typing import IO

from scraper.sinks.warc.surts import surt_of

_NO_DIGIT = re.compile(r"[-:T]")
_PARAMETER = re.compile(r"[;\s]")
_AT_ONCE = 20_000  # lines that are sorted in memory


def line_of(  # noqa: PLR0913 - the fields of a line
    url: str,
    date: str,
    *,
    mime: str,
    status: str,
    digest: str,
    length: int,
    offset: int,
    filename: str,
) -> str:
    """The line of a record, without its line feed. `date`: its WARC-Date."""
    return (
        f'{surt_of(url)} {_digits_of(date[:19])} {{"url": {_quoted(url)}, {_kind_of(mime)}'
        f'"status": "{status}", "digest": "{digest}", "length": "{length}", "offset": "{offset}", '
        f'"filename": {_quoted(filename)}}}'
    )


@lru_cache(256)
def _kind_of(media_type: str) -> str:
    kind = _PARAMETER.split(media_type, maxsplit=1)[0]
    return f'"mime": {_quoted(kind)}, ' if kind else ""


@lru_cache(64)
def _digits_of(second: str) -> str:
    return _NO_DIGIT.sub("", second)


def in_order(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The lines with their line feeds, sorted, each once. Raises OSError."""
    with ExitStack() as stack:
        runs: list[Iterable[bytes]] = []
        batch: list[bytes] = []
        for line in lines:
            batch.append(line + b"\n")
            if len(batch) >= _AT_ONCE:
                file: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())
                file.writelines(sorted(batch))
                file.seek(0)
                runs.append(file)
                batch = []
        last = b""
        for one in heapq.merge(*runs, sorted(batch)):
            if one != last:
                yield one
            last = one
