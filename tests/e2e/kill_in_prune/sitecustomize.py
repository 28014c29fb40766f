"""Kills the process at one moment of a pruning, which KILL_IN_PRUNE names.

`write`, `written`: before and after the records; `unlink`, `unlinked`: before and after the first
page; `rmdir`: before the first directory. Python imports this module at its start where its
directory is in PYTHONPATH.
"""

import os
import signal
from typing import Any

_write, _unlink, _rmdir = os.write, os.unlink, os.rmdir


def _now(moment: str) -> None:
    if os.environ["KILL_IN_PRUNE"] == moment:
        os.kill(os.getpid(), signal.SIGKILL)


def write(fd: int, data: Any) -> int:
    is_record = b'"pruned"' in bytes(data)
    if is_record:
        _now("write")
    taken = _write(fd, data)
    if is_record:
        _now("written")
    return taken


def unlink(path: Any, **where: Any) -> None:
    is_page = os.fsdecode(path).endswith(".html")
    if is_page:
        _now("unlink")
    _unlink(path, **where)
    if is_page:
        _now("unlinked")


def rmdir(path: Any, **where: Any) -> None:
    _now("rmdir")
    _rmdir(path, **where)


os.write, os.unlink, os.rmdir = write, unlink, rmdir
