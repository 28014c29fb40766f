"""The forms that bodies may be stored in (--store-compressed), and what is recorded of that.

Owns: their names, and what they do not go together with. Does not know: how a body is compressed.
"""

import re
from typing import NamedTuple

from scraper.model.errors import UsageError

ENDINGS = {"gzip": ".gz", "zstd": ".zst"}
_WEB_ARCHIVE = re.compile(r"warc:|(?i:warc(?:\+[a-z0-9+.-]+)?://)")  # not a directory `warcs`


class Compressed(NamedTuple):
    """How a body was compressed for the store, and the size and digest of the body itself."""

    form: str
    body_size: int
    body_sha256: str


def check(form: str | None, *, to: str) -> None:
    """Raise UsageError for another form, and for a destination that compresses by itself."""
    if form is None:
        return
    if form not in ENDINGS:
        raise UsageError(f"--store-compressed {form!r} is not {' or '.join(ENDINGS)}")
    if _WEB_ARCHIVE.match(to):
        raise UsageError("--store-compressed: the records of a web archive are compressed anyway")
