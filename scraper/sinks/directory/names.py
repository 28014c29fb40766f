"""Names on the disk: UTF-8, whatever the locale of the process says.

Python encodes a name as the locale wants it. In the locale `C` it refuses `café.html`, and in
Latin-1 it writes another name than in UTF-8, so that a run by cron would not find what a run by
hand has stored. So names are given to the system as bytes. A name on the disk that is no UTF-8 is
read with surrogates, and written back as it was.

Owns: that. Does not know: which names there may be (`source/keys.py`).
"""

import os
from pathlib import Path

from scraper.model.errors import UsageError


def to_disk(name: str) -> bytes:
    """The name, or the path, that the system gets."""
    return name.encode("utf-8", "surrogateescape")


def from_disk(name: bytes) -> str:
    """The name, or the path, that the system gave."""
    return name.decode("utf-8", "surrogateescape")


def root_of(path: str) -> Path:
    """The directory that the user names, in UTF-8 where the locale can't write it."""
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return Path(os.fsdecode(to_disk(path)))
    return Path(path)


def refuse_tilde(destination: str, before: str, path: str) -> None:
    """Raise UsageError if `path`, which follows `before` in `destination`, begins with `~/`.

    No shell replaces it there, so a directory of this name would be made.
    """
    if path.startswith("~/"):
        raise UsageError(
            f"--to {destination!r}: the shell replaces ~ only where a word begins",
            hint=f'--to {before}"$HOME"{path[1:]}; a directory called ~ is {before}./{path}',
        )


def has_others(directory: bytes, name: str) -> bool:
    """Whether `directory` has anything beside `name`, or can't be read."""
    try:
        with os.scandir(directory) as entries:
            return any(entry.name != to_disk(name) for entry in entries)
    except OSError:
        return True
