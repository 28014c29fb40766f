"""Status codes that a user names: `403,5xx`.

Owns: reading them. Does not know: what follows a status (`schedule/retry.py`).
"""

import re
from collections.abc import Iterable

from scraper.model.errors import UsageError


def status_codes(given: str | None) -> frozenset[int]:
    """The codes of `403,5xx`: of failures, from 400 to 599. Raises UsageError for others."""
    codes: set[int] = set()
    for word in (word.strip().lower() for word in (given or "").split(",")):
        if re.fullmatch(r"[45]xx", word):
            codes.update(range(int(word[0]) * 100, int(word[0]) * 100 + 100))
        elif re.fullmatch(r"[45]\d\d", word, re.ASCII):
            codes.add(int(word))
        elif word:
            raise UsageError(f"--retry-on: {word!r} is not a status of a failure like 403 or 5xx")
    return frozenset(codes)


def as_text(given: str | Iterable[str | int]) -> str:
    """One such text, of one or of several texts and numbers."""
    return given if isinstance(given, str) else ",".join(map(str, given))
