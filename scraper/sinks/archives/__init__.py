"""The sink for archives on this machine: tar, tar.gz and zip. Each object is a member.

Owns: the archive and what of it is whole. Does not know: URLs, HTTP, what a manifest says.
Others import `open_sink` and `StoredFacts`; `home.py` asks `place` where our own files lie.
"""

from typing import TYPE_CHECKING

from scraper.sinks.archives.place import STREAM
from scraper.sinks.archives.recorded import StoredFacts

if TYPE_CHECKING:
    from scraper.sinks.base import Sink, SinkOptions

__all__ = ["StoredFacts", "open_sink"]


def open_sink(destination: str, options: "SinkOptions") -> "Sink":
    """The sink for `tar:FILE`, `tar:-` and `zip:FILE`. Raises UsageError."""
    if destination == STREAM:
        from scraper.sinks.stdout.sink import open_tar

        return open_tar(destination, options)
    from scraper.sinks.archives.sink import open_archive_sink

    return open_archive_sink(destination, options)
