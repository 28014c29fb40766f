"""What a sink knows of an object without reading it, and whether it is the recorded one.

A run may be killed after it has stored a body and before it has recorded it. Then the destination
holds another body than the manifest says, perhaps of the same length. A sink with a method
`object_stat` can tell them apart: by the digest that was stored beside the bytes (S3), or by the
time that the object was given (a directory).

The rules:
- An object's time is the response's Last-Modified, else the time of the fetch, cut to a
  millisecond as in the manifest. A Last-Modified that not every file system can keep (before 1970
  or after 2038) counts as none.
- A file system, or a tool that copied the files, may keep coarser times. A time matches if it is
  the recorded one cut to 10 ms (exFAT), 1 s (HFS+, ext3, tar) or 2 s (FAT).
- What is not known on both sides is not compared.

Owns: these rules. Does not know: where a sink keeps the facts, or how a record is kept.
Rejected: reading the object (`scraper verify` does). Rejected: a file's inode and ctime; a
destination that was copied or restored from a backup would be fetched anew. Rejected: extended
attributes; many file systems and copying tools drop them.
"""

from functools import lru_cache
from typing import NamedTuple

from scraper.model.dates import parse_http_date

_KEPT_BY_ALL_S = 2**31  # from 1970 on
_LONGEST = 40  # characters of a date, more than any form of RFC 9110 has
_COARSE_MS = (10, 1000, 2000)


class ObjectStat(NamedTuple):
    """What a sink knows of an object. None is unknown.

    `size` is in bytes. `sha256` is that of the body, hexadecimal, as `commit` was given it.
    `modified_ms` is the object's time in milliseconds since 1970. A sink tells it only if
    `commit` sets it to `Body.modified_ms`. `own_ms` is when the bytes were fetched or last changed,
    as far as that is stored beside them where they have no such time.
    """

    size: int
    sha256: str | None = None
    modified_ms: int | None = None
    own_ms: int | None = None


def is_recorded(
    found: ObjectStat | None, size: int | None, digest: bytes | None, modified_ms: int | None
) -> bool:
    """Whether `found` is the object of a record with these facts, as far as can be told."""
    if found is None or found.size != size:
        return False
    if found.modified_ms != modified_ms and not _may_be(found.modified_ms, modified_ms):
        return False
    return found.sha256 is None or digest is None or digest_of(found.sha256) in {None, digest}


def _may_be(there_ms: int | None, recorded_ms: int | None) -> bool:
    if there_ms is None or recorded_ms is None:
        return True
    return there_ms in [recorded_ms // coarse * coarse for coarse in _COARSE_MS]


def digest_of(sha256: object) -> bytes | None:
    """The 32 bytes of a hexadecimal SHA-256. None if it is not one."""
    try:
        digest = bytes.fromhex(sha256)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        return None
    return digest if len(digest) == 32 else None


def modified_ms(last_modified: str | None, fetched_ms: int) -> int:
    """The time that an object gets, in milliseconds since 1970. `fetched_ms`: of the fetch."""
    given = given_ms(last_modified)
    return fetched_ms if given is None else given


def given_ms(last_modified: str | None) -> int | None:
    """The same where the response alone gives the time. None if the fetch does."""
    if last_modified is None:
        return None
    cached = len(last_modified) <= _LONGEST  # longer ones would make the cache large
    return (_given_ms if cached else _given_ms.__wrapped__)(last_modified)


@lru_cache(maxsize=256)  # many files of a server were made in the same second
def _given_ms(last_modified: str) -> int | None:
    modified = parse_http_date(last_modified)
    if modified is None or not 0 <= modified < _KEPT_BY_ALL_S:
        return None
    return int(modified * 1000)
