"""The S3 sink: one object for each key, in any bucket that speaks S3's language.

A body is spooled, in memory while it is small and in a file from then on, and
put when it is whole: so its digest is known before its first byte leaves, and
no reader ever meets a part of it. Large bodies go in parallel parts, by
s3transfer, which boto3 itself uses, and which aborts what it can't complete.

Owns: requests to S3, the spool. Refuses to know: HTTP towards the web; what S3's
errors mean (`s3errors.py`); where credentials, region and profile come from (boto3's
business, so that whatever works with the aws command works here); waiting
(one attempt a request: the frontier retries, and holds no slot meanwhile).
Rejected: writing parts while the body arrives; it costs two requests more for
each small object, and a crash leaves parts that are paid for.
"""

import base64
import contextlib
import os
import re
import shutil
import stat
import tempfile
import threading
from concurrent.futures import CancelledError
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote, urlsplit

from scraper.errors import DestinationError, ListError, SinkError, UsageError
from scraper.records import Stored
from scraper.settings import S3
from scraper.sinks import s3errors
from scraper.sinks.base import Body, SinkOptions
from scraper.sinks.workspace import Workspace
from scraper.urls import redact

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from s3transfer.futures import TransferFuture
    from s3transfer.manager import TransferManager

MIB = 1 << 20
PART_WORKERS = 8  # parts in flight, of all bodies together
_CLOSING_S = 2.0  # for parts in flight, when a run is over without them
_URL_BYTES = 1024  # of 2,048 for all metadata (S3 user guide, UsingMetadata); rclone counts more
_PROBE = b"scraper was here to see whether it may write\n"
_SSE = re.compile(r"(AES256)|(aws:kms(?::dsse)?)(?::(.+))?")


def open_sink(destination: str, options: SinkOptions) -> "S3Sink":
    """The sink for `s3://bucket/prefix`. Raises UsageError."""
    bucket, prefix = _split(destination)
    if not bucket:
        raise UsageError(f"--to {destination!r} names no bucket: s3://bucket/prefix")
    if options.s3.sse and not _SSE.fullmatch(options.s3.sse):
        raise UsageError(f"--s3-sse {options.s3.sse!r} is not AES256, aws:kms or aws:kms:KEY-ID")
    return S3Sink(bucket, prefix, options)


