"""Whether stdin brings a list, where a command can do without one.

Owns: that question, answered without taking a byte. Does not know: what the list says. Rejected:
stdin that was named only counts; `cat list | scraper --retry-failed` has always been a list. A
pipe without a line is none, since cron starts commands with one.
"""

import array
import fcntl
import io
import os
import select
import stat
import sys
import termios


def is_empty(most_s: float | None) -> bool:
    """Whether stdin is closed, a terminal, a device (/dev/null), or has ended without a byte.

    A pipe is waited for, at most `most_s` seconds; one that is silent for so long may bring a list.
    """
    if sys.stdin is None:
        return True
    try:
        return _is_empty(sys.stdin.fileno(), most_s)
    except (OSError, io.UnsupportedOperation):  # reading it will say what it is
        return False


def _is_empty(number: int, most_s: float | None) -> bool:
    found = os.fstat(number)
    if stat.S_ISCHR(found.st_mode):
        return True
    if stat.S_ISREG(found.st_mode):
        return os.lseek(number, 0, os.SEEK_CUR) >= found.st_size
    waiting = select.poll()
    waiting.register(number, select.POLLIN)
    if not waiting.poll(None if most_s is None else most_s * 1000):
        return False
    there = array.array("i", [0])
    fcntl.ioctl(number, termios.FIONREAD, there)
    return there[0] == 0
