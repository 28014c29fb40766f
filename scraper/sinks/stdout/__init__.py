"""The sinks for stdout: `-` writes bodies one after the other, `tar:-` makes a tar of them.

Owns: that one body at a time is written, and as a whole. Does not know: names of lists and logs,
which of them may be stdout too. Others import `open_sink`.
"""

from scraper.sinks.stdout.sink import open_sink

__all__ = ["open_sink"]
