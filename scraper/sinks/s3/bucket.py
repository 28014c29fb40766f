"""One bucket: every request to it but the puts of `curl_client.py`.

boto3 finds credentials, profile, region, endpoint, certificates and proxies (`session.py`), so
what works with the aws command works here. Its client makes the requests, or, where the way to the
bucket is a usual one and libcurl is there, `RestClient` makes the small ones: the lease, the probe,
the manifest and lists. The first request shows whether that works; if it does not, boto3 makes all
of them. Files and uploads in parts are always boto3's.

This module owns these requests. It does not know prefixes or spools, nor what errors mean
(`sinks/s3/errors.py`). It never waits: each request gets one attempt. The frontier retries, and
holds no slot meanwhile.

A put from memory is made for every object, so it has an interface of its own (`Puts`), and a
cheaper client may make it (`curl_client.py`).
"""

import base64
import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from scraper.model.dates import parse_http_date
from scraper.sinks.base import SinkOptions
from scraper.sinks.object_stat import ObjectStat
from scraper.sinks.objects.metadata import Facts, stat_of
from scraper.sinks.objects.service import PROBE, Entry
from scraper.sinks.objects.sizes import MIB, USUAL, Sizes
from scraper.sinks.s3 import errors as s3errors
from scraper.sinks.s3.conditions import Conditions
from scraper.sinks.s3.encryption import encryption
from scraper.sinks.s3.endpoint import Way, way_of, without_userinfo
from scraper.sinks.s3.errors import S3Error
from scraper.sinks.s3.fenced_body import PIECE, FencedBody
from scraper.sinks.s3.listing import next_token
from scraper.sinks.s3.parts import Parts
from scraper.sinks.s3.session import Session
from scraper.sinks.s3.signed_requests import SignedRequests

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from scraper.sinks.s3.rest_client import RestClient

_TOO_MUCH = {400, 413, 431, 501}  # what a store answers to facts that it does not take
_HARMLESS = ("GetObject", "HeadObject", "ListObjectsV2", "AbortMultipartUpload")


