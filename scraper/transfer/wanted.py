"""Whether a response is one that the user wants stored, by its head.

Owns: `--expect-type` and `--robots-tags`. Does not know: what a status means (`transfer.py`).
"""

from fnmatch import fnmatchcase

from scraper.model.errors import Kind, TransferError
from scraper.transfer.exchange import Reply
from scraper.transfer.plan import Plan


def check_type(content_type: str | None, expected: str) -> None:
    """Raise TransferError unless the media type matches `expected`, a pattern like `image/*`."""
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if not fnmatchcase(media_type, expected.lower()):
        message = f"media type {media_type or 'unknown'!r} is not {expected!r}"
        raise TransferError(Kind.UNEXPECTED_TYPE, message, transient=False)


def check_robots_tags(reply: Reply, plan: Plan) -> None:
    """Raise TransferError if X-Robots-Tag of a body, or of an unchanged one, says `--robots-tags`.

    A failure of another status stays what it is: nothing would be stored anyway.
    """
    if not (200 <= reply.status < 300 or reply.status == 304):
        return
    rule = robots_rule(reply, plan)
    if rule is not None:
        raise TransferError(Kind.ROBOTS, f"X-Robots-Tag says {rule!r}", transient=False)


def robots_rule(reply: Reply, plan: Plan) -> str | None:
    """The rule of `--robots-tags` that X-Robots-Tag of any answer says, None for none."""
    fields = reply.all("x-robots-tag") if plan.http.robots_tags else ()
    if not fields:
        return None
    from scraper.transfer.robots_tags import said

    return said(fields, plan.http.robots_tags, plan.robots_token())
