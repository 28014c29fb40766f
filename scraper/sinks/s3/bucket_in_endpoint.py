"""An endpoint that has the bucket in its URL, as some consoles show it: `https://host/bucket`.

The aws command asks such an endpoint for `/bucket/bucket/key`, and so do we. A put succeeds, and
the object has another key than it should have; a list fails. So it is told, and the endpoint that
was meant. It is not mended: a store may lie behind a path that has the name of the bucket.

Owns: that question. It is asked only where the URL looks so.
"""

from urllib.parse import urlsplit

from scraper.sinks.s3.bucket import Bucket
from scraper.sinks.s3.errors import S3Error


def refuse_bucket_in_endpoint(bucket: Bucket, key: str) -> None:
    """Raise S3Error if the object `key`, which was just put, is not in the bucket's list."""
    meant = without_bucket(bucket.endpoint, bucket.name)
    if meant is None:
        return
    try:
        found = any(entry.key == key for entry in bucket.list(key))
    except S3Error as error:
        if error.denied or error.transient:
            raise
        found = False
    if not found:
        text = f"the endpoint {bucket.endpoint} has the bucket in it; without it: {meant}"
        raise S3Error(text, fatal=True)


def hint_of_endpoint(bucket: Bucket, error: S3Error) -> str:
    """The way out where `error` says that there is no bucket or no key; "" if it is another one."""
    return hint_of_name(bucket) if error.status == 404 else ""


def hint_of_name(bucket: Bucket) -> str:
    """The same, whatever went wrong."""
    meant = without_bucket(bucket.endpoint, bucket.name)
    return f"the endpoint has the bucket in it; without it: {meant}" if meant else ""


def without_bucket(endpoint: str, bucket: str) -> str | None:
    """The endpoint without the bucket at the end of its path, or at the start of its host's name.

    None if it is at neither.
    """
    parts = urlsplit(endpoint)
    path = parts.path.rstrip("/")
    if path.rpartition("/")[2] == bucket:
        return parts._replace(path=path.rpartition("/")[0]).geturl()
    if parts.netloc.startswith(f"{bucket}."):
        return parts._replace(netloc=parts.netloc.removeprefix(f"{bucket}.")).geturl()
    return None
