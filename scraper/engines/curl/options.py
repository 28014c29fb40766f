"""Options of libcurl, for all transfers of a run and for each hop.

libcurl does as little as it can be told to: no redirects, decoding, cookies, passwords, proxies
or headers of its own. Those are Transfer's, the same for every engine.

Owns: which options are set. Does not know: callbacks, and when a hop is carried out.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import pycurl

from scraper.engines.proxies import is_socks
from scraper.engines.tls import trusted
from scraper.model.settings import Http, Limits
from scraper.transfer import Request

_BUFFER = 256 * 1024  # bytes asked of a socket at once; one buffer serves all transfers
_MOST_MS = 2**31 - 1


def make_easy(limits: Limits) -> Any:
    """An easy handle with the options that never change, except those of TLS (`HopOptions`)."""
    easy = pycurl.Curl()
    for option, value in (
        (pycurl.NOSIGNAL, 1),
        (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
        (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
        (pycurl.PATH_AS_IS, 1),
        (pycurl.USERAGENT, ""),  # not pycurl's
        (pycurl.HTTP09_ALLOWED, 0),
        (pycurl.FOLLOWLOCATION, 0),
        (pycurl.HTTP_CONTENT_DECODING, 0),
        (pycurl.NETRC, pycurl.NETRC_IGNORED),
        (pycurl.PROXY, ""),  # not the environment's
        (pycurl.NOPROXY, ""),
        (pycurl.PROXYAUTH, pycurl.HTTPAUTH_BASIC),
        (pycurl.TCP_NODELAY, 1),
        (pycurl.TCP_KEEPALIVE, 1),
        (pycurl.BUFFERSIZE, _BUFFER),
        (pycurl.CONNECTTIMEOUT_MS, min(_MOST_MS, max(1, int(limits.connect_timeout * 1000)))),
    ):
        easy.setopt(option, value)
    return easy


def _set_trust(easy: Any, http: Http) -> None:
    if http.insecure:
        for option in (
            pycurl.SSL_VERIFYPEER,
            pycurl.SSL_VERIFYHOST,
            pycurl.PROXY_SSL_VERIFYPEER,
            pycurl.PROXY_SSL_VERIFYHOST,
        ):
            easy.setopt(option, 0)
        return
    whose = trusted(http)
    for option, path in (
        (pycurl.CAINFO, whose.file),
        (pycurl.PROXY_CAINFO, whose.file),
        (pycurl.CAPATH, whose.directory),
        (pycurl.PROXY_CAPATH, whose.directory),
    ):
        if path is None:
            easy.unsetopt(option)
        else:
            easy.setopt(option, path)


def _show_certificate(easy: Any, http: Http) -> None:
    """Give servers that ask for it the user's certificate. A proxy does not get it."""
    if http.cert is not None:
        easy.setopt(pycurl.SSLCERT, http.cert)
        easy.setopt(pycurl.SSLKEY, http.cert_key or http.cert)


def header_lines(fields: Iterable[tuple[str, str]]) -> list[bytes]:
    """Headers as libcurl's HTTPHEADER wants them: `name: value`, and `name;` for an empty value."""
    return [
        (f"{name}: {value}" if value.strip() else f"{name};").encode("latin-1")
        for name, value in fields
    ]


class HopOptions:
    """The options that differ from hop to hop on one easy handle. Only those that differ are set.

    Trusted certificates are set for the first hop that needs them: to find their file takes 3 ms.
    """

    def __init__(self, easy: Any, http: Http) -> None:
        self._easy = easy
        self._http = http
        self._trusting = False
        self._headers: Mapping[str, str] | None = None
        self._names: Mapping[str, str] | None = None
        self._proxy: str | None = None
        self._version = pycurl.CURL_HTTP_VERSION_1_1
        self._targeted = False

    def set(self, request: Request, proxy: str | None, *, http2: bool) -> None:
        """Make the handle ask for `request`; `http2`: over HTTP/2 if the server speaks it.

        Raises pycurl.error for a URL that libcurl refuses.
        """
        easy, url, headers = self._easy, request.url, request.headers
        easy.setopt(pycurl.URL, url)
        if (headers is not self._headers and headers != self._headers) or (
            request.names is not self._names and request.names != self._names
        ):
            easy.setopt(pycurl.HTTPHEADER, header_lines(request.fields()))
            self._headers, self._names = headers, request.names
        if proxy != self._proxy:
            easy.setopt(pycurl.PROXY, proxy or "")
            easy.unsetopt(pycurl.CONNECT_TO)  # see `socks_addresses.py`
            self._proxy = proxy
        secure = url.startswith("https:")
        http2 = http2 and not self._http.http1_1
        version = pycurl.CURL_HTTP_VERSION_2TLS if http2 else pycurl.CURL_HTTP_VERSION_1_1
        if version != self._version:
            easy.setopt(pycurl.HTTP_VERSION, version)
            self._version = version
        trusts = secure or (proxy is not None and proxy.startswith("https:"))
        if trusts and not self._trusting:
            _set_trust(easy, self._http)
            _show_certificate(easy, self._http)
            self._trusting = True
        if "%" in url or url[-1] == "?" or self._targeted:  # it can't be unset once it was set
            self._targeted = True
            self._set_target(request, absolute=not (proxy is None or secure or is_socks(proxy)))

    def _set_target(self, request: Request, *, absolute: bool) -> None:
        """Send the URL as it is: libcurl writes `%2f` as `%2F`, and drops an empty query."""
        target = request.url if absolute else request.url[len(request.origin) :]
        self._easy.setopt(pycurl.REQUEST_TARGET, target)
