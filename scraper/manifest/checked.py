"""Which expected size and digests a stored body was held against, in the variant of its record.

The index keeps one text of the form of a body. What the body was checked by is appended to it, so a
list that expects something else does not take the object for done, and asks without a condition. A
list that expects nothing, or less, does.

Owns: that text. Does not know: the index, what follows (`history.py`). Rejected: the expectation as
a part of a target's identity. An older failure of the same URL and key would live on beside it, and
a run that tries failures again would put an unchecked body over a checked one.
"""

from collections.abc import Mapping
from typing import Any

from scraper.model.records import Target

_CHECKED = "\x1f"  # no variant has it


def checked_variant(variant: str | None, told: Mapping[str, Any]) -> str | None:
    """The variant of a body that was held against `told`. Raises BadTarget and AttributeError."""
    from scraper.model.expected import expected_in_record  # few lists tell digests

    expected = expected_in_record(told)
    return variant if expected is None else f"{variant or ''}{_CHECKED}{expected}"


def plain_variant(variant: str | None) -> str | None:
    """The variant alone."""
    if variant is None or _CHECKED not in variant:
        return variant
    return variant.partition(_CHECKED)[0] or None


def of_the_same_checks(variant: str, other: str | None) -> str:
    """`variant` of a body that was held against what the body of the variant `other` was."""
    _, mark, told = (other or "").partition(_CHECKED)
    return f"{variant}{mark}{told}"


def was_checked(target: Target, variant: str | None) -> bool:
    """Whether a body of this variant is known to be what the list expects of `target`."""
    if target.expected is None:
        return True
    told = (variant or "").partition(_CHECKED)[2]
    return set(str(target.expected).split()) <= set(told.split())
