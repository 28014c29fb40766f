"""The command line: Click, and nothing else knows it.

Owns: options, commands, exit statuses, errors as one line. Does not know: how a run works.
Others import `main`.
"""

from scraper.cli.command import main

__all__ = ["main"]
