"""One bucket, by boto3: every request that this program makes to S3.

What works with the aws command works here, because boto3 finds credentials, profile, region,
endpoint, certificates and proxies.

This module owns these requests. It does not know prefixes or spools, nor what errors mean
(`sinks/s3/errors.py`). It never waits: each request gets one attempt. The frontier retries, and
holds no slot meanwhile.

A put from memory is made for every object, so it has an interface of its own (`Puts`), and a
cheaper client may make it (`curl_client.py`). The other requests are rare, or their cost is
that of their bytes.
"""

import base64
import contextlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, urlsplit

from scraper.model.authorities import authorities
from scraper.model.dates import parse_http_date
from scraper.model.settings import S3
from scraper.sinks.base import SinkOptions
from scraper.sinks.object_stat import ObjectStat
from scraper.sinks.s3 import errors as s3errors
from scraper.sinks.s3.addresses import race_addresses
from scraper.sinks.s3.conditions import Conditions
from scraper.sinks.s3.corrections import correct
from scraper.sinks.s3.errors import S3Error
from scraper.sinks.s3.metadata import Facts, stat_of
from scraper.sinks.s3.parts import PART_WORKERS, Parts
from scraper.sinks.s3.spool import MIB, USUAL, Sizes

if TYPE_CHECKING:
    from boto3.session import Session
    from mypy_boto3_s3 import S3Client

_TOO_MUCH = {400, 413, 431, 501}  # what a store answers to facts that it does not take
_HARMLESS = ("GetObject", "HeadObject", "ListObjectsV2", "AbortMultipartUpload")
PROBE = b"scraper was here to see whether it may write\n"
_SCOPE = re.compile(r"AWS4-HMAC-SHA256 Credential=[^,]+/\d{8}/([^/,]+)/s3/aws4_request,")
_SSE = re.compile(r"(AES256)|(aws:kms(?::dsse)?)(?::(.+))?")


@dataclass(frozen=True, slots=True)
class Way:
    """How boto3 reached the bucket, so that another client can do the same.

    The URL of an object is `url`, a slash and its key. Requests are signed for `region`. Both
    are empty if boto3 did not use S3's usual signature.
    """

    url: str = ""
    region: str = ""


@dataclass(frozen=True, slots=True)
class Probed:
    """What the first put told: its way, the facts that were taken, and the answer (boto3's)."""

    way: Way
    facts: Facts
    answer: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """One object. `size` is in bytes, `etag` has its quotes, `modified` is seconds since 1970.

    `age_s`: seconds since it was put, by the endpoint's own clock (`Date` of the answer). None if
    the endpoint does not tell.
    """

    key: str
    size: int
    etag: str
    modified: float
    age_s: float | None = None


class Puts(Protocol):
    """A client that can put bytes as one object, in one request."""

    client: str

    def put(self, key: str, data: bytes, facts: Facts) -> None:
        """Put the object. It replaces an older one. Raises S3Error."""