@dataclass(frozen=True, slots=True)
class Probed:
    """What the first put told: its way, the facts that were taken, and the answer (boto3's)."""

    way: Way
    facts: Facts
    answer: Mapping[str, Any]


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
        self._encryption = encryption(options.s3)
        self._lock = threading.Lock()  # for `_made`
        self._sending = threading.local()  # `harmless`: whether its request changes nothing
        self._made: S3Client | None = None
        self._rest: RestClient | None = None
        self._parts = Parts(self._boto3, name, sizes)
        with self._asked():
            self._session = Session(options, attempts)
            self._way = self._session.plain_way(name) if attempts == 1 else None
            if options.s3.client == "boto3" or not self._use_libcurl():
                self.endpoint = without_userinfo(self._boto3().meta.endpoint_url)

    @property
    def by_libcurl(self) -> bool:
        """Whether libcurl makes the small requests, not boto3."""
        return self._rest is not None

    def signed_requests(self, way: Way) -> SignedRequests:
        """Requests in this way, by the credentials of boto3. Raises ValueError without any."""
        with self._asked():
            found = self._session.credentials()
        return SignedRequests(way, found, self.endpoint, self._session.authority)

    def fence(self, holds: Callable[[], bool]) -> None:
        """Send nothing more that changes an object once `holds()` is false. Parts are aborted."""
        self.holds = holds

    def join(self, *, checksums: bool, by_libcurl: bool) -> None:
        """Go on as another bucket of the run does, which has asked."""
        self.checksums = checksums
        if self._rest is not None and not by_libcurl:
            self._rest.close()
            self._rest = None

    def probe(self, key: str, choices: Sequence[Facts]) -> Probed:
        """Put PROBE. Find out where it was sent, and whether the endpoint takes digests.

        Also, which of `choices` is the first that it takes.
        """
        if self._rest is not None and self._way is not None:
            try:
                return Probed(self._way, *self._first_taken(key, choices))
            except S3Error as error:
                self._give_libcurl_up(error)
        seen: list[Any] = []

        def look(request: Any, **_: Any) -> None:
            seen.append(request)

        with self._asked():
            events = self._boto3().meta.events
        events.register("before-send.s3.PutObject", look)
        try:
            facts, answer = self._first_taken(key, choices)
        finally:
            events.unregister("before-send.s3.PutObject", look)
        way = way_of(seen[-1].url, seen[-1].headers.get("Authorization", ""), key)
        return Probed(way, facts, answer)

    def reach(self, prefix: str) -> None:
        """Ask for a list of keys below `prefix`, to see whether the bucket can be read."""
        try:
            next(self.list(prefix), None)
        except S3Error as error:
            self._give_libcurl_up(error)
            next(self.list(prefix), None)

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
        self._etag_of(self._put(key, data, facts), fatal=False)

    def _put(self, key: str, data: bytes, facts: Facts) -> Mapping[str, Any]:
        body: Any = data
        if self._rest is None and len(data) > PIECE:
            body = FencedBody(BytesIO(data), self.holds)
        with self._asked():
            answer = self._s3.put_object(**self._where(key), Body=body, **self._extra(facts))
        return dict(answer)

    def put_file(self, key: str, path: Path, size: int, facts: Facts) -> None:
        """Put a file as an object, in one request or in parts."""
        if size < self._sizes.part_threshold:
            with self._asked(), open(path, "rb") as file:
                extra = self._extra(facts)
                body: Any = FencedBody(file, self.holds)
                answer = self._boto3().put_object(**self._where(key), Body=body, **extra)
            self._etag_of(answer, fatal=False)
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
                if not found:  # too large for libcurl
                    found = self._boto3().get_object(**self._where(key))
        except S3Error as error:
            if error.code in {"NoSuchKey", "404"}:
                return None
            raise
        try:
            etag = self._etag_of(found)
        except S3Error:
            found["Body"].close()
            raise
        modified = found["LastModified"].timestamp() if "LastModified" in found else 0.0
        answered = parse_http_date(found["ResponseMetadata"]["HTTPHeaders"].get("date"))
        age_s = answered - modified if answered is not None and modified else None
        entry = Entry(key, found.get("ContentLength", 0), etag, modified, age_s)
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
        for page in self._pages({"Prefix": prefix}):
            for found in page.get("Contents", []):
                try:
                    modified = found["LastModified"].timestamp()
                    entry = Entry(found["Key"], found["Size"], found.get("ETag", ""), modified)
                except KeyError as error:
                    raise s3errors.no_list(self.endpoint, error) from None
                yield entry

    def folders(self, prefix: str) -> Iterator[str]:
        """What begins keys, from `prefix` to the next slash."""
        for page in self._pages({"Prefix": prefix, "Delimiter": "/"}):
            yield from (found["Prefix"] for found in page.get("CommonPrefixes", []))

    def _pages(self, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
        with self._asked():
            while True:
                page = self._s3.list_objects_v2(Bucket=self.name, **asked)
                token = next_token(page, asked.get("ContinuationToken"), self.endpoint)
                yield page
                if not token:
                    return
                asked["ContinuationToken"] = token

    def delete(self, key: str) -> None:
        """Delete an object. Nothing happens if there is none."""
        with self._asked():
            self._s3.delete_object(**self._where(key))

    def close(self) -> None:
        """Cancel uploads in parts, and close the connections."""
        self._parts.close()
        for client in (self._rest, self._made):
            if client is not None:
                client.close()

    @property
    def _s3(self) -> Any:
        """What makes small requests."""
        return self._boto3() if self._rest is None else self._rest

    def _boto3(self) -> "S3Client":
        """boto3's client, made when it is first needed. Raises what botocore raises."""
        with self._lock:
            if self._made is None:
                self._made = self._session.client(self._may_send)
                self._made.meta.events.register_first("before-send.s3", self._keep_to_fence)
            return self._made

    def _keep_to_fence(self, event_name: str, **_: Any) -> None:
        self._sending.harmless = event_name.endswith(_HARMLESS)
        self._may_send()

    def _may_send(self) -> None:
        """Raise if this thread's request would change an object, and the lease ran out."""
        if not (self._sending.harmless or self.holds()):
            raise S3Error("the lease ran out")

    def _use_libcurl(self) -> bool:
        """Let libcurl make the small requests, if it can. Raises what botocore raises."""
        if self._way is None or self._session.credentials() is None:
            return False
        try:
            from scraper.sinks.s3.rest_client import RestClient

            self.endpoint = self._way.endpoint
            requests = self.signed_requests(self._way)
            self._rest = RestClient(requests, lambda: self.holds())  # noqa: PLW0108 - it changes
        except (ImportError, AttributeError):  # no pycurl, or one too old
            return False
        return True

    def _give_libcurl_up(self, error: S3Error) -> None:
        """Let boto3 make all requests, after the first one failed. Raises what it would meet too.

        It finds its way to another region, and connects in its own way, but through no SOCKS proxy.
        """
        if self._rest is None or self._rest.by_socks or not s3errors.may_be_libcurls(error):
            raise error
        self._rest.close()
        self._rest = None

    @contextmanager
    def _asked(self) -> Iterator[None]:
        try:
            yield
        except s3errors.foreign() as error:
            raise s3errors.from_boto3(error, self.endpoint) from None

    def _has(self, key: str, etag: str | None) -> bool:
        """Whether the object has this etag now. None: whether there is no object."""
        found = self._head(key)
        return (None if found is None else str(found.get("ETag"))) == etag

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

    def _etag_of(self, answer: Mapping[str, Any], *, fatal: bool = True) -> str:
        """The ETag that an answer has to have. A proxy may have answered in the place of S3."""
        if not answer.get("ETag"):
            raise s3errors.no_etag(self.endpoint, fatal=fatal)
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
