"""AWS Signature Version 4 for S3, in pure Python: the headers that sign one request.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html

A signature is made with a key that holds for one day, one region and one secret. Deriving that key
takes four HMACs, so it is kept (`Signer`); a request then costs two digests and one HMAC.

S3 differs from other services in two things. The path is encoded once, and is not normalised: a
key may contain `//` or `..`. The digest of the payload is always sent, as `x-amz-content-sha256`.

Owns: the form of what is signed. Does not know: where credentials come from, nor how a request is
sent.

Rejected: botocore's S3SigV4Auth. It reads a request of botocore, and derives the key each time; the
tests compare the two. libcurl's AWS_SIGV4 derives the key each time too, and refuses PATH_AS_IS.
"""

import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from time import gmtime, strftime
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import quote, urlsplit

EMPTY_SHA256 = sha256().hexdigest()  # of a request without a body
_PLAIN = re.compile(r"[A-Za-z0-9/._~-]*")  # nearly every key, and much quicker
_ALGORITHM = "AWS4-HMAC-SHA256"
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who signs. `token`: of a session, for credentials that expire."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


def encoded_key(key: str) -> str:
    """A key as the path of a URL has it, and as it is signed: UTF-8, all but `/A-Za-z0-9-._~`."""
    return key if _PLAIN.fullmatch(key) else quote(key, safe="/~")


def encoded_query(pairs: Iterable[tuple[str, str]]) -> str:
    """Parameters of a URL in the order and the encoding in which they are signed."""
    encoded = sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)


def signed_host(url: str) -> str:
    """The header `Host` of a request for `url`: without userinfo, and without a default port."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if ":" in host:
        host = f"[{host}]"
    if parts.port is None or parts.port == _DEFAULT_PORTS.get(parts.scheme):
        return host
    return f"{host}:{parts.port}"


class Unsigned(NamedTuple):
    """A request to sign.

    `host` is the header `Host` (`signed_host`). `path` and `query` are as they are sent
    (`encoded_key`, `encoded_query`). `headers` are all others that are signed, with names in lower
    case. `payload_sha256` is the body's digest, hexadecimal.
    """

    method: str
    host: str
    path: str
    headers: Mapping[str, str] = MappingProxyType({})
    query: str = ""
    payload_sha256: str = EMPTY_SHA256


class Signer:
    """Signs requests for one region. Many threads use it."""

    def __init__(self, region: str, service: str = "s3") -> None:
        self._region = region
        self._service = service
        self._kept: tuple[str, str, bytes] = ("", "", b"")  # day, secret, the key of both

    def sign(self, request: Unsigned, credentials: Credentials, now: float) -> dict[str, str]:
        """The headers to add to `request`, `authorization` among them. Names are in lower case.

        `now`: seconds since 1970. S3 refuses a time that is 15 minutes from its own.
        """
        method, host, path, headers, query, payload_sha256 = request
        at = strftime("%Y%m%dT%H%M%SZ", gmtime(now))
        added = {"x-amz-content-sha256": payload_sha256, "x-amz-date": at}
        if credentials.token:
            added["x-amz-security-token"] = credentials.token
        signed = sorted({**headers, **added, "host": host}.items())
        names = ";".join([name for name, _ in signed])
        lines = "\n".join([f"{name}:{' '.join(value.split())}" for name, value in signed])
        canonical = f"{method}\n{path or '/'}\n{query}\n{lines}\n\n{names}\n{payload_sha256}"
        scope = f"{at[:8]}/{self._region}/{self._service}/aws4_request"
        text = f"{_ALGORITHM}\n{at}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
        key = self._key(at[:8], credentials.secret_key)
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        added["authorization"] = (
            f"{_ALGORITHM} Credential={credentials.access_key}/{scope},"
            f" SignedHeaders={names}, Signature={signature}"
        )
        return added

    def _key(self, day: str, secret: str) -> bytes:
        """The key of a day."""
        kept_day, kept_secret, key = self._kept
        if kept_day == day and kept_secret == secret:
            return key
        key = f"AWS4{secret}".encode()
        for part in (day, self._region, self._service, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        self._kept = (day, secret, key)
        return key
