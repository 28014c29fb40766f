"""Uploads in parts, by s3transfer, which boto3 uses too. It aborts one that it can't complete.

Owns: one manager for all bodies, so that the parts in flight of all together are bounded; its
threads, and how they end. Does not know: which body is large enough, what errors mean.
"""

import base64
import contextlib
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scraper.model.errors import NoThread
from scraper.model.threads import start_thread
from scraper.sinks.objects.sizes import MIB, Sizes

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from s3transfer.futures import NonThreadedExecutor, TransferFuture
    from s3transfer.manager import TransferManager

PART_WORKERS = 8  # parts in flight, for all bodies together
_CLOSING_S = 2.0  # how long `close` waits for parts in flight


class Parts:
    """Uploads to one bucket. Many threads use it. It raises what boto3 and s3transfer raise."""

    def __init__(self, client: "Callable[[], S3Client]", bucket: str, sizes: Sizes) -> None:
        """`client`: called when the first body comes."""
        self._client = client
        self._bucket = bucket
        self._sizes = sizes
        self.abort_denied = False  # then parts stay in the store
        self._closed = False
        self._lock = threading.Lock()  # for `_closed` and `_manager`
        self._manager: TransferManager | None = None
        self._executor: type[NonThreadedExecutor] | None = None  # of the manager; None: threads
        self._carried: set[TransferFuture] = set()

    def put(self, key: str, path: Path, extra: Mapping[str, Any]) -> None:
        """Put a file. `extra`: arguments of boto3. Without threads it goes part by part."""
        try:
            self._upload(self._managed(), path, key, extra)
        except RuntimeError as error:
            if "start new thread" not in str(error):
                raise
            self._upload(self._managed(alone=True), path, key, extra)

    def close(self) -> None:
        """Cancel all. A part that hangs is not waited for."""
        with self._lock:
            self._closed = True
        if self._manager is not None:
            for carried in list(self._carried):
                carried.cancel()
            # shutdown(cancel=True) raises TypeError (s3transfer 0.19) and waits for hanging parts.
            with contextlib.suppress(NoThread):
                start_thread("closing", self._manager.shutdown).join(_CLOSING_S)

    def _upload(
        self, manager: "TransferManager", path: Path, key: str, extra: Mapping[str, Any]
    ) -> None:
        carried = manager.upload(str(path), self._bucket, key, dict(extra))
        self._carried.add(carried)
        try:
            carried.result()
        finally:
            self._carried.discard(carried)

    def _managed(self, *, alone: bool = False) -> "TransferManager":
        """The manager. `alone`: one without threads, from now on."""
        from s3transfer.futures import NonThreadedExecutor
        from s3transfer.manager import TransferConfig, TransferManager

        with self._lock:
            if self._closed:
                raise CancelledError
            if self._manager is None or (alone and self._executor is None):
                client = self._client()
                if self._manager is None:
                    events = client.meta.events
                    events.register("provide-client-params.s3.UploadPart", _sum_part)
                    events.register("after-call.s3.AbortMultipartUpload", self._see_abort)
                self._executor = NonThreadedExecutor if alone else None
                config = TransferConfig(
                    multipart_threshold=self._sizes.part_threshold,
                    multipart_chunksize=self._sizes.part,
                    max_request_concurrency=PART_WORKERS,
                )
                self._manager = TransferManager(client, config, executor_cls=self._executor)
            return self._manager

    def _see_abort(self, http_response: Any, **_: Any) -> None:
        """s3transfer tells nobody of an abort that fails."""
        self.abort_denied |= http_response.status_code == 403


def _sum_part(params: dict[str, Any], **_: Any) -> None:
    """Send a part's digest as a header. botocore sends a trailer, which some can't read."""
    if "ChecksumAlgorithm" in params:
        digest = sha256()
        while chunk := params["Body"].read(MIB):
            digest.update(chunk)
        params["Body"].seek(0)
        params["ChecksumSHA256"] = base64.b64encode(digest.digest()).decode()
