"""What is stored beside the bytes of an object in S3, and is read back.

Owns: the names of that metadata, ours and those that other programs use. Does not know: requests.
"""

import re
from collections.abc import Mapping

from scraper.model.dates import parse_rfc3339
from scraper.sinks.object_stat import ObjectStat

DIGEST = "sha256"  # the digest of the body
FETCHED_AT = "fetched-at"  # the time of the fetch
_SECONDS = re.compile(r"(\d{1,11})(?:\.(\d{1,9}))?", re.ASCII)


def stat_of(size: int, metadata: Mapping[str, str]) -> ObjectStat:
    """What is known of an object. Endpoints write the names of metadata in different case."""
    told = {name.lower(): value for name, value in metadata.items()}
    own_ms = _own_ms(told.get(FETCHED_AT), told.get("mtime"))
    return ObjectStat(size, told.get(DIGEST), own_ms=own_ms)


def _own_ms(fetched_at: str | None, mtime: str | None) -> int | None:
    """When an object was fetched, or its file was changed, in milliseconds since 1970.

    `mtime` is seconds since 1970, as rclone and file systems on S3 write it
    (https://rclone.org/s3/#modification-times-and-hashes).
    """
    if fetched_at is not None:
        return parse_rfc3339(fetched_at)
    found = _SECONDS.fullmatch(mtime or "")
    return int(found[1]) * 1000 + int((found[2] or "0")[:3].ljust(3, "0")) if found else None
