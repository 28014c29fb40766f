"""Kills the process when it has renamed a file to the name KILL_AFTER_RENAME.

Python imports this module at its start where its directory is in PYTHONPATH.
"""

import os
import signal
from typing import Any

_rename = os.rename


def _last(source: Any, final: Any, **directories: Any) -> None:
    _rename(source, final, **directories)
    if os.fsdecode(final) == os.environ["KILL_AFTER_RENAME"]:
        os.kill(os.getpid(), signal.SIGKILL)


os.rename = _last  # type: ignore[assignment]
