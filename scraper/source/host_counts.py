"""HostCounts: how many lines of a list each host has, in one pass and in bounded memory.

    counts = HostCounts()
    for source in sources:
        counts.read(source, rule)
    counts.freeze().hosts["example.com"]

The host of most lines is seen without parsing them, as `ShardFilter` sees it. A line with a key is
parsed: a shard refuses one that a target of another shard may have, so these are counted.

Hosts of which there are many lines are counted one by one: exactly while there are few hosts, else
a little too low, by the Misra-Gries summary in its mergeable form (Agarwal et al., Mergeable
Summaries, 2012): a count lacks at most the number of all lines, divided by the number of hosts that
are counted. What hashes fall on is counted exactly.

Owns: these counts. Does not know: what they are for (`schedule/shard_plan.py`).
"""

from collections.abc import Mapping, Sequence
from heapq import nlargest
from itertools import chain
from typing import NamedTuple

from scraper.model.records import Target
from scraper.model.shards import bucket_of
from scraper.source import lists
from scraper.source.keys import KeyRule
from scraper.source.lines import Note, nobody
from scraper.source.shard_filter import HostKeys, host_of, text_of
from scraper.source.sources import Source

BUCKETS = 1 << 17
_MOST = 200_000  # hosts that are counted one by one


class Counted(NamedTuple):
    """Lines that name a target, and `bad` ones that name none.

    `hosts`: the lines of each host, all of them if `is_exact`. `buckets`: the lines of each bucket.
    `shared`: lines whose key is not their host's alone, which every shard refuses; `first_shared`
    is the place of one, as `source:line`.
    """

    lines: int
    bad: int
    hosts: Mapping[str, int]
    is_exact: bool
    buckets: Sequence[int]
    shared: int
    first_shared: str


class HostCounts:
    """See the module. At most `most` hosts are counted one by one."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._bad = self._shared = 0
        self._first_shared = ""
        self._is_exact = True
        self._pending: dict[bytes, int] = {}  # as they stand in lines
        self._parsed: dict[str, int] = {}  # of lines that were parsed
        self._hosts: dict[str, int] = {}
        self._buckets = [0] * BUCKETS

    def read(self, source: Source, rule: KeyRule, note: Note = nobody) -> None:
        """Count the lines of `source`. Raises as `lists.read` does."""
        parsed, own = self._parsed, HostKeys(rule)
        for item in lists.read(source, rule, note, self._counts):
            if isinstance(item, Target):
                parsed[item.host] = parsed.get(item.host, 0) + 1
                if item not in own:
                    self._shared += 1
                    self._first_shared = self._first_shared or f"{item.source}:{item.line}"
            else:
                self._bad += 1
            if len(parsed) > self._most:
                self._merge()

    def freeze(self) -> Counted:
        """What was counted."""
        self._merge()
        buckets = tuple(self._buckets)
        hosts, shared = dict(self._hosts), (self._shared, self._first_shared)
        return Counted(sum(buckets), self._bad, hosts, self._is_exact, buckets, *shared)

    def _counts(self, line: object) -> bool:
        """Whether `line` has been counted, and need not be parsed."""
        text = text_of(line)
        if text is None:
            return False
        assert isinstance(line, bytes)
        if b"\t" in line:
            return False
        pending = self._pending
        count = pending.get(text)
        if count is None:
            if host_of(text) is None:
                return False
            if len(pending) > self._most:
                self._merge()
            count = 0
        pending[text] = count + 1
        return True

    def _merge(self) -> None:
        """Add what is pending, and forget the hosts of the fewest lines if they are too many."""
        hosts, buckets = self._hosts, self._buckets
        seen = ((text.decode(), count) for text, count in self._pending.items())
        for host, count in chain(seen, self._parsed.items()):
            hosts[host] = hosts.get(host, 0) + count
            buckets[bucket_of(host, BUCKETS)] += count
        self._pending.clear()
        self._parsed.clear()
        if len(hosts) > self._most:
            self._is_exact = False
            too_many = nlargest(self._most + 1, hosts.values())[-1]
            left = {host: count - too_many for host, count in hosts.items() if count > too_many}
            self._hosts = left
