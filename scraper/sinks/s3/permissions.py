"""Which permission is missing, where the store does not name it.

Amazon names it in its message. radosgw does not, and an answer to HEAD has no message at all. A
read of a key that is absent is refused without s3:ListBucket too: nobody may find out by reading
what is there. So the list is asked for, and an object that is certainly there is read.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html (Permissions)

Owns: these questions. They are asked once a permission is known to be missing, never before.
"""

import contextlib
from collections.abc import Callable
from hashlib import sha256

from scraper.sinks.objects.metadata import Facts
from scraper.sinks.objects.service import PROBE
from scraper.sinks.s3.bucket import Bucket
from scraper.sinks.s3.errors import S3Error

_READ, _LIST = "s3:GetObject", "s3:ListBucket"


def missing_permission(denied: str, bucket: Bucket, probe: str) -> str:
    """The permissions that are missing, where a request failed that needs `denied`.

    `probe` is the key of an object that may be put and deleted to find out; "" if none may.
    """
    if denied != _READ or not _is_denied(lambda: next(bucket.list(probe), None)):
        return denied
    if not probe:
        return f"{_LIST} (or {_READ})"
    try:
        bucket.put(probe, PROBE, Facts(sha256(PROBE).hexdigest()))
        return f"{_READ}, {_LIST}" if _is_denied(lambda: bucket.stat(probe)) else _LIST
    except S3Error:
        return f"{_LIST} (or {_READ})"
    finally:
        with contextlib.suppress(S3Error):
            bucket.delete(probe)


def _is_denied(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except S3Error as error:
        return bool(error.denied)
    return False
