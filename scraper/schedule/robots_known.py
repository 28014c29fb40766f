"""Rules of robots.txt that are known, by origin.

Owns: which of them are kept, and what they say of a redirect. Does not know: how they came
(`run/robots_queue.py`), for how long they hold.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import NamedTuple

from scraper.model.urls import origin_of
from scraper.schedule.robots import PATH, Rules

KNOWN_BYTES = 64_000_000  # 10,000 origins with 200 bytes of rules for us each


class Knowledge(NamedTuple):
    """What an origin said, at `since` (monotonic seconds)."""

    rules: Rules
    since: float


class KnownRules:
    """Rules by origin: those used last, as many as fit into `most` bytes.

    `on_keep` is called with all that is kept.
    """

    def __init__(self, most: int = KNOWN_BYTES) -> None:
        self._most = most
        self.on_keep: Callable[[str, Rules, float], None] = lambda *_: None
        self._weight = 0
        self._of: OrderedDict[str, Knowledge] = OrderedDict()

    def find(self, origin: str) -> Knowledge | None:
        """The rules of `origin`, which are used now."""
        if origin not in self._of:
            return None
        self._of.move_to_end(origin)
        return self._of[origin]

    def peek(self, origin: str) -> Knowledge | None:
        """The same, without a mark that it was used. From any thread."""
        return self._of.get(origin)

    def keep(self, origin: str, rules: Rules, now: float) -> None:
        """Remember what `origin` said at `now`."""
        self.on_keep(origin, rules, now)
        if old := self._of.pop(origin, None):
            self._weight -= old.rules.weight
        self._of[origin] = Knowledge(rules, now)
        self._weight += rules.weight
        while self._weight > self._most and len(self._of) > 1:
            _, oldest = self._of.popitem(last=False)
            self._weight -= oldest.rules.weight

    def items(self) -> Iterator[tuple[str, Knowledge]]:
        """All origins, with what they said."""
        return iter(self._of.items())

    def forbids(self, url: str) -> str | None:
        """Why a redirect to `url` must not be followed, as far as its origin's rules are known.

        From any thread.
        """
        origin = origin_of(url)
        known = self.peek(origin)
        if known is None or is_robots_txt(url, origin):
            return None
        reason = known.rules.forbids(url)
        return reason and f"robots.txt of {origin} {reason}"


def is_robots_txt(url: str, origin: str) -> bool:
    """Whether `url` is a robots.txt itself, which is always allowed (RFC 9309 2.2.2)."""
    return url.startswith(PATH, len(origin)) and url[len(origin + PATH) :][:1] in {"", "?"}
