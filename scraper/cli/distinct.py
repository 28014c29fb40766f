"""Which files a command reads and writes: no two of them may be the same.

Owns: that check. Does not know: what the files are for.
"""

import os
import stat
from collections.abc import Mapping, Sequence

from scraper.model.errors import UsageError


def keep_apart(lists: Sequence[str], written: Mapping[str, str | None]) -> None:
    """Refuse to write over a list, or two things into one file. Devices and pipes may be shared.

    A list that grows by what is said about its lines would never end. `-` is stdin among the
    `lists`, stdout in `written`. Raises UsageError.
    """
    read = {_place(0 if name == "-" else name) for name in lists} - {None}
    if _place(2) in read:
        raise UsageError("stderr is the list too")
    taken: dict[tuple[int, int] | str | None, str] = dict.fromkeys(read, "the list")
    for option, path in written.items():
        place = None if path is None else _place(1 if path == "-" else path)
        if place in taken:
            raise UsageError(f"{option} {path!r} is {taken[place]} too")
        if place is not None and path != "-":
            taken[place] = option


def _place(file: str | int) -> tuple[int, int] | str | None:
    """What tells a file (a path or a descriptor) from others. None for devices and pipes."""
    try:
        found = os.stat(file)
    except OSError:
        return None if isinstance(file, int) else os.path.realpath(file)  # it will be made there
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None
