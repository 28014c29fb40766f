"""Proxies: which one a URL goes through, in every engine alike.

Owns: `--proxy`; without it, the environment's variables and their exceptions (`no_proxy`), as
requests reads them. Does not know: connections. Rejected: letting each library read the
environment. They disagree about suffixes, ports and address ranges in `no_proxy`.
"""

import os
import re
from collections.abc import Mapping
from functools import lru_cache

from scraper.model.errors import UsageError
from scraper.model.settings import is_proxy

_KINDS = frozenset({"http", "https", "all"})  # `no_proxy` is none
_SCHEMES = frozenset({"http", "https", "socks4", "socks4a", "socks5", "socks5h"})


class Proxies:
    """`of(url)` is the proxy for it, with scheme and port; None: a direct connection.

    `any`: whether any URL has a proxy. Raises UsageError for a variable that names no proxy.
    Libraries fail on it in the middle of a run, and show parts of a password then.
    """

    def __init__(self, given: str | None) -> None:
        self._given = _whole(given) if given else None
        self.any = given is not None
        for kind, proxy in () if given else _named().items():
            if kind in _KINDS:
                self.any = True
                if not is_proxy(proxy, _SCHEMES):
                    raise UsageError(f"{kind}_proxy is not [scheme://][user:password@]host[:port]")

    def of(self, url: str) -> str | None:
        """The proxy's URL with its userinfo."""
        if not self.any:
            return None
        return self._given or _from_environment("/".join(url.split("/", 3)[:3]))


def _named() -> Mapping[str, str]:
    """The proxies that environment variables name, by kind of URL."""
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return {}  # as nearly always: what reads them takes a while to import
    from urllib.request import getproxies_environment

    return getproxies_environment()


@lru_cache(4096)
def _from_environment(origin: str) -> str | None:
    from requests.utils import get_environ_proxies, select_proxy

    proxy: str | None = select_proxy(origin, get_environ_proxies(origin))
    return _whole(proxy) if proxy else None


def _whole(proxy: str) -> str:
    """`proxy` with scheme and port; those that curl takes where they are missing."""
    url = proxy if "://" in proxy else f"http://{proxy}"
    scheme, _, rest = url.partition("://")
    netloc = rest.partition("/")[0]
    if not re.search(r":\d+$", netloc):
        netloc = f"{netloc.removesuffix(':')}:{443 if scheme == 'https' else 1080}"
    return f"{scheme}://{netloc}"
