"""The WARC sink: whole exchanges in an archive, as players and crawlers of the web keep them.

Owns: records, members, files and indexes of an archive (WARC 1.1, CDXJ), how they grow without ever
being torn, and what a killed run leaves. Does not know: engines, transfers, manifests.
Others import `open_sink`. It needs the extra `warc`: ISA-L to compress, surt for the index.
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from scraper.model.errors import UsageError
from scraper.sinks.base import SinkOptions

if TYPE_CHECKING:
    from scraper.sinks.warc.sink import WarcSink


def open_sink(destination: str, options: SinkOptions) -> "WarcSink":
    """The sink for `warc:DIR` or `warc+s3://bucket/prefix`.

    Raises UsageError if the extra is not installed.
    """
    for name in ("isal", "surt"):  # surt takes a second to import, and few URLs need it
        if find_spec(name) is None:
            raise UsageError(f"--to warc: needs {name}: pip install 'scraper[warc]'")
    if destination.lower().startswith("warc+"):
        from scraper.sinks.warc.stored import StoredWarcSink

        return StoredWarcSink(destination, options)
    from scraper.sinks.warc.sink import WarcSink

    return WarcSink(destination, options)


__all__ = ["open_sink"]
