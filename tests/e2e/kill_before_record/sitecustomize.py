"""Kills the process when it is about to write a record with the text KILL_BEFORE_RECORD.

Python imports this module at its start where its directory is in PYTHONPATH.
"""

import os
import signal
from typing import Any

_write = os.write


def write(fd: int, data: Any) -> int:
    if os.environ["KILL_BEFORE_RECORD"].encode() in bytes(data):
        os.kill(os.getpid(), signal.SIGKILL)
    return _write(fd, data)


os.write = write
