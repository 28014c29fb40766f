"""Lines on stdout for people and programs: TSV that is safe on a terminal and can be read back.

Owns: how a cell is written. Does not know: what is in it. Rejected: csv.writer, which quotes
every cell that has a quote in it; `cut` and `awk` would see the quotes.
"""

import os
import sys
from collections.abc import Iterable

from scraper.model.urls import printable


def say(line: bytes) -> None:
    """Write `line` and its end to stdout. It is buffered. Raises OSError."""
    sys.stdout.buffer.write(line + b"\n")


def flush() -> None:
    """Write what is buffered: a full disk is told of before the command has succeeded."""
    sys.stdout.flush()


def mute() -> None:
    """Nobody reads stdout any more: what is written goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def row(cells: Iterable[object]) -> bytes:
    """A row of TSV without its end. None is an empty cell."""
    return "\t".join(map(_cell, cells)).encode()


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = printable(str(value))
    # The readers of lists, and spreadsheets, take a quote at the start for the whole cell's.
    return '"{}"'.format(text.replace('"', '""')) if text.startswith('"') else text
