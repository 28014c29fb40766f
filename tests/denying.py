"""A store that denies single actions, as Amazon does: the fault of a Front.

    with Front(s3.url, denying(s3, "ListBucket")) as front: ...

`words` is what the store says; radosgw says nothing (SILENT).
"""

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from tests.s3servers import Asked, Refusal, S3Server

ALL = ("PutObject", "GetObject", "ListBucket", "DeleteObject", "AbortMultipartUpload")
NEEDED = ALL[:3]  # by every run
_WHO = "User: arn:aws:iam::123456789012:user/me"
WORDS = f"{_WHO} is not authorized to perform: s3:{{}} on resource: {{}}"
SILENT = "Access Denied"


def denying(
    server: S3Server, *actions: str, words: str = WORDS
) -> Callable[[Asked], Refusal | None]:
    """Who may not list may not find out by reading what is absent either."""

    def fault(asked: Asked) -> Refusal | None:
        action, path = _action(asked), urlsplit(asked.path).path.lstrip("/")
        bucket, _, key = path.partition("/")
        if action == "GetObject" and action not in actions and "ListBucket" in actions:
            action = action if key in server.keys(bucket) else "ListBucket"
        if action not in actions:
            return None
        resource = bucket if action == "ListBucket" else path
        return Refusal(403, "AccessDenied", words.format(action, f'"arn:aws:s3:::{resource}"'))

    return fault


def _action(asked: Asked) -> str:
    """The permission that a request needs."""
    lists = "list-type" in parse_qs(urlsplit(asked.path).query)
    actions = {"DELETE": "DeleteObject", "DELETE abort": "AbortMultipartUpload"}
    reading = "ListBucket" if lists else "GetObject"
    return actions.get(asked.operation) or (
        reading if asked.operation in {"GET", "HEAD"} else "PutObject"
    )
