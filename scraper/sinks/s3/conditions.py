"""How an endpoint takes the condition of a put, found out by what it answers.

Endpoints differ. Amazon takes an ETag in its quotes. radosgw 16 answers 412 to it, though the
object has this ETag, and takes it without quotes. Swift answers 501 to If-Match in any form. So
there is a list of forms, and the next one is taken when one proves useless. The last form asks for
nothing: who puts has judged the condition just before.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html

Owns: these forms, and which one is taken. Does not know: requests.
"""

from collections.abc import Mapping

_ABSENT: tuple[Mapping[str, str], ...] = ({"IfNoneMatch": "*"}, {})


class Conditions:
    """What was found out about one endpoint. Threads may share it: they find out the same."""

    def __init__(self) -> None:
        self._useless = {True: 0, False: 0}  # how many forms, of "absent" and of "has this ETag"

    def form(self, etag: str | None) -> Mapping[str, str]:
        """Arguments of boto3 for a put on the condition that the object has this ETag.

        None: that there is no object. Empty: this endpoint judges no such condition.
        """
        return _forms(etag)[self._useless[etag is None]]

    def is_useless(self, form: Mapping[str, str], etag: str | None) -> None:
        """Take the next form from now on. `form` was refused though its condition holds."""
        self._useless[etag is None] = _forms(etag).index(form) + 1


def _forms(etag: str | None) -> tuple[Mapping[str, str], ...]:
    if etag is None:
        return _ABSENT
    return {"IfMatch": etag}, {"IfMatch": etag.strip('"')}, {}
