"""Names of files that are on their way, beside their final names, and of a run's own mark.

    pages/a.html                                          the object
    pages/.scraper-4f6c0a1be2d99a10-2x.tmp                on its way, of run 4f6c0a1be2d99a10
    .scraper/tmp/4f6c0a1be2d99a10.json                    the run has such files

A name has nothing of the key in it, so a key may be as long as the server allows.

Owns: these names. Does not know: servers.
"""

import os
import re
from itertools import count

from scraper.source.keys import OWN_DIRECTORY

MARKS = f"{OWN_DIRECTORY}/tmp/"  # noqa: S108 - at the server
_TEMPORARY = re.compile(r"\.scraper-([0-9a-f]{16})-[0-9a-f]+(?:-[0-9a-f]+)?\.tmp")


class TemporaryNames:
    """Those of one process of a run. `run` is the same for all its processes."""

    def __init__(self, run: str) -> None:
        self.run = run
        self._own = f"{os.getpid():x}"
        self._numbers = count()

    def beside(self, path: str) -> str:
        """A new name in the directory of `path`."""
        parent = path.rpartition("/")[0]
        return f"{parent}/.scraper-{self.run}-{self._own}-{next(self._numbers):x}.tmp"


def run_of(name: str) -> str:
    """The run whose temporary file has this name, "" if it is none's."""
    found = _TEMPORARY.fullmatch(name)
    return found[1] if found else ""


def mark_of(run: str) -> str:
    """The key of a run's mark."""
    return f"{MARKS}{run}.json"
