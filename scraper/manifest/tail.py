"""The end of a manifest's file: torn lines there are cut off before a run appends to it.

A run that was killed within a write, a full disk or a power cut leaves part of a line, or zeros
where a line should be. It says nothing, and a reader of JSON Lines (jq, DuckDB, pandas) refuses
the whole file because of it. Versions before 0.2 ended such a line and went on after it.

Only the end is looked at, and only where the file begins as a manifest does. The user may have
named another file. A last line that is whole and has no end yet is kept.

Owns: which lines are torn. Does not know: how the file is opened, locked and cut (`file_store.py`).
Rejected: mending the middle of a file, which would be read whole for that. Compacting drops what
is torn there.
"""

from typing import BinaryIO

import orjson

_BEGINNING = b'{"url":'  # of each record
_WINDOW = 1 << 16  # bytes that are read at once
_MOST = 1 << 26  # bytes: a longer line is not looked at


def whole_size(file: BinaryIO, size: int) -> int:
    """How many of the `size` bytes of `file` are left if torn lines at its end are cut off.

    Raises OSError.
    """
    end = size
    while end and (start := _last_line(file, end)) is not None:
        file.seek(start)
        line = file.read(end - start).removesuffix(b"\n")
        if not _is_torn(line) or not (_is_manifest(file) if start else _is_part(line)):
            break
        end = start
    return end


def _last_line(file: BinaryIO, end: int) -> int | None:
    """Where the last line before `end` begins. None if it is too long."""
    window = _WINDOW
    while window <= _MOST:
        start = max(0, end - window)
        file.seek(start)
        newline = file.read(end - start - 1).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        if start == 0:
            return 0
        window *= 4
    return None


def _is_torn(line: bytes) -> bool:
    """Whether `line` is what is left of a record."""
    if not line or not (_is_part(line) or b"\0" in line):
        return False
    try:
        orjson.loads(line)
    except ValueError:
        return True
    return False


def _is_part(line: bytes) -> bool:
    """Whether it is the beginning of a record, or of nothing but zeros."""
    text = line.strip(b"\0")
    return _BEGINNING.startswith(text) or text.startswith(_BEGINNING)


def _is_manifest(file: BinaryIO) -> bool:
    file.seek(0)
    return file.read(len(_BEGINNING)) == _BEGINNING
