"""The index of an archive file that has none, made from its records.

Its lines are those that were written with the records, byte for byte: all that they say is in the
records' headers and in the heads of HTTP.

Owns: which records have a line. One without the digest of a payload has none: it is a 304, or its
body was not to be kept. Does not know: where the index lies.
"""

from collections.abc import Iterator
from typing import BinaryIO

from scraper.sinks.warc.cdxj import line_of
from scraper.sinks.warc.heads import Head
from scraper.sinks.warc.reading import Found, walk


def lines_from(file: BinaryIO, name: str) -> Iterator[str]:
    """The lines of the archive file `name`, in its order. Raises NotWhole and OSError."""
    for found in walk(file):
        if found.kind in {"response", "revisit"} and "warc-payload-digest" in found.fields:
            yield _line(found, name)


def _line(found: Found, name: str) -> str:
    lines = [line + b"\r\n" for line in found.block.partition(b"\r\n\r\n")[0].split(b"\r\n")]
    is_revisit = found.kind == "revisit"
    return line_of(
        found.fields.get("warc-target-uri", ""),
        found.fields.get("warc-date", ""),
        mime="warc/revisit" if is_revisit else Head(lines, secret=False).media_type,
        status=lines[0].split(maxsplit=2)[1].decode("latin-1"),
        digest=found.fields["warc-payload-digest"],
        length=found.length,
        offset=found.offset,
        filename=name,
    )
