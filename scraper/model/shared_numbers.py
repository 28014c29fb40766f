"""Numbers that several processes of one run share, and the lock for changing them.

    with numbers.alone():
        numbers[numbers.TAKEN] += size

Each is a float at a place of its own. Sizes up to 2**53 bytes are exact. The lock is a record lock
of the kernel: it is free again when a process that has it is killed.

Owns: that memory. Does not know: what the numbers mean, except which place is whose.
Rejected: `multiprocessing.Value`, whose semaphore stays taken when its holder is killed, and which
only children of `multiprocessing` can open.
"""

import contextlib
import fcntl
import mmap
import os
import threading
from collections.abc import Iterator

_COUNT = 8


class SharedNumbers:
    """See the module. `fd`: the memory as another process opens it; None: a new one.

    From any thread. Raises OSError.
    """

    TAKEN, SPENT, FREE, LOOK_AT = range(4)  # of the quota
    RATE_FREE_AT = 4  # of --limit-rate
    GOOD_UNTIL = 5  # of the lease

    def __init__(self, fd: int | None = None) -> None:
        self.fd = _new_memory() if fd is None else fd
        self._memory = mmap.mmap(self.fd, _COUNT * 8)
        self._numbers = memoryview(self._memory).cast("d")
        self._lock = threading.Lock()  # the kernel's is between processes

    def __getitem__(self, place: int) -> float:
        return self._numbers[place]

    def __setitem__(self, place: int, value: float) -> None:
        self._numbers[place] = value

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else changes them meanwhile, in whatever process."""
        with self._lock:
            fcntl.lockf(self.fd, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self.fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give the memory back."""
        self._numbers.release()
        self._memory.close()
        os.close(self.fd)


def _new_memory() -> int:
    """A descriptor of memory without a name."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("scraper", os.MFD_CLOEXEC)
    else:
        import tempfile

        fd, path = tempfile.mkstemp()
        os.unlink(path)
    os.ftruncate(fd, _COUNT * 8)
    return fd
