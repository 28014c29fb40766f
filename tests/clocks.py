"""Processes with wall clocks of their own, by Debian's faketime (package `faketime`).

    environment = wrong_clock("+90s")
    clock = Clock(path); subprocess.Popen(..., env={**os.environ, **clock.environment})
    clock.set("-3600s")         # while the process runs

Only the wall clock is wrong. The monotonic clocks count on, as those of a machine whose time is
set do. A process that was compiled without the C library's clock (Go's) is not deceived.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest


def wrong_clock(offset: str) -> dict[str, str]:
    """Variables under which a process's clock is off by `offset`: `+90s`, `-3600s`."""
    return {**_preloaded(), "FAKETIME": offset}


class Clock:
    """A clock that can be set while the process runs. It is right at first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.set("+0s")

    @property
    def environment(self) -> Mapping[str, str]:
        """Variables under which a process has this clock."""
        named = {"FAKETIME_TIMESTAMP_FILE": str(self._path), "FAKETIME_NO_CACHE": "1"}
        return {**_preloaded(), **named}

    def set(self, offset: str) -> None:
        """Make it wrong by `offset`, from now on."""
        new = self._path.with_suffix(".new")
        new.write_text(offset)
        new.replace(self._path)  # a reader never sees half of it


def _preloaded() -> dict[str, str]:
    found = list(Path("/usr/lib").glob("**/faketime/libfaketimeMT.so.1"))
    if sys.platform != "linux" or not found:
        pytest.skip("there is no libfaketime: apt-get install faketime")
    return {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",  # times of files are the kernel's
        "PYTHONPATH": str(
            Path(__file__).parent / "proof" / "faketime"
        ),  # so that `time.sleep` works
    }
