"""The list of a run with --retry-failed and without a list: what the manifest shows as not done.

It is a Source like any other. Its lines are read by the thread that reads lists, while the run
holds the destination. So a signal and --max-run-time end the wait for a silent S3, too. What failed
for good is in the list as well: the run tells it as skipped, unless there is --all.

Owns: that list, and how many targets no line of it can name. Does not know: which targets those
are (`scraper.manifest.not_done`). Rejected: the sink of the run itself, which the run may close
while its manifest is still read.
"""

from collections import Counter
from collections.abc import Generator, Mapping
from functools import cached_property
from typing import Any

from scraper.manifest import exists, is_permanent, lines_from, reading_of
from scraper.manifest.not_done import Missing, host_of, list_line, not_done
from scraper.model.errors import UsageError
from scraper.model.settings import Settings
from scraper.model.shards import Shard
from scraper.model.urls import redact
from scraper.sinks.base import ReadableSink, SinkOptions, find_sink
from scraper.sinks.beginning import insist
from scraper.sinks.home import home_of
from scraper.source.sources import Source

NAME = "manifest"  # of the list, in records and messages


class NotDone:
    """See the module. `source` is the list, `left_out` counts targets that are not in it.

    Those of other shards do not count: the runs of these tell them.

    `destination` has no fields any more. Raises UsageError if it has no manifest. One that is far
    away is asked later: then reading `source` raises that.
    """

    def __init__(self, settings: Settings, destination: str) -> None:
        self.left_out: Counter[Missing] = Counter()
        self.source = Source(NAME, self._lines)
        self._destination = destination
        self._manifest = settings.manifest
        self._form, self._named = settings.store_compressed, settings.shard
        self._leaves_alone = not settings.earlier.all  # what failed for good
        self._sink = find_sink(
            destination, SinkOptions(s3=settings.s3, cacert=settings.http.cacert)
        )
        if self._manifest is not None or home_of(destination) is not None:
            self._check()

    def _check(self) -> None:
        if not exists(self._manifest, self._destination, self._sink):
            place = redact(self._destination) if self._manifest is None else self._manifest
            raise UsageError(f"--retry-failed: there is no manifest in {place!r}, so give a list")

    def _lines(self) -> Generator[bytes, None, None]:
        manifest, destination, sink = self._manifest, self._destination, self._sink
        try:
            if isinstance(sink, ReadableSink):
                insist(sink.reach)
            self._check()
            reading = reading_of(manifest, destination, sink)
            for record in not_done(lines_from(manifest, destination, sink), reading):
                line = list_line(record, self._form)
                if isinstance(line, bytes):
                    yield line
                elif not (self._leaves_alone and is_permanent(record)) and self._is_ours(record):
                    self.left_out[line] += 1
        finally:
            sink.close()

    def _is_ours(self, record: Mapping[str, Any]) -> bool:
        """Whether it is of the shard of this run. Lines without a host are of the first one."""
        if self._named is None:
            return True
        host = host_of(record)[0]
        return self._shard.has(host) if host else self._shard.number == 0

    @cached_property
    def _shard(self) -> Shard:
        """That of this run, which holds it."""
        from scraper.sinks.division import as_planned_now

        assert self._named is not None
        return as_planned_now(Shard.parse(self._named), self._sink, self._destination)
