"""How busy this machine is, for the few tests that have to do with times.

    with within(0.5, room_s=4.0):       # half a second of waiting, and what has to be done
        process.send_signal(SIGTERM)
        process.wait()

    found = patiently(lambda times: fetch(max_time=times * 0.3), lambda one: one.response)

Most tests wait for a fact (a request at the server, a line of the log) and need none of this.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Found = TypeVar("Found")
_PROGRAM = "import argparse, decimal, email.message, http.client, json, logging, ssl"


@contextmanager
def within(waits_s: float, *, room_s: float) -> Iterator[None]:
    """The block takes less than `waits_s` of waiting, and `room_s` for all that is not waiting.

    On a busy machine the second part is longer by the factor by which a program takes longer
    there. So on an idle machine the bound is the sum of the two, and load does not break it.
    """
    begun = time.monotonic()
    yield
    took_s = time.monotonic() - begun
    if took_s >= waits_s + room_s:
        slow = max(slowness() for _ in range(3))
        assert took_s < waits_s + room_s * slow, f"{took_s:.1f} s, {slow:.1f} times as slow as idle"


def slowness() -> float:
    """How many times its processor time a small program takes here and now; 1 if it has a core."""
    before = os.times()
    subprocess.run([sys.executable, "-c", _PROGRAM], check=True)
    after = os.times()
    cpu_s = sum(after[2:4]) - sum(before[2:4])  # of children that have ended
    return max(1.0, (after.elapsed - before.elapsed) / cpu_s)


def patiently(trial: Callable[[int], Found], came_so_far: Callable[[Found], object]) -> Found:
    """What `trial(1)` finds; where that came not so far as it should, of `trial(4)`, `trial(16)`.

    A limit is short so that a test need not wait. On a busy machine it may be over before that
    has happened which the test is about. Such a trial proves nothing, and the next has a limit
    so many times as long. The last one is judged, however far it came.
    """
    for times in (1, 4):
        found = trial(times)
        if came_so_far(found):
            return found
    return trial(16)
