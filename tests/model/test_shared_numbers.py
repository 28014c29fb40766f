"""Numbers that processes share: all see them, one changes them at a time, a kill frees the lock."""

import contextlib
import os
import subprocess
import sys

from scraper.model.shared_numbers import SharedNumbers

COUNTS = """
import sys
from scraper.model.shared_numbers import SharedNumbers
numbers = SharedNumbers(int(sys.argv[1]))
for _ in range(2000):
    with numbers.alone():
        numbers[0] += 1
"""
DIES = """
import os, signal, sys
from scraper.model.shared_numbers import SharedNumbers
numbers = SharedNumbers(int(sys.argv[1]))
with numbers.alone():
    os.kill(os.getpid(), signal.SIGKILL)
"""


def started(code: str, numbers: SharedNumbers) -> "subprocess.Popen[bytes]":
    words = [sys.executable, "-c", code, str(numbers.fd)]
    return subprocess.Popen(words, pass_fds=[numbers.fd])


def test_processes_that_count_together_lose_no_count() -> None:
    with contextlib.closing(SharedNumbers()) as numbers:
        for process in [started(COUNTS, numbers) for _ in range(3)]:
            assert process.wait() == 0
        assert numbers[0] == 6000


def test_a_process_that_is_killed_with_the_lock_leaves_it_free() -> None:
    with contextlib.closing(SharedNumbers()) as numbers:
        assert started(DIES, numbers).wait() < 0
        with numbers.alone():
            numbers[0] = 1
        assert numbers[0] == 1


def test_memory_is_given_back() -> None:
    before = set(os.listdir("/proc/self/fd"))
    SharedNumbers().close()
    assert set(os.listdir("/proc/self/fd")) == before
