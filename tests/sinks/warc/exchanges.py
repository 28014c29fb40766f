"""Exchanges that a test gives to an archive, as a transfer would."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from scraper.model.archived import Archived
from scraper.model.records import Response
from scraper.sinks.base import Body, SinkOptions, find_sink
from scraper.sinks.exchanges import Exchange
from scraper.sinks.warc.recording import WarcRecording
from scraper.sinks.warc.sink import WarcSink

PLAIN = (b"HTTP/1.1 200 OK\r\n", b"Content-Type: text/html; charset=utf-8\r\n")


@contextmanager
def archive(root: Path, warc_size: int = 1 << 30, *, ends: bool = True) -> Iterator[WarcSink]:
    """An open archive. Without `ends` its run is killed: nothing is finished or recorded."""
    sink = find_sink(f"warc:{root}", SinkOptions(warc_size=warc_size))
    assert isinstance(sink, WarcSink)
    sink.check()
    sink.recover()
    yield sink
    if ends:
        sink.all_recorded()
        sink.close()
    elif sink._writer is not None:
        sink._writer.index._db.close()  # the system closes what a killed process had open
        for lane in sink._writer._lanes:
            if lane.file is not None:
                lane.file.close()
        if sink._temporary is not None:
            sink._temporary.close()
        if sink._hold is not None:
            sink._hold.release()


def store(
    sink: WarcSink,
    key: str,
    body: bytes,
    *,
    lines: tuple[bytes, ...] = PLAIN,
    wire: bytes | None = None,
    left: str | None = None,
) -> Archived:
    """Store `body`, which came as `wire`, under `key`."""
    url = f"http://example.com/{key}"
    came = body if wire is None else wire
    if not any(line.lower().startswith((b"content-length", b"transfer")) for line in lines):
        lines += (b"Content-Length: %d\r\n" % len(came),)
    status = int(lines[0].split()[1])
    recording = begun(sink, key, lines)
    for start in range(0, len(came), 50_000):
        recording.body(came[start : start + 50_000])
    response = Response(status, url, content_encoding=left)
    facts = Body(url, time.time(), len(body), sha256(body).hexdigest(), response)
    recording.open(key).commit(facts)
    assert recording.written is not None
    return recording.written


def begun(sink: WarcSink, key: str, lines: tuple[bytes, ...]) -> WarcRecording:
    """A recording whose response has this head."""
    url, status = f"http://example.com/{key}", int(lines[0].split()[1])
    recording = sink.record(key, {"url": url, "key": key})
    recording.exchange(
        Exchange(url, "example.com", (("User-Agent", "t"),), lines, status, time.time(), "::1")
    )
    return recording


def finished(root: Path) -> list[Path]:
    """The finished files."""
    return sorted(root.glob("*.warc.gz"))
