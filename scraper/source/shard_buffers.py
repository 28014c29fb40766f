"""ShardBuffers: lines that are divided over many files, a bounded number of bytes in memory.

    buffers = ShardBuffers(keep)       # keep(shard, bytes) appends to the file of a shard
    buffers.append(3, b"a line")
    buffers.finish()

The bytes are gzip, in members that are put one after the other. Owns: what waits in memory. Does
not know: what the lines are.
"""

import gzip
from collections import defaultdict
from collections.abc import Callable

BUFFER_BYTES = 64 << 20  # of all shards together

Keep = Callable[[int, bytes], None]


class ShardBuffers:
    """See the module."""

    def __init__(self, keep: Keep, most: int = BUFFER_BYTES) -> None:
        self._keep, self._most = keep, most
        self._buffers: defaultdict[int, bytearray] = defaultdict(bytearray)
        self._size = 0

    def append(self, shard: int, text: bytes) -> None:
        """Append to what is for `shard`. Raises what `keep` raises."""
        self._buffers[shard] += text
        self._size += len(text)
        if self._size > self._most:
            largest = sorted(self._buffers, key=lambda one: -len(self._buffers[one]))
            for one in largest[: len(largest) // 4 + 1]:
                self._flush(one)
            self._size = sum(map(len, self._buffers.values()))

    def finish(self) -> None:
        """Keep what is still in memory."""
        for shard in sorted(self._buffers):
            self._flush(shard)

    def _flush(self, shard: int) -> None:
        if buffer := self._buffers.pop(shard, None):
            self._keep(shard, gzip.compress(buffer, 1, mtime=0))
