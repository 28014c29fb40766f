"""For programs under libfaketime 0.9.10, whose clock_nanosleep fails with EINVAL.

It does where the monotonic clock is left alone, and `time.sleep` uses it. To wait for an event
that never comes takes as long, by another system call.
"""

import threading
import time
from typing import SupportsIndex


def _sleep(seconds: float | SupportsIndex) -> None:
    threading.Event().wait(float(seconds))


time.sleep = _sleep
