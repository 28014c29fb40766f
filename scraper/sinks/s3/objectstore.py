"""The client that puts small objects cheaply: obstore, with boto3's eyes.

boto3 spends 1.5 ms of CPU on a put, obstore a sixth of that. Where requests go,
how they are signed and with which credentials is not worked out again here:
boto3 has made one request already (`Bucket.probe`), and this client repeats
what it did: the same URL, the same region, the same credentials (asked for
again while they are of the kind that expires), the same authority.

Owns: that, and puts of what is in memory. Refuses to know: everything else.
Reading, listing, deleting and conditional writes are too rare to gain from it.
Bodies from disk cost what their bytes cost (256 MB: 0.7 s of CPU with boto3,
0.35 s here), and here they can't be cancelled, are held in memory part by
part, and an abort that fails hides why it was needed.

What it can't do is asked of boto3 instead, or refused if `--s3-client obstore`
demands it (`unfit`):
- buckets signed for in another way: directory buckets (S3 Express), multi-region
  access points, object lambdas;
- a prefix with a segment `.` or `..`, or with control characters;
- the variables of its own that it reads from the environment and that boto3
  does not know, of which some can't be overruled.
It differs in trusting an `AWS_CA_BUNDLE` beside the system's authorities, not
in their place, and in one time limit for a whole request instead of one for
each pause.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scraper.model.settings import S3
from scraper.sinks.s3 import errors as s3errors
from scraper.sinks.s3.bucket import Bucket, Facts, Sizes, Way, parse_sse

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config, S3Credential

    from scraper.sinks.s3.errors import S3Error

_SLOWEST = 64 * 1024  # bytes a second: what the time for a body is reckoned by
_KEPT_S = 60  # between looks at credentials that expire; boto3 renews them 10 minutes before
_TOO_SOON_S = 300  # obstore asks again when credentials expire within this time
_UNFIT_KEY = re.compile(r"[\x00-\x1f\x7f]|(?:^|/)\.{1,2}(?:/|$)")
_OWN_VARIABLES = (
    "AWS_CHECKSUM_ALGORITHM",
    "AWS_SERVER_SIDE_ENCRYPTION",
    "AWS_SSE_BUCKET_KEY_ENABLED",
    "AWS_SSE_CUSTOMER_KEY_BASE64",
    "AWS_SSE_KMS_KEY_ID",
)


def is_installed() -> bool:
    """Whether the `fast` extra is there."""
    return find_spec("obstore") is not None


def unfit(way: Way, key: str, environment: Mapping[str, str]) -> str | None:
    """Why a bucket that was reached in this way can't be asked by obstore; None if it can.

    `key` is any of those below the prefix.
    """
    if not way.url:
        return "the bucket is not asked with S3's usual signature"
    if _UNFIT_KEY.search(key):
        return "the prefix has a segment '.' or '..', or a control character"
    for name in _OWN_VARIABLES:
        if name in environment:
            return f"it would obey {name}, which boto3 does not know"
    return None


class ObjectStore:
    """Puts into one bucket, in the way that boto3 found. Used from many threads."""

    client = "obstore"

    def __init__(self, bucket: Bucket, way: Way, s3: S3, sizes: Sizes) -> None:
        """Raises S3Error, ImportError."""
        import obstore
        from obstore.store import S3Store

        self._obstore_put = obstore.put
        self._endpoint = bucket.endpoint
        self._credentials = _Credentials(bucket)
        self._timeout_s = s3errors.READ_TIMEOUT_S + sizes.memory / _SLOWEST
        with self._asked():
            self._store = S3Store(
                bucket.name,
                config=_config(way, s3, checksums=bucket.checksums),
                client_options=_client(bucket.authority, self._timeout_s),
                retry_config={"max_retries": 0},
                credential_provider=self._credentials,
            )

    def put(self, key: str, data: bytes, facts: Facts) -> None:
        """Make an object, replacing any other. Raises S3Error."""
        attributes = dict(facts.metadata)
        optional = {
            "Content-Type": facts.content_type,
            "Content-Encoding": facts.content_encoding,
            "Storage-Class": facts.storage_class,
        }
        attributes.update((name, value) for name, value in optional.items() if value)
        with self._asked():
            self._obstore_put(self._store, key, data, attributes=attributes, use_multipart=False)

    @contextmanager
    def _asked(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            panic = type(error).__name__ == "PanicException"  # of Rust's; it is no Exception
            if not panic and not isinstance(error, Exception):
                raise
            failed = self._credentials.failed
            if failed is not None and "credential provider" in str(error):
                raise failed from None
            raise s3errors.from_obstore(error, self._endpoint, self._timeout_s) from None


class _Credentials:
    """boto3's credentials, as obstore asks for them."""

    def __init__(self, bucket: Bucket) -> None:
        self.failed: S3Error | None = None  # the last time
        self._endpoint = bucket.endpoint
        self._found: Any = bucket.session.get_credentials()

    def __call__(self) -> "S3Credential":
        """What to sign with now, renewed by boto3 if need be."""
        from botocore.credentials import RefreshableCredentials

        try:
            frozen = self._found.get_frozen_credentials()
        except s3errors.foreign() as error:
            self.failed = s3errors.from_boto3(error, self._endpoint)
            raise
        expires = isinstance(self._found, RefreshableCredentials)
        kept = timedelta(seconds=_TOO_SOON_S + _KEPT_S)
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + kept if expires else None,
        }


def _config(way: Way, s3: S3, *, checksums: bool) -> "S3Config":
    """Everything that the environment could say otherwise."""
    config: S3Config = {
        "endpoint": way.url,
        "aws_endpoint_url_s3": way.url,
        "virtual_hosted_style_request": True,  # the bucket is in the URL already
        "region": way.region,
        "skip_signature": False,
        "unsigned_payload": False,
        "s3_express": False,
        "request_payer": False,
    }
    if checksums:
        config["checksum_algorithm"] = "SHA256"
    if s3.sse:
        algorithm, key = parse_sse(s3.sse)
        config["server_side_encryption"] = algorithm
        if key:
            config["sse_kms_key_id"] = key
    return config


def _client(authority: str | None, timeout_s: float) -> "ClientConfig":
    options: ClientConfig = {
        "allow_http": True,  # if that is what boto3 was told
        "connect_timeout": timedelta(seconds=s3errors.CONNECT_TIMEOUT_S),
        "timeout": timedelta(seconds=timeout_s),
    }
    if authority:
        options["root_certificate"] = Path(authority).read_bytes()
    return options
