"""File descriptors: whether the system allows as many transfers at once as were asked for.

Owns: how many are needed, and raising the soft limit of the process when it is too low. Does not
know: who opens what. Rejected: finding out while transfers fail.
"""

import contextlib
import resource

from scraper.model.errors import UsageError

_REST = 64  # lists, logs, manifest, databases, directories kept, the interpreter's own
_IDLE = 256  # connections kept for hosts whose turn comes again


def connections_to_keep(max_concurrency: int) -> int:
    """Connections, idle ones among them, that there is room for beside a file for each transfer.

    Raises UsageError when there is not even room for the transfers.
    """
    least = 2 * max_concurrency + _REST
    wanted = least + max(_IDLE, max_concurrency)
    there = _raised(wanted)
    if there < least:
        most = (there - _REST) // 2
        possible = f"{most} is the most here" if most > 0 else f"even 1 needs {_REST + 2}"
        raise UsageError(
            f"--max-concurrency {max_concurrency} needs {least} open files, and the system allows"
            f" {there} (ulimit -n): {possible}"
        )
    return max_concurrency + min(there, wanted) - least


def _raised(wanted: int) -> int:
    """The limit of open files, raised towards `wanted` as far as it goes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        higher = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(OSError, ValueError):  # macOS has a limit below the limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (higher, hard))
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if soft == resource.RLIM_INFINITY else soft
