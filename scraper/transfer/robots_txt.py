"""The body of a robots.txt: where it goes instead of the destination.

Owns: its bytes, until there are enough of them for the rules. Does not know: what they mean
(`schedule/robots.py`), who asked for it (`run/robots_queue.py`).
"""

from scraper.model.errors import SinkError
from scraper.model.records import Stored
from scraper.schedule.robots import READ_BYTES, Rules, parse
from scraper.sinks.base import Blocking, Body


class RobotsReading:
    """A sink of one robots.txt, and its upload. `rules` are set once enough was read."""

    blocking = Blocking.WRITE  # parsing the largest takes half a second

    def __init__(self, token: str) -> None:
        self.rules: Rules | None = None
        self.token = token
        self._body = bytearray()

    def check(self) -> None:
        """Nothing to check."""

    def open(self, key: str) -> "RobotsReading":
        """Begin again."""
        del key
        self._body.clear()
        return self

    def write(self, chunk: bytes) -> None:
        """Take it. Raises SinkError at the size limit, so that the rest is not waited for."""
        self._body += chunk
        if len(self._body) > READ_BYTES:
            self.rules = parse(bytes(self._body), self.token)
            raise SinkError(f"the first {READ_BYTES:,} bytes were enough", transient=False)

    def commit(self, body: Body) -> Stored:
        """Read the rules."""
        self.rules = parse(bytes(self._body), self.token)
        return body.stored()

    def abort(self) -> None:
        """Nothing to undo."""

    def close(self) -> None:
        """Nothing to close."""
