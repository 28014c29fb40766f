"""Requests to one bucket, signed in Python with the credentials that botocore's session has found.

Owns: the URL of an object, what is signed, and how long a request may take. Does not know: what is
asked, who carries it, what the answer means.
"""

import os
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from scraper.model.urls import redact
from scraper.sinks.put_request import Answer, NoAnswer, PutRequest, Route
from scraper.sinks.s3 import errors as s3errors
from scraper.sinks.s3.endpoint import Way
from scraper.sinks.s3.signature import (
    EMPTY_SHA256,
    Credentials,
    Signer,
    Unsigned,
    encoded_key,
    signed_host,
)

_SLOWEST = 64 * 1024  # bytes a second, from which the time limit of a body follows


class Payload(NamedTuple):
    """A body, and its digest in hexadecimal."""

    data: bytes = b""
    sha256: str = EMPTY_SHA256


NOTHING = Payload()


def _not_judged(_end: Answer | NoAnswer) -> None:
    pass


class SignedRequests:
    """See the module. Many threads use it."""

    def __init__(self, way: Way, found: Any, endpoint: str, authority: str | None) -> None:
        """`found`: botocore's credentials. `endpoint` is for messages."""
        self.route = route_of(way.url, authority)
        by = f" by the proxy {redact(self.route.proxy)}" if self.route.proxy else ""
        self.endpoint = f"{endpoint}{by}"
        self._found = found
        self._renewable = hasattr(found, "refresh_needed")
        self._kept: Credentials | None = None  # those that stay
        self._signer = Signer(way.region)
        self._url = way.url
        self._host = signed_host(way.url)
        self._path = "".join(way.url.partition("://")[2].partition("/")[1:])

    def needs_renewal(self) -> bool:
        """Whether the next request waits until credentials are renewed."""
        return self._renewable and bool(self._found.refresh_needed())

    def request(
        self,
        method: str,
        key: str | None,
        headers: Mapping[str, str],
        payload: Payload = NOTHING,
        query: str = "",
    ) -> PutRequest:
        """A request, signed. `key`: None asks the bucket. Raises S3Error.

        Whoever sends it judges its answer.
        """
        path = "" if key is None else f"/{encoded_key(key)}"
        asked = Unsigned(method, self._host, self._path + path, headers, query, payload.sha256)
        added = self._signer.sign(asked, self._credentials(), time.time())
        url = f"{self._url}{path}?{query}" if query else f"{self._url}{path}"
        timeout_s = s3errors.READ_TIMEOUT_S + len(payload.data) / _SLOWEST
        return PutRequest(
            url, {**headers, **added}, payload.data, self.route, timeout_s, _not_judged
        )

    def _credentials(self) -> Credentials:
        """Those to sign with now. botocore renews them if they expire. Raises S3Error."""
        if self._kept is not None:
            return self._kept
        try:
            frozen = self._found.get_frozen_credentials()
        except s3errors.foreign() as error:
            raise s3errors.from_boto3(error, self.endpoint) from None
        made = Credentials(frozen.access_key, frozen.secret_key, frozen.token)
        s3errors.refuse_unsendable(made.access_key, made.token)
        self._kept = None if self._renewable else made
        return made


def route_of(url: str, authority: str | None) -> Route:
    """The proxy that boto3 takes for `url`, and the authorities that it trusts.

    `authority` is the file or directory that is named, None for certifi's list.
    https://boto3.amazonaws.com/v1/documentation/api/latest/guide/configuration.html (proxies)
    """
    from urllib.request import getproxies, proxy_bypass

    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0].rpartition("@")[2]
    proxy = None if proxy_bypass(host) else getproxies().get(scheme)
    if proxy is not None and "://" not in proxy:
        proxy = "http://" + proxy.removeprefix("//")
    if authority is None:
        import certifi

        authority = certifi.where()
    file, directory = (None, authority) if os.path.isdir(authority) else (authority, None)
    return Route(proxy, file, directory, s3errors.CONNECT_TIMEOUT_S)
