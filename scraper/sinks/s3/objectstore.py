"""The cheap client for puts of small objects: obstore, set up as boto3 was.

boto3 spends 1.5 ms of CPU on a put, obstore a sixth of that. boto3 has already made one
request (`Bucket.probe`). This client uses the same URL, region, credentials and authorities. It
asks boto3 again for credentials that expire.

This module owns puts from memory by obstore. boto3 makes all other requests: reading, listing,
deleting and conditional writes are too rare to gain from obstore. Files are put by boto3 too:
their cost is that of their bytes (256 MB: 0.7 s of CPU with boto3, 0.35 s with obstore), and
obstore can't cancel them, holds their parts in memory, and hides the first error if the abort
fails as well.

boto3 is used instead where obstore can't be, and `--s3-client obstore` is refused (`unfit`):
- for buckets with another signature: directory buckets (S3 Express), multi-region access
  points, object lambdas;
- for a prefix with a segment `.` or `..`, or with control characters;
- if the environment has variables that obstore reads and boto3 does not know. Some of them
  can't be overruled.

Two things differ from boto3. obstore trusts an `AWS_CA_BUNDLE` beside the system's authorities,
not instead of them. It has one time limit for a whole request, not one for each pause.
"""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scraper.model.errors import NoThread
from scraper.model.settings import S3
from scraper.model.threads import can_start
from scraper.sinks.s3 import errors as s3errors
from scraper.sinks.s3.bucket import Bucket, Way, parse_sse
from scraper.sinks.s3.errors import S3Error
from scraper.sinks.s3.metadata import Facts
from scraper.sinks.s3.spool import Sizes

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Config, S3Credential

_SLOWEST = 64 * 1024  # bytes a second, from which the time limit of a body follows
_KEPT_S = 60  # credentials that expire are asked for so often; boto3 renews them 10 min before
_TOO_SOON_S = 300  # obstore asks again if credentials expire within this time
_UNFIT_KEY = re.compile(r"[\x00-\x1f\x7f]|(?:^|/)\.{1,2}(?:/|$)")
_OWN_VARIABLES = (
    "AWS_CHECKSUM_ALGORITHM",
    "AWS_SERVER_SIDE_ENCRYPTION",
    "AWS_SSE_BUCKET_KEY_ENABLED",
    "AWS_SSE_CUSTOMER_KEY_BASE64",
    "AWS_SSE_KMS_KEY_ID",
)


def is_installed() -> bool:
    """Whether obstore is installed (the `fast` extra)."""
    return find_spec("obstore") is not None


def unfit(way: Way, key: str, environment: Mapping[str, str]) -> str | None:
    """Why obstore can't be used for a bucket that was reached in this way. None if it can.

    `key` is any key below the prefix.
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
    """Puts into one bucket, in the way that boto3 found. Many threads use it."""

    client = "obstore"

    def __init__(self, bucket: Bucket, way: Way, s3: S3, sizes: Sizes) -> None:
        """Raises S3Error, ImportError. S3Error too if there are too few threads for its runtime.

        The runtime has a thread for each CPU, and one more for look-ups of names. If it can't
        have them it writes a trace of its own to stderr, which nothing prevents.
        """
        if not can_start(_cpus() + 1):
            raise S3Error(str(NoThread()))
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
        """Put an object. It replaces an older one. Raises S3Error."""
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
            panic = type(error).__name__ == "PanicException"  # Rust's; a BaseException
            if not panic and not isinstance(error, Exception):
                raise
            failed = self._credentials.failed
            if failed is not None and "credential provider" in str(error):
                raise failed from None
            raise s3errors.from_obstore(error, self._endpoint, self._timeout_s) from None


class _Credentials:
    """The credentials that boto3 found, in the form that obstore asks for."""

    def __init__(self, bucket: Bucket) -> None:
        self.failed: S3Error | None = None  # the last error
        self._endpoint = bucket.endpoint
        self._found: Any = bucket.session.get_credentials()

    def __call__(self) -> "S3Credential":
        """The credentials to sign with now. boto3 renews them if they expire."""
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
    """All settings, so that none is read from the environment."""
    config: S3Config = {
        "endpoint": way.url,
        "aws_endpoint_url_s3": way.url,
        "virtual_hosted_style_request": True,  # the URL contains the bucket
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


def _cpus() -> int:
    """CPUs that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _client(authority: str | None, timeout_s: float) -> "ClientConfig":
    options: ClientConfig = {
        "allow_http": True,  # boto3 was given the URL, so it decides
        "connect_timeout": timedelta(seconds=s3errors.CONNECT_TIMEOUT_S),
        "timeout": timedelta(seconds=timeout_s),
    }
    if authority:
        options["root_certificate"] = _certificates(Path(authority))
    return options


def _certificates(path: Path) -> bytes:
    """The certificates of a file, or of all files in a directory."""
    if not path.is_dir():
        return path.read_bytes()
    return b"\n".join(file.read_bytes() for file in sorted(path.iterdir()) if file.is_file())
