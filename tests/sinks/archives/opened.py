"""An archive as a sink, for the tests of each form. The name of the file says which form."""

from pathlib import Path

from scraper.sinks.archives.sink import ArchiveSink, open_archive_sink
from scraper.sinks.base import SinkOptions
from scraper.testing import store


def sink_of(path: Path, *, checked: bool = True) -> ArchiveSink:
    """The sink of the archive at `path`, a zip or a tar by its ending."""
    scheme = "zip" if path.suffix == ".zip" else "tar"
    sink = open_archive_sink(f"{scheme}:{path}", SinkOptions())
    if checked:
        sink.check()
    return sink


def stored(path: Path, bodies: dict[str, bytes]) -> None:
    """Store these bodies in one run."""
    sink = sink_of(path)
    for key, body in bodies.items():
        store(sink, key, body)
    sink.close()
