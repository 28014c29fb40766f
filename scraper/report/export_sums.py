"""An export as a checksum file, in the form of `sha256sum`: digest, two spaces, key.

GNU's sha256sum writes a name with a backslash, a line feed or a carriage return escaped, and begins
such a line with a backslash. So does this.

Owns: this form, and which records have a line. Does not know: where it goes.
"""

from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

from scraper.sinks.object_stat import digest_of

_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", "\r": r"\r"})


def write_sums(records: Iterable[Mapping[str, Any]], output: BinaryIO) -> int:
    """Write a line for each object. The number of those whose digest nobody knows.

    Raises OSError, and what `records` raises.
    """
    unknown = 0
    for record in records:
        digest = sha256_of(record)
        if digest is None:
            unknown += 1
        else:
            output.write(_line(digest, record["key"]))
    return unknown


def sha256_of(record: Mapping[str, Any]) -> str | None:
    """The digest of the object of `record`, in lower case. None if nobody knows it."""
    digest = digest_of(record.get("sha256"))
    return None if digest is None else digest.hex()


def _line(digest: str, key: str) -> bytes:
    escaped = key.translate(_ESCAPES)
    mark = "" if escaped == key else "\\"
    return f"{mark}{digest}  {escaped}\n".encode("utf-8", "surrogateescape")
