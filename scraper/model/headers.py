"""Header fields that a user gives: which names and values may be sent (RFC 9110 5).

Owns: the check of both, and of `Name: value` texts. Does not know: which headers the program
itself sends.
"""

import re
from collections.abc import Iterable, Mapping, Sequence

from scraper.model.errors import UsageError

Pair = tuple[str, str]

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 5.6.2


def parse_header(text: str) -> tuple[str, str]:
    """Name and value of `Name: value`. Raises UsageError unless RFC 9110 5.5 allows both."""
    name, colon, value = text.partition(":")
    value = value.strip(" \t")
    if not (colon and is_field_name(name)):
        first = beginning_of_name(name)
        shown = f"{first!r} " if colon or first != name else ""
        raise UsageError(f"--header {shown}is not 'Name: value'")
    check_value(name, value)
    return name, value


def header_pairs(given: Mapping[str, str] | Iterable[str | Sequence[str]]) -> tuple[Pair, ...]:
    """Pairs (name, value) from a mapping, from `Name: value` texts, or from pairs."""
    items = given.items() if isinstance(given, Mapping) else given
    return tuple(
        parse_header(item) if isinstance(item, str) else (item[0], item[1]) for item in items
    )


def check_value(name: str, value: str) -> None:
    """Raise UsageError for a value that can't be sent."""
    if not is_field_value(value):
        raise UsageError(f"--header {name!r} has a character that no header may hold")


def is_field_value(value: str) -> bool:
    """Whether a header may have this value: no control characters, nothing beyond Latin-1."""
    return all(char == "\t" or " " <= char <= "~" or "\xa0" <= char <= "\xff" for char in value)


def is_field_name(name: str) -> bool:
    """Whether `name` is a token (RFC 9110 5.6.2)."""
    return bool(_TOKEN.fullmatch(name))


def beginning_of_name(text: str) -> str:
    """The part of `text` that may be a header's name. Only it is shown: the rest may be secret."""
    found = _TOKEN.match(text, text.startswith(":"))  # pseudo-headers of HTTP/2: `:path`
    return text[: found.end()] if found else ""


def announces_a_body(name: str) -> bool:
    """Whether a header says that the request has a body (RFC 9112 6). No request here has one.

    A server would read the next request on the connection as the body.
    """
    return name.lower() in {"content-length", "transfer-encoding"}
