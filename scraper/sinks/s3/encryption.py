"""Encryption at rest, as `--s3-sse` asks for it.

Owns: its form, and what a put says of it, in boto3's words and in headers. Does not know: requests.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/serv-side-encryption.html
"""

import re
from typing import Any

from scraper.model.settings import S3

_SSE = re.compile(r"(AES256)|(aws:kms(?::dsse)?)(?::(.+))?")


def parse_sse(sse: str) -> tuple[str, str | None]:
    """`AES256` or `aws:kms[:dsse][:KEY-ID]` as (algorithm, key). Raises ValueError."""
    found = _SSE.fullmatch(sse)
    if found is None:
        raise ValueError(f"{sse!r} is not AES256, aws:kms or aws:kms:KEY-ID")
    return found[1] or found[2], found[3]


def encryption(s3: S3) -> dict[str, Any]:
    """The arguments of a put."""
    if not s3.sse:
        return {}
    algorithm, key = parse_sse(s3.sse)
    return {"ServerSideEncryption": algorithm, **({"SSEKMSKeyId": key} if key else {})}


def encryption_headers(s3: S3) -> dict[str, str]:
    """The headers of a put."""
    if not s3.sse:
        return {}
    algorithm, key = parse_sse(s3.sse)
    name = "x-amz-server-side-encryption"
    return {name: algorithm, **({f"{name}-aws-kms-key-id": key} if key else {})}
