"""The length of a list, counted ahead of the run, for the time left.

Owns: that count, and the thread that makes it. Does not know: what a line means. Only lists whose
size is known are counted, since reading a pipe would take its lines from the run.
"""

import contextlib
from collections.abc import Sequence

from scraper.model.errors import ListError, NoThread
from scraper.model.threads import start_thread
from scraper.source.sources import Source


class LineCount:
    """Counts lines that may be targets. `total` is None until it has, or if it can't."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.total: int | None = None
        self._sources = sources
        if all(source.size is not None for source in sources):
            with contextlib.suppress(NoThread):
                start_thread("counter", self._count)

    def _count(self) -> None:
        with contextlib.suppress(ListError):  # the run meets the same error, and tells of it
            lines = (line.strip() for source in self._sources for line in source.open())
            self.total = sum(1 for line in lines if line and not line.startswith(b"#"))
