"""URLs of proxies.

Owns: which texts are one. Does not know: which URL goes through which proxy (`engines/proxies.py`).
"""

import re

SCHEMES = frozenset({"http", "https", "socks4", "socks4a", "socks5", "socks5h"})
# A text: few runs need it, and `re` compiles it on first use.
_PROXY = r"(?:([a-z0-9]+)://)?(?:[^\s/?#]*@)?(?:\[[0-9a-f:.]+\]|[^\s/?#@:\[\]]+)(?::(\d{1,5}))?/?"


def is_proxy(text: str) -> bool:
    """Whether `text` is `[scheme://][user:password@]host[:port]` with one of SCHEMES."""
    found = re.fullmatch(_PROXY, text, re.IGNORECASE)
    if found is None or int(found[2] or 0) > 65_535:
        return False
    return found[1] is None or found[1].lower() in SCHEMES
