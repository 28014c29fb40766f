"""What the form of a stored body has to be for a list, in the variant of its record.

The index keeps one text of the form of a body. What the body was checked by is appended to it, and
the form that it is stored in (--store-compressed). So a list that expects something else does not
take the object for done, and asks without a condition. A list that expects nothing, or less, does.
A key that a list gives with its ending is the same with --store-compressed and without it, so the
form has to be the same, too.

Owns: that text. Does not know: the index, what follows (`history.py`). Rejected: the expectation as
a part of a target's identity. An older failure of the same URL and key would live on beside it, and
a run that tries failures again would put an unchecked body over a checked one.
"""

from collections.abc import Mapping
from typing import Any

from scraper.model.records import Target

_CHECKED = "\x1f"  # no variant has it
_FORM = "form:"


def checked_variant(variant: str | None, record: Mapping[str, Any]) -> str | None:
    """The variant of the body of `record`, and what it was held against and is stored as.

    Raises BadTarget and AttributeError.
    """
    words = []
    if "expected" in record:
        from scraper.model.expected import expected_in_record  # few lists tell digests

        if (expected := expected_in_record(record["expected"])) is not None:
            words.append(str(expected))
    if isinstance(form := record.get("compressed"), str):
        words.append(f"{_FORM}{form}")
    return f"{variant or ''}{_CHECKED}{' '.join(words)}" if words else variant


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
    """Whether a body of this variant is known to be what is wanted of `target`.

    It is what the list expects, and stored in the form that is asked for.
    """
    if target.expected is None and not target.compressed:
        return variant is None or _FORM not in variant
    told = {*(variant or "").partition(_CHECKED)[2].split()}
    form = {one for one in told if one.startswith(_FORM)}
    if form != ({f"{_FORM}{target.compressed}"} if target.compressed else set()):
        return False
    return target.expected is None or set(str(target.expected).split()) <= told