def open_object(url: str, options: SinkOptions) -> BinaryIO:
    """The object at an `s3://bucket/key` URL as a temporary file. Raises ListError."""
    bucket, _, key = url.partition("://")[2].partition("/")
    shown = redact(url)
    if not bucket or not key:
        raise ListError(f"can't open the list {shown!r}: it is not s3://bucket/key")
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller reads and closes it
    endpoint = ""
    try:
        with contextlib.closing(_connect(options, attempts=4)) as client:
            endpoint = _endpoint(client)
            shutil.copyfileobj(client.get_object(Bucket=bucket, Key=key)["Body"], file, MIB)
    except s3errors.foreign() as error:
        file.close()
        reason = s3errors.reason(error, endpoint)
        raise ListError(f"can't open the list {shown!r}: {reason}") from None
    file.seek(0)
    return file


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes: of one body kept in memory; from which on it goes in parts; of a part.

    S3 takes no part below 5 MiB and no more than 10,000 of them; s3transfer
    makes them larger where that would not do.
    """

    memory: int = 8 * MIB
    part_threshold: int = 64 * MIB
    part: int = 16 * MIB


class S3Sink:
    """Objects below `prefix` of `bucket`."""

    client = "boto3"

    def __init__(
        self,
        bucket: str,
        prefix: str,
        options: SinkOptions,
        sizes: Sizes = Sizes(),
    ) -> None:
        self.bucket = bucket
        self.sizes = sizes
        self._prefix = prefix
        self._options = options
        self._s3: S3Client | None = None
        self._checksums = True
        self._closed = False
        self._lock = threading.Lock()  # for what is made when first needed
        self._manager: TransferManager | None = None
        self._carried: set[TransferFuture] = set()
        self._workspace: Workspace | None = None
        self._names = count()
        self._uploads: set[S3Upload] = set()

    def check(self) -> None:
        """Put and delete a small object. Raises DestinationError."""
        try:
            self._s3 = _connect(self._options, attempts=1)
            self._probe(self._s3)
        except s3errors.foreign() as error:
            reason = s3errors.reason(error, _endpoint(self._s3))
            raise DestinationError(f"can't use s3://{self.bucket}: {reason}") from None

    def open(self, key: str) -> "S3Upload":
        """An empty spool for `key`."""
        upload = S3Upload(self, key)
        self._uploads.add(upload)
        return upload

    def put(self, key: str, spool: "Spool", body: Body) -> None:
        """Make the object, in one request or in parts. Raises what boto3 raises."""
        assert self._s3 is not None, "check() comes first"
        if self._closed:
            raise CancelledError
        extra = _facts(body) | _storage(self._options.s3)
        if spool.size < self.sizes.part_threshold:
            if self._checksums:
                extra["ChecksumSHA256"] = _base64(bytes.fromhex(body.sha256))
            where: dict[str, Any] = {"Bucket": self.bucket, "Key": self._name(key)}
            self._s3.put_object(**where, Body=spool.whole(), **extra)
            return
        if self._checksums:
            extra["ChecksumAlgorithm"] = "SHA256"
        manager = self._parts(self._s3)
        carried = manager.upload(str(spool.on_disk()), self.bucket, self._name(key), extra)
        self._carried.add(carried)
        try:
            carried.result()
        finally:
            self._carried.discard(carried)

    def forget(self, upload: "S3Upload") -> None:
        """It has ended."""
        self._uploads.discard(upload)

    def spool_path(self) -> Path:
        """A name for a temporary file that no run leaves behind for long. Raises OSError."""
        with self._lock:
            if self._closed:
                raise OSError("the run is over")
            if self._workspace is None:
                self._workspace = Workspace(_spool_directory())
            return self._workspace.path / f"{next(self._names):x}"

    def mapped(self, error: BaseException, key: str) -> SinkError | DestinationError:
        """What a foreign error means to the run."""
        if self._closed:
            return SinkError("given up when the run was stopped", transient=False)
        reason = s3errors.reason(error, _endpoint(self._s3))
        if s3errors.is_fatal(error):
            return DestinationError(f"s3://{self.bucket} takes no more objects: {reason}")
        return SinkError(f"can't store {key!r}: {reason}", transient=s3errors.may_pass(error))

    def close(self) -> None:
        """Give up what is under way, and remove the spool."""
        with self._lock:
            self._closed = True
        if self._manager is not None:
            for carried in list(self._carried):
                carried.cancel()
            # Its own cancel=True fails with a TypeError (0.19), and it waits for parts that hang.
            closing = threading.Thread(target=self._manager.shutdown, daemon=True)
            closing.start()
            closing.join(_CLOSING_S)
        for upload in list(self._uploads):
            upload.abort()
        if self._s3 is not None:
            self._s3.close()
        if self._workspace is not None:
            self._workspace.close()

    def _name(self, key: str) -> str:
        return f"{self._prefix}/{key}" if self._prefix else key

    def _probe(self, s3: "S3Client") -> None:
        """Find out what will be needed: the bucket, permission, storage class, checksums."""
        from botocore.exceptions import ClientError

        where: dict[str, Any] = {"Bucket": self.bucket, "Key": self._name(".scraper/probe")}
        extra = _storage(self._options.s3)
        digest = _base64(sha256(_PROBE).digest())
        try:
            s3.put_object(**where, Body=_PROBE, ChecksumSHA256=digest, **extra)
        except ClientError as error:
            if s3errors.status(error) not in {400, 501} or s3errors.is_fatal(error):
                raise
            s3.put_object(**where, Body=_PROBE, **extra)
            self._checksums = False
        with contextlib.suppress(*s3errors.foreign()):  # who may write may not always delete
            s3.delete_object(**where)

    def _parts(self, s3: "S3Client") -> "TransferManager":
        """One manager for all bodies, so that parts in flight are bounded in all."""
        from s3transfer.manager import TransferConfig, TransferManager

        with self._lock:
            if self._closed:
                raise CancelledError
            if self._manager is None:
                s3.meta.events.register("provide-client-params.s3.UploadPart", _sum_part)
                config = TransferConfig(
                    multipart_threshold=self.sizes.part_threshold,
                    multipart_chunksize=self.sizes.part,
                    max_request_concurrency=PART_WORKERS,
                )
                self._manager = TransferManager(s3, config)
            return self._manager


class S3Upload:
    """One body on its way."""

    def __init__(self, sink: S3Sink, key: str) -> None:
        self._sink = sink
        self._key = key
        self._spool = Spool(sink)

    def write(self, chunk: bytes) -> None:
        """Append to the spool."""
        try:
            self._spool.write(chunk)
        except (OSError, ValueError) as error:
            raise self._sink.mapped(error, self._key) from None

    def commit(self, body: Body) -> Stored:
        """Put the object."""
        try:
            self._sink.put(self._key, self._spool, body)
        except s3errors.foreign() as error:
            raise self._sink.mapped(error, self._key) from None
        self.abort()
        return body.stored()

    def abort(self) -> None:
        """Remove the spool."""
        self._spool.close()
        self._sink.forget(self)


class Spool:
    """The bytes of one body so far: in memory, or in a file of the sink's workspace."""

    def __init__(self, sink: S3Sink) -> None:
        self.size = 0
        self._sink = sink
        self._file: BinaryIO = BytesIO()
        self._path: Path | None = None

    def write(self, chunk: bytes) -> None:
        """Append. Raises OSError; ValueError when closed."""
        self.size += len(chunk)
        if self._path is None and self.size > self._sink.sizes.memory:
            self._move()
        self._file.write(chunk)

    def whole(self) -> bytes | BinaryIO:
        """All of it: bytes, which need no `Expect: 100-continue`, or a file at its start."""
        if isinstance(self._file, BytesIO):
            return self._file.getvalue()
        self._file.seek(0)
        return self._file

    def on_disk(self) -> Path:
        """The file it is in."""
        if self._path is None:
            self._move()
        self._file.flush()
        assert self._path is not None
        return self._path

    def close(self) -> None:
        """Let go of it. Never raises."""
        with contextlib.suppress(OSError):  # what is buffered may find the disk full
            self._file.close()
        if self._path is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._path)

    def _move(self) -> None:
        assert isinstance(self._file, BytesIO)
        path = self._sink.spool_path()
        file = open(path, "xb+")  # noqa: SIM115 - closed by close()
        memory, self._file, self._path = self._file, file, path
        self._file.write(memory.getbuffer())


