"""A large body on its way into an archive: deflated into a temporary file while it comes.

Owns: its digests, which its record's header has. Does not know: what the record says.
"""

import contextlib
import hashlib
import os

from scraper.sinks.warc import records
from scraper.sinks.warc.heads import Head
from scraper.sinks.warc.members import Deflating, Spooled


class LargeBody:
    """A body that goes into the file `fd`, which it owns, and the head before it.

    `payload` is the SHA-1 of what came; `block` that of head and body, None if it is not known yet.
    """

    def __init__(self, fd: int, head: Head) -> None:
        self.fd = fd
        self.size = 0
        self._ended = False
        self.deflating = Deflating(fd)
        self.payload = hashlib.sha1(usedforsecurity=False)
        # The digest of the block begins with the head, and the head has the length.
        self.block = None
        if head.length is not None:
            begun = hashlib.sha1(head.framed(head.length), usedforsecurity=False)
            self.block = begun

    def feed(self, data: bytes) -> None:
        """Take `data`. Raises OSError."""
        self.size += len(data)
        self.deflating.feed(data)
        self.payload.update(data)
        if self.block is not None:
            self.block.update(data)

    def ended(self, begun: bytes) -> Spooled:
        """The member of its record, which begins with `begun`. Raises OSError."""
        if not self._ended:
            self.deflating.feed(records.END)
            self._ended = True
        return self.deflating.end(begun)

    def close(self) -> None:
        """Drop the file. Never raises."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            with contextlib.suppress(OSError):
                os.close(fd)
