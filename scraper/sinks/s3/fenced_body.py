"""FencedBody: a body that boto3 reads, as long as it may be sent.

boto3 sends bytes in one go, also when the process slept meanwhile. Of what has `read` it takes a
piece at a time, so each piece is asked for here.

Owns: that question. Does not know: requests, and what a lease is.
"""

from collections.abc import Callable
from io import BytesIO
from typing import BinaryIO

from scraper.sinks.s3.errors import S3Error

PIECE = 64 * 1024  # bytes; what is no larger is sent at once anyway


class FencedBody:
    """The bytes of `file`. `read` raises S3Error once `holds()` is false.

    `in_memory`: whether they lie there.
    """

    def __init__(self, file: BinaryIO, holds: Callable[[], bool]) -> None:
        self._file = file
        self.in_memory = isinstance(file, BytesIO)
        self._holds = holds
        self.seek = file.seek
        self.tell = file.tell

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes."""
        if not self._holds():
            raise S3Error("the lease ran out")
        return self._file.read(size)