class Bucket:
    """One bucket. Keys include the prefix. Many threads use it. Every method raises S3Error."""

    client = "boto3"

    def __init__(
        self, name: str, options: SinkOptions, sizes: Sizes = USUAL, attempts: int = 1
    ) -> None:
        self.name = name
        self.endpoint = "S3"  # in messages, until boto3 has found it
        self.checksums = True
        self.holds: Callable[[], bool] = lambda: True  # see `fence`
        self._conditions = Conditions()
        self._sizes = sizes
        self._encryption = _encryption(options.s3)
        with self._asked():
            self.session, self.authority = _session(options.s3, options.cacert)
            self._s3 = _connect(self.session, self.authority, options, attempts)
        self._parts = Parts(self._s3, name, sizes)
        self.endpoint = without_userinfo(self._s3.meta.endpoint_url)

    def fence(self, holds: Callable[[], bool]) -> None:
        """Send nothing more that changes an object once `holds()` is false. Parts are aborted."""
        self.holds = holds

        def look(event_name: str, **_: Any) -> None:
            if not holds() and not event_name.endswith(_HARMLESS):
                raise S3Error("the lease ran out")

        self._s3.meta.events.register_first("before-send.s3", look)

    def probe(self, key: str, choices: Sequence[Facts]) -> Probed:
        """Put PROBE. Find out where it was sent, and whether the endpoint takes digests.

        Also, which of `choices` is the first that it takes.
        """
        seen: list[Any] = []

        def look(request: Any, **_: Any) -> None:
            seen.append(request)

        self._s3.meta.events.register("before-send.s3.PutObject", look)
        try:
            facts, answer = self._first_taken(key, choices)
        finally:
            self._s3.meta.events.unregister("before-send.s3.PutObject", look)
        way = way_of(seen[-1].url, seen[-1].headers.get("Authorization", ""), key)
        return Probed(way, facts, answer)

    def _first_taken(self, key: str, choices: Sequence[Facts]) -> tuple[Facts, Mapping[str, Any]]:
        left = len(choices) * 2
        for facts in choices:
            for self.checksums in (True, False):
                left -= 1
                try:
                    return facts, self._put(key, PROBE, facts)
                except S3Error as error:
                    if error.status not in _TOO_MUCH or error.fatal or not left:
                        raise
        raise AssertionError("no choices")

    def put(self, key: str, data: bytes, facts: Facts) -> None:
        """Put an object from memory."""
        self._put(key, data, facts)

    def _put(self, key: str, data: bytes, facts: Facts) -> Mapping[str, Any]:
        with self._asked():
            return self._s3.put_object(**self._where(key), Body=data, **self._extra(facts))

    def put_file(self, key: str, path: Path, size: int, facts: Facts) -> None:
        """Put a file as an object, in one request or in parts."""
        if size < self._sizes.part_threshold:
            with self._asked(), open(path, "rb") as file:
                self._s3.put_object(**self._where(key), Body=file, **self._extra(facts))
            return
        digest = {"ChecksumAlgorithm": "SHA256"} if self.checksums else {}
        try:
            with self._asked():
                self._parts.put(key, path, self._kept(facts) | digest)
        except S3Error as error:
            if self._parts.abort_denied:
                error.add("its parts stay there: s3:AbortMultipartUpload is denied")
            raise

    def put_if(self, key: str, data: bytes, etag: str | None) -> str | None:
        """Put an object only if its current etag is `etag`. None: only if there is no object.

        Returns the new etag, or None if the condition did not hold. An endpoint that ignores
        conditions always puts the object. Where it refuses to judge this one (501), or says 412
        though it holds, another form is tried (`conditions.py`).
        """
        while form := self._conditions.form(etag):
            try:
                return self._put_small(key, data, form)
            except S3Error as error:
                gone = error.status == 404 and error.code != "NoSuchBucket" and etag is not None
                if gone or error.code == "ConditionalRequestConflict":
                    return None
                if error.status not in {412, 501}:
                    raise
                if error.status == 412 and not self._has(key, etag):
                    return None
            self._conditions.is_useless(form, etag)
        return self._put_small(key, data, {}) if self._has(key, etag) else None

    def get(self, key: str) -> tuple[Entry, Iterator[bytes]] | None:
        """An object, and its bytes as they arrive. None if there is no such object."""
        try:
            with self._asked():
                found: Any = self._s3.get_object(**self._where(key))
        except S3Error as error:
            if error.code in {"NoSuchKey", "404"}:
                return None
            raise
        modified = found["LastModified"].timestamp() if "LastModified" in found else 0.0
        answered = parse_http_date(found["ResponseMetadata"]["HTTPHeaders"].get("date"))
        age_s = answered - modified if answered is not None and modified else None
        entry = Entry(key, found["ContentLength"], self._etag_of(found), modified, age_s)
        return entry, self._read(found["Body"])

    def stat(self, key: str) -> ObjectStat | None:
        """What its head says of an object. None if there is no such object."""
        found = self._head(key)
        return stat_of(found["ContentLength"], found["Metadata"]) if found else None

    def storage_classes(self, key: str) -> tuple[str, str]:
        """The storage class of an object by its head, and by a list of it. "": it is not told.

        A head does not tell the usual one (STANDARD). Some stores repeat in a head what was sent.
        """
        head = self._head(key) or {}
        with self._asked():
            page = self._s3.list_objects_v2(Bucket=self.name, Prefix=key, MaxKeys=1)
        listed = [str(found.get("StorageClass", "")) for found in page.get("Contents", [])]
        return head.get("StorageClass", ""), "".join(listed)

    def list(self, prefix: str) -> Iterator[Entry]:
        """Every object whose key begins with `prefix`, ordered by the bytes of the keys."""
        with self._asked():
            pages = self._s3.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.name, Prefix=prefix):
                for found in page.get("Contents", []):
                    modified = found["LastModified"].timestamp()
                    yield Entry(found["Key"], found["Size"], found["ETag"], modified)

    def delete(self, key: str) -> None:
        """Delete an object. Nothing happens if there is none."""
        with self._asked():
            self._s3.delete_object(**self._where(key))

    def close(self) -> None:
        """Cancel uploads in parts, and close the connections."""
        self._parts.close()
        self._s3.close()

    @contextmanager
    def _asked(self) -> Iterator[None]:
        try:
            yield
        except s3errors.foreign() as error:
            raise s3errors.from_boto3(error, self.endpoint) from None

    def _has(self, key: str, etag: str | None) -> bool:
        """Whether the object has this etag now. None: whether there is no object."""
        found = self._head(key)
        return (None if found is None else str(found["ETag"])) == etag

    def _head(self, key: str) -> Any:
        try:
            with self._asked():
                return self._s3.head_object(**self._where(key))
        except S3Error as error:
            if error.status == 404 and error.code != "NoSuchBucket":
                return None
            raise

    def _put_small(self, key: str, data: bytes, condition: Mapping[str, Any]) -> str:
        extra = self._extra(Facts(sha256(data).hexdigest()))
        with self._asked():
            made = self._s3.put_object(**self._where(key), Body=data, **condition, **extra)
        return self._etag_of(made)

    def _etag_of(self, answer: Mapping[str, Any]) -> str:
        """The ETag that an answer has to have."""
        if not answer.get("ETag"):
            raise S3Error(f"{self.endpoint} answers without ETag: it is no S3", fatal=True)
        return str(answer["ETag"])

    def _where(self, key: str) -> Any:
        return {"Bucket": self.name, "Key": key}

    def _extra(self, facts: Facts) -> Any:
        digest = base64.b64encode(bytes.fromhex(facts.sha256)).decode()
        return self._kept(facts) | ({"ChecksumSHA256": digest} if self.checksums else {})

    def _kept(self, facts: Facts) -> dict[str, Any]:
        optional = {
            "ContentType": facts.content_type,
            "ContentEncoding": facts.content_encoding,
            "StorageClass": facts.storage_class,
        }
        said = {name: value for name, value in optional.items() if value}
        return {"Metadata": facts.metadata, **said, **self._encryption}

    def _read(self, body: Any) -> Iterator[bytes]:
        with self._asked(), contextlib.closing(body):
            yield from body.iter_chunks(MIB)


