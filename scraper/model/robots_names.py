"""Names that a user gives for robots: our own token, and rules of X-Robots-Tag.

Owns: the check of both. Does not know: what they mean (`schedule/robots.py`,
`transfer/robots_tags.py`).
"""

import re
from collections.abc import Iterable

from scraper.model.errors import UsageError


def rules(given: str | Iterable[str]) -> tuple[str, ...]:
    """Rules from `noai,noindex`, or from several texts; in lower case, each once."""
    texts = [given] if isinstance(given, str) else given
    found = (rule.strip().lower() for text in texts for rule in text.split(","))
    return tuple(dict.fromkeys(filter(None, found)))


def check(agent: str | None, tags: Iterable[str]) -> None:
    """Raise UsageError unless `agent` is one name (RFC 9309 2.2.1) and `tags` are rules."""
    if agent is not None and not re.fullmatch(r"[\w.-]+", agent, re.ASCII):
        raise UsageError(f"--robots-agent {agent!r} is not one name like FooBot, without a version")
    for rule in tags:
        if not re.fullmatch(r"[a-z][a-z0-9_-]*", rule):
            raise UsageError(f"--robots-tags: {rule!r} is not a rule like noai or noindex")
