"""Whether an endpoint does what it was asked for: encryption, a storage class.

Some stores accept the headers and ignore them. A run that was told to encrypt must not find that
out in an audit. So the answer to the first put, the probe, is looked at.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html (Response Syntax)

Owns: what counts as a confirmation. It is pure. Does not know: requests, or what a run does then.
"""

from collections.abc import Callable, Mapping
from typing import Any

from scraper.model.settings import S3
from scraper.sinks.s3.encryption import parse_sse

_USUAL = "STANDARD"  # a head does not tell it


def unconfirmed(
    s3: S3, answer: Mapping[str, Any], storage_classes: Callable[[], tuple[str, str]]
) -> str:
    """What was asked for and is not confirmed, with what is told instead. "" if all of it is.

    `answer` is that of the put. `storage_classes` asks for what `Bucket.storage_classes` returns;
    it is called only if a class was asked for.
    """
    found = []
    if s3.sse and (why := _other_encryption(s3.sse, answer)):
        found.append(f"--s3-sse {s3.sse} (it tells {why})")
    if s3.storage_class and (why := _other_class(s3.storage_class, *storage_classes())):
        found.append(f"--s3-storage-class {s3.storage_class} (it tells {why})")
    return ", ".join(found)


def hint_of_refusal(s3: S3, status: int) -> str:
    """What may be why an endpoint refused the probe with this status. "" if nothing is."""
    options = {"--s3-sse": s3.sse, "--s3-storage-class": s3.storage_class}
    asked = ", ".join(f"{name} {value}" for name, value in options.items() if value)
    return f"it was asked for {asked}" if asked and status in {400, 501} else ""


def _other_encryption(sse: str, answer: Mapping[str, Any]) -> str:
    algorithm, key = parse_sse(sse)
    told, told_key = answer.get("ServerSideEncryption"), answer.get("SSEKMSKeyId", "")
    if told != algorithm:
        return told or "no encryption"
    if key is None or _is_same_key(key, told_key):
        return ""
    return f"the key {told_key}" if told_key else "no key"


def _is_same_key(asked: str, told: str) -> bool:
    """Amazon answers with the ARN of the key. An alias does not show which one it is."""
    if "alias/" in asked:
        return bool(told)
    return asked.rpartition("/")[2] == told.rpartition("/")[2]


def _other_class(asked: str, head: str, listed: str) -> str:
    others = [told for told in (head or _USUAL, listed or asked) if told != asked]
    return others[0] if others else ""
