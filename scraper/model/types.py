"""Types: a Python program may give an option anything. What is of no use is told, as a UsageError.

Owns: which options are texts. Does not know: what they mean (`settings.py`). No message shows a
value, which may be a secret.
"""

from collections.abc import Callable, Mapping
from typing import Any

from scraper.model.errors import UsageError
from scraper.model.ranges import option

_TEXTS = ["key", "lock", "engine", "shard", "store_compressed", "user_agent", "contact", "proxy"]
_TEXTS += ["user", "expect_type", "robots_agent", "s3_client", "s3_endpoint", "s3_profile"]
_TEXTS += ["s3_storage_class", "s3_sse"]


def check_texts(given: Mapping[str, Any]) -> None:
    """Raise UsageError for an option that is no text and has to be one."""
    for name in _TEXTS:
        if not isinstance(given.get(name, ""), str):
            raise UsageError(f"{option(name)} must be a text, not {_type(given[name])}")
    if odd := [one for one in given.get("resolve", ()) if not isinstance(one, str)]:
        raise UsageError(f"--resolve must be texts, not {_type(odd[0])}")


def read(name: str, reader: Callable[[Any], object], value: Any) -> object:
    """What `reader` makes of the option. Raises UsageError for a type that it can't read."""
    try:
        return reader(value)
    except (TypeError, AttributeError):
        raise UsageError(f"{option(name)} can't be {_type(value)}, or has what can't be") from None


def _type(value: object) -> str:
    return f"of type {type(value).__name__}"
