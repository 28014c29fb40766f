"""The permit to send one request to a host that has gaps between its requests.

A gap (`--delay`, `--rate`, Crawl-delay) is a promise about requests as the server sees them. So
it counts from the moment at which the last request was really sent, not from its start: a slow
look-up or handshake lies in between. The engine uses the permit just before the first byte
(`use`), and says when the request is out (`sent`). A second request in the same transfer needs
another permit: a redirect within the host, or a request that is sent again.

Owns: whether the permit was used. Does not know: who gives it (`run/spacing.py`), gaps.
"""

from collections.abc import Callable


class SendPermit:
    """For one request to `host` (`Origin.host`). `told` is called from the thread that sends it."""

    __slots__ = ("_told", "host", "used")

    def __init__(self, host: str, told: Callable[[], None]) -> None:
        self.host = host
        self.used = False
        self._told = told

    def use(self) -> bool:
        """Whether the request may be sent now."""
        used, self.used = self.used, True
        return not used

    def sent(self) -> None:
        """Note that the request was sent."""
        self._told()