def _split(destination: str) -> tuple[str, str]:
    """Bucket and prefix, without slashes at the ends or doubled."""
    bucket, _, prefix = destination.partition("://")[2].partition("/")
    return bucket, "/".join(filter(None, prefix.split("/")))


def _connect(options: SinkOptions, attempts: int) -> "S3Client":
    """A client; botocore takes path style by itself for endpoints that are not Amazon's."""
    import boto3
    from botocore.config import Config

    session = boto3.session.Session(profile_name=options.s3.profile)
    config = Config(
        connect_timeout=s3errors.CONNECT_TIMEOUT_S,
        read_timeout=s3errors.READ_TIMEOUT_S,
        max_pool_connections=options.max_concurrency + PART_WORKERS + 1,  # one for the manifest
        retries={"total_max_attempts": attempts, "mode": "standard"},
        request_checksum_calculation="when_required",  # older endpoints store the framing
        response_checksum_validation="when_required",
    )
    region = session.region_name or "us-east-1"
    return session.client("s3", region, endpoint_url=options.s3.endpoint, config=config)


def _endpoint(client: "S3Client | None") -> str:
    """Where requests go, without userinfo."""
    if client is None:
        return "S3"
    parts = urlsplit(client.meta.endpoint_url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _spool_directory() -> Path:
    """A directory of our own below the system's for temporary files. Raises OSError."""
    path = Path(tempfile.gettempdir()) / f"scraper-spool-{os.geteuid()}"
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError(f"{path} is somebody else's")
    return path


def _facts(body: Body) -> dict[str, Any]:
    """What is kept beside the bytes. Metadata is ASCII and below 2 KB."""
    fetched = datetime.fromtimestamp(body.fetched_at, UTC).isoformat(timespec="milliseconds")
    metadata = {"fetched-at": fetched.removesuffix("+00:00") + "Z", "sha256": body.sha256}
    if body.source_url:
        url = quote(body.source_url, safe="".join(map(chr, range(0x21, 0x7F))))
        cut = url[:_URL_BYTES]
        metadata["source-url"] = re.sub("%.?$", "", cut) if len(cut) < len(url) else url
    headers = {
        "ContentType": body.response.content_type,
        "ContentEncoding": body.response.content_encoding,
    }
    sendable = {name: value for name, value in headers.items() if value and value.isascii()}
    return {"Metadata": metadata, **sendable}


def _storage(s3: S3) -> dict[str, Any]:
    """How objects are kept."""
    extra: dict[str, Any] = {}
    if s3.storage_class:
        extra["StorageClass"] = s3.storage_class
    if found := _SSE.fullmatch(s3.sse or ""):
        extra["ServerSideEncryption"] = found[1] or found[2]
        if found[3]:
            extra["SSEKMSKeyId"] = found[3]
    return extra


def _sum_part(params: dict[str, Any], **_: Any) -> None:
    """Give a part its digest as a header; botocore's own is a trailer, which not all can read."""
    if "ChecksumAlgorithm" in params:
        digest = sha256()
        while chunk := params["Body"].read(MIB):
            digest.update(chunk)
        params["Body"].seek(0)
        params["ChecksumSHA256"] = _base64(digest.digest())


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
