"""A list that can be read once only, kept in a temporary file so that it can be read again.

Planning reads a list twice: to count its hosts, and to divide its lines. Files, and lists at URLs,
which were fetched, are read again from where they are.

Owns: that copy, which has no name and ends with the process. Does not know: who reads it.
"""

import hashlib
import io
import tempfile
from collections.abc import Generator
from contextlib import closing
from itertools import islice

from scraper.model.errors import ListError
from scraper.source.grammar import DOCUMENTS
from scraper.source.lines import Unbuffered, read_lines, read_pieces
from scraper.source.sources import Source, by_its_first_line

_AT_ONCE = 1_000  # lines


def spooled(source: Source) -> Source:
    """The same list, which can be read several times. Raises ListError."""
    if not source.unseen:
        return source
    if source.format is None:
        source = by_its_first_line(source)
    file = tempfile.TemporaryFile()  # noqa: SIM115 - it is read until the process ends
    is_document = source.format in DOCUMENTS
    try:
        with closing(source.open()) as lines:
            for line in lines:
                file.write(line)
                if not is_document and not line.endswith(b"\n"):
                    file.write(b"\n")
    except OSError as error:
        raise ListError(f"can't keep the list {source.name!r}: {error.strerror}") from None

    def opened() -> Generator[bytes, None, None]:
        file.seek(0)
        if is_document:
            return read_pieces(io.BufferedReader(Unbuffered(file.read)), source.name)
        return read_lines(io.BufferedReader(Unbuffered(file.read)), source.name, is_known=True)

    return source._replace(open=opened, unseen=False)


def digest_of(sources: "list[Source]") -> str:
    """What tells these lists from others: a digest of all their bytes, and of how they are read."""
    found = hashlib.sha256()
    for source in sources:
        grammar = source.grammar._replace(base=None)
        base = source.grammar.base
        found.update(repr((source.name, source.format, grammar, base and base.href)).encode())
        with closing(source.open()) as lines:
            while piece := b"".join(islice(lines, _AT_ONCE)):
                found.update(piece)
    return found.hexdigest()
