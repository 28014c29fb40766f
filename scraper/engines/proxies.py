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
from scraper.model.proxy_urls import is_proxy

_KINDS = frozenset({"http", "https", "all"})  # `no_proxy` is none


def is_socks(proxy: str | None) -> bool:
    """Whether it speaks SOCKS: it carries connections then, and never reads requests."""
    return proxy is not None and proxy.startswith("socks")


def looks_up(proxy: str | None) -> bool:
    """Whether it looks names up itself: all do but those of SOCKS 4 and 5."""
    return proxy is not None and not proxy.startswith(("socks4:", "socks5:"))


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
                if not is_proxy(proxy):
                    raise UsageError(f"{kind}_proxy is not [scheme://][user:password@]host[:port]")

    def name_of(self, url: str) -> str | None:
        """The proxy as `host:port`, without its password."""
        proxy = self.of(url)
        return None if proxy is None else proxy.rpartition("://")[2].rpartition("@")[2]

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
    scheme, netloc = scheme.lower(), rest.partition("/")[0]
    if not re.search(r":\d+$", netloc):
        netloc = f"{netloc.removesuffix(':')}:{443 if scheme == 'https' else 1080}"
    return f"{scheme}://{netloc}"
