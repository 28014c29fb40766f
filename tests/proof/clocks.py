"""Clocks that are wrong: a program that is told another time than it is (Debian's faketime).

    cli.start(..., env=clock(+90))      # a minute and a half fast

Only the time of day is another; what measures how long something takes is right, as it is on
a machine whose clock was set wrong, and so are the times of files.
"""

from collections.abc import Mapping
from pathlib import Path

MISSING = "there is no libfaketime: apt-get install faketime"


def clocks_can_be_set() -> bool:
    """Whether there is a libfaketime."""
    return _library() is not None


def clock(offset_s: int) -> Mapping[str, str]:
    """The environment of a program whose clock is so many seconds fast."""
    if not offset_s:
        return {}
    return {
        "LD_PRELOAD": str(_library()),
        "FAKETIME": f"{offset_s:+d}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
        "PYTHONPATH": str(Path(__file__).with_name("faketime")),
    }


def _library() -> Path | None:
    return next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
