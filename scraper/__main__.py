"""The process of the command: `python -m scraper`, and what its script calls.

Owns: what must happen before anything is imported. Does not know: anything else.

A signal that comes while Python imports ends the process as that signal does, and says nothing.
Python's own handler of SIGINT would raise KeyboardInterrupt in the middle of an import. From
`scraper.cli.main` on, a signal ends the process with status 128 and its number.
"""

import contextlib
import gc
import os
import signal
import sys

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    with contextlib.suppress(ValueError):  # not the main thread: the process is another program's
        signal.signal(signal.SIGINT, signal.SIG_DFL)

# Imports make 40,000 objects. Python looks for unused ones after each 700, in vain: 7 ms. Later
# it need not look often either: what we drop is seldom in a cycle.
gc.set_threshold(10_000)

from scraper.cli import main as _main  # noqa: E402


def main() -> None:
    """Run the command, in UTF-8.

    In a locale that is not UTF-8 Python would read arguments, and write everything, in its coding.
    So the process begins again in Python's UTF-8 mode (PEP 540). It leaves the bytes of arguments
    as they are. In the locales `C` and `POSIX` Python does that by itself, unless told otherwise.
    """
    if sys.getfilesystemencoding() != "utf-8" and sys.executable:
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606
    _main()


if __name__ == "__main__":
    main()
