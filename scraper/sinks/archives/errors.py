"""Errors of an archive, as ours.

All objects are in one file. So what the disk says of it, is said to every object: the run ends.

Owns: that mapping. Does not know: what was done.
"""

import errno

from scraper.model.errors import DestinationError, SinkError

_TRANSIENT = {errno.EAGAIN, errno.EINTR, errno.EMFILE, errno.ENFILE, errno.ESTALE}


def refused(error: OSError | ValueError, key: str) -> SinkError | DestinationError:
    """What `error` means, which came when `key` was stored."""
    if not isinstance(error, OSError) or error.errno in {None, errno.EBADF}:
        return SinkError(f"can't write {key!r}: the run is over", transient=False)
    if error.errno in _TRANSIENT:
        return SinkError(f"can't write {key!r}: {reason_of(error)}", transient=True)
    return DestinationError(f"the archive takes no more: {reason_of(error)}")


def unreadable(error: OSError, key: str) -> SinkError:
    """What `error` means, which came when `key` was read."""
    transient = error.errno in _TRANSIENT
    return SinkError(f"can't read {key!r}: {reason_of(error)}", transient=transient)


def reason_of(error: OSError) -> str:
    """What it says, without a path."""
    return error.strerror or str(error)
