"""Board: which shards are not done yet, and which are tried again after a loss.

    board = Board(range(40))
    board.lost(7)          # its worker was killed: True if it is tried again
    board.done(7)

Dask gives a shard up after some deaths of its workers. It blames all shards that were at such a
worker, also those that only waited. So each of them is submitted again, the more often blamed ones
later, and only what was blamed MOST times is given up. One that kills its workers is found so, and
the others are done meanwhile.

Owns: that count. Pure. Does not know: Dask, runs.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

MOST = 5  # times that a shard is submitted again after its worker was lost


class Board:
    """See the module. `given_up`: why, for each shard that is not tried any more."""

    def __init__(self, shards: Iterable[int], most: int = MOST) -> None:
        self._most = most
        self._left = set(shards)
        self._blamed: Counter[int] = Counter()
        self.given_up: dict[int, str] = {}

    @property
    def left(self) -> frozenset[int]:
        """The shards that are neither done nor given up."""
        return frozenset(self._left)

    @property
    def blamed(self) -> Mapping[int, int]:
        """How often each shard was lost."""
        return self._blamed

    def done(self, shard: int) -> None:
        """It needs no run any more."""
        self._left.discard(shard)

    def lost(self, shard: int, why: str) -> bool:
        """Its run came to no end. Whether it is tried again."""
        if shard not in self._left:
            return False
        self._blamed[shard] += 1
        if self._blamed[shard] <= self._most:
            return True
        self._left.discard(shard)
        self.given_up[shard] = why
        return False

    def give_up(self, shard: int, why: str) -> None:
        """It is not tried any more."""
        if shard in self._left:
            self._left.discard(shard)
            self.given_up[shard] = why

    def priority_of(self, shard: int) -> int:
        """The higher, the sooner: the longest shards first, those that were lost last."""
        return -shard - 1_000_000 * self._blamed[shard]
