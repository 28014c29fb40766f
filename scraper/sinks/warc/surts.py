"""SURT: the form of a URL by which indexes of archives are sorted, `com,example)/a?b=1`.

The package `surt` is what all readers of archives call. It takes 44 us a URL, a third of all that a
small page costs. Most URLs are of a form whose SURT is plain to see, so those are turned here, and
any other by the package. A test compares both.

Owns: which URLs are plain. Does not know: what the index has them for.
"""

import re
from functools import lru_cache

# No escapes, no session ids (`...id=`, `;jsessionid`, `(S(...))/x.aspx`), no empty or dotted parts.
_HOST = re.compile(
    r"https?://(?:www\d*\.)?((?:[a-z0-9-]+\.)*[a-z][a-z0-9-]*|\d{1,3}(?:\.\d{1,3}){3})"
    r"(:[1-9]\d{0,4})?"
)
_PATH = re.compile(
    r"((?:/[A-Za-z0-9_~$,+@!-][A-Za-z0-9._~$,+@!-]*)*/?)(?:\?([A-Za-z0-9._~$,/+@!=&-]*))?"
)
_DEFAULT = {"http:": ":80", "https": ":443"}


def surt_of(url: str) -> str:
    """The SURT of a URL in WHATWG form."""
    at = url.find("/", 8)
    host = _host_of(url[:at]) if at > 0 else ""
    found = _PATH.fullmatch(url, at)
    if not host or found is None:
        return _by_package(url)
    path, query = found.groups()
    if query:
        query = query.lower()
        if "id=" in query or "token=" in query:  # it may be a session id
            return _by_package(url)
        if "&" in query:
            parts = sorted(tuple(part.split("=", 1)) for part in query.split("&"))
            query = "&".join(map("=".join, parts))
        query = f"?{query}"
    path = path.lower()
    if len(path) > 1 and path.endswith("/"):
        path = path[:-1]
    return f"{host}{path}{query or ''}"


@lru_cache(1024)
def _host_of(origin: str) -> str:
    """What the SURT begins with, "" if that is not plain."""
    found = _HOST.fullmatch(origin)
    if found is None or found[1].startswith("www"):
        return ""
    port = found[2] or ""
    if port == _DEFAULT[origin[:5]]:
        port = ""
    return f"{','.join(reversed(found[1].split('.')))}{port})"


def _by_package(url: str) -> str:
    from surt import surt

    try:
        made: str = surt(url)
    except Exception:  # noqa: BLE001 - cdxj-indexer takes the URL then, whatever went wrong
        return url
    return made
