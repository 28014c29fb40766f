"""`--resolve HOST:PORT:ADDRESS[,ADDRESS]...`, as curl has it.

Owns: reading it. `*` is every host. An IPv6 address may have brackets. A `+` before the host is
curl's, and means nothing here. Does not know: look-ups (`engines/names.py`).
"""

import re
from collections.abc import Iterable, Mapping

from scraper.model.errors import UsageError

# A text: few runs need it, and `re` compiles it on first use.
_ENTRY = r"\+?(\*|\[[0-9a-f:.]+\]|[^\s:/?#@\[\]]+):(\d{1,5}):(\S+)"

Entries = Mapping[tuple[str, int], tuple[str, ...]]


def texts(given: str | Iterable[str]) -> tuple[str, ...]:
    """One such text, or several."""
    return (given,) if isinstance(given, str) else tuple(given)


def entries(given: Iterable[str]) -> Entries:
    """Addresses by host and port, of which the last entry counts. Raises UsageError."""
    return dict(map(_read, given))


def _read(text: str) -> tuple[tuple[str, int], tuple[str, ...]]:
    from ipaddress import ip_address

    found = re.fullmatch(_ENTRY, text, re.IGNORECASE)
    if found is None or not 0 < int(found[2]) < 65_536:
        raise UsageError(f"--resolve {text!r} is not HOST:PORT:ADDRESS")
    try:
        addresses = tuple(str(ip_address(one.strip("[]"))) for one in found[3].split(","))
    except ValueError:
        raise UsageError(f"--resolve {text!r} has no IP address after the port") from None
    return (_canonical(found[1]), int(found[2])), addresses


def _canonical(host: str) -> str:
    """The host as it stands in a canonical URL."""
    if host == "*":
        return host
    from scraper.model import urls

    try:
        return urls.parse(f"http://{host}/").origin.hostname
    except Exception:  # noqa: BLE001 - whatever it is, it is no host
        raise UsageError(f"--resolve: {host!r} is no host") from None
