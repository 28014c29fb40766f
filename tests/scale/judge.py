"""Who looks at every request of all workers, as the servers would: is it polite, is it asked twice?

Owns: what each host was asked, and what of it is done. Does not know: workers, shards.
"""

from collections.abc import Sequence

_LATE_S = 1e-9  # what sums of floats lack


class Judge:
    """See the module. At most `per_host` requests to one host at once, `delay_s` apart."""

    def __init__(self, lines: Sequence[int], per_host: int, delay_s: float) -> None:
        self._lines, self._per_host, self._delay_s = lines, per_host, delay_s
        self._in_flight = [0] * len(lines)
        self._next_start = [0.0] * len(lines)
        self.asked = [0] * len(lines)
        self.done = [0] * len(lines)
        self.left = sum(lines)
        self.violations = 0
        self._few = self.left // 100
        self.most_done_s = 0.0  # when only 1 % was left
        self.end_s = 0.0

    def begins(self, host: int, now: float) -> int:
        """Note that a request to `host` begins; which one of that host it is, from 0."""
        late = now >= self._next_start[host] - _LATE_S
        if not late or self._in_flight[host] >= self._per_host:
            self.violations += 1
        self._in_flight[host] += 1
        self._next_start[host] = now + self._delay_s
        self.asked[host] += 1
        return self.asked[host] - 1

    def ends(self, host: int, now: float) -> None:
        """Note that a request ends and is recorded."""
        self._in_flight[host] -= 1
        self.done[host] += 1
        self.left -= 1
        self.end_s = now
        if self.left == self._few:
            self.most_done_s = now

    def breaks_off(self, host: int) -> None:
        """Note that a request ends with the worker that sent it."""
        self._in_flight[host] -= 1

    def forgets(self, host: int) -> None:
        """Note that a record is lost, so that the line has to be asked for again."""
        self.done[host] -= 1
        self.left += 1

    @property
    def asked_twice(self) -> int:
        """Requests beyond one for each line."""
        return sum(self.asked) - sum(self._lines)

    @property
    def is_complete(self) -> bool:
        """Whether each line of each host is done, once."""
        return self.done == list(self._lines)