def parse_sse(sse: str) -> tuple[str, str | None]:
    """`AES256` or `aws:kms[:dsse][:KEY-ID]` as (algorithm, key). Raises ValueError."""
    found = _SSE.fullmatch(sse)
    if found is None:
        raise ValueError(f"{sse!r} is not AES256, aws:kms or aws:kms:KEY-ID")
    return found[1] or found[2], found[3]


def way_of(url: str, authorization: str | bytes, key: str) -> Way:
    """The way that a signed request for `key` took, read from its URL and its signature.

    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html
    """
    if isinstance(authorization, bytes):
        authorization = authorization.decode()
    scope = _SCOPE.match(authorization)
    end = "/" + quote(key, safe="/~")
    if scope is None or not url.endswith(end):
        return Way()
    return Way(without_userinfo(url.removesuffix(end)), scope[1])


def without_userinfo(url: str) -> str:
    """`url` without user and password. They are secrets, and S3 does not use them."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def _encryption(s3: S3) -> dict[str, Any]:
    if not s3.sse:
        return {}
    algorithm, key = parse_sse(s3.sse)
    return {"ServerSideEncryption": algorithm, **({"SSEKMSKeyId": key} if key else {})}


def _session(s3: S3, cacert: str | None) -> "tuple[Session, str | None]":
    """A session, and the file or directory of authorities (PEM) that is named for it, if any.

    What is configured for S3 alone (AWS_CA_BUNDLE) wins.
    """
    import boto3
    import botocore.session

    core = botocore.session.get_session()
    session = boto3.session.Session(botocore_session=core, profile_name=s3.profile)
    named = authorities(cacert, os.environ)
    path = None if named is None else named.file or named.directory
    return session, core.get_config_variable("ca_bundle") or path


def _connect(
    session: "Session", authority: str | None, options: SinkOptions, attempts: int
) -> "S3Client":
    """A client. For endpoints that are not Amazon's, botocore itself chooses path style."""
    from botocore.config import Config

    config = Config(
        connect_timeout=s3errors.CONNECT_TIMEOUT_S,
        read_timeout=s3errors.READ_TIMEOUT_S,
        max_pool_connections=options.max_concurrency + PART_WORKERS + 1,  # 1: the manifest
        retries={"total_max_attempts": attempts, "mode": "standard"},
        request_checksum_calculation="when_required",  # some endpoints store the framing
        response_checksum_validation="when_required",
    )
    region, endpoint = session.region_name or "us-east-1", options.s3.endpoint
    made = session.client("s3", region, endpoint_url=endpoint, config=config, verify=authority)
    return correct(race_addresses(made))
