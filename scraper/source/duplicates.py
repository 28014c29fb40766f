"""DuplicateFilter: which targets the run has seen, in bounded memory at any list size.

It tells a repeat (same URL, key, headers and expected body) from a clash: another URL with the same
key, or with a key that the destination takes for the same; the same URL with other headers, which
may get another body, or with another expected body; a key that is a directory of another, where
that can't be (`nested_keys.py`). It compares 64-bit hashes.

The hashes of a long list's first targets are in a dict, which takes a third of the time and 150
bytes a target. The rest are in a temporary database (`model/scratch.py`) with a cache of 32 MB.

Owns: those hashes and the two verdicts. Does not know: lists, sinks, earlier runs. Rejected: a
dict for all targets, which is 1.4 GB for ten million.
"""

from array import array
from collections.abc import Callable, Sequence

from scraper.model.errors import Kind
from scraper.model.records import Duplicate, Failed, Failure, Result, Target
from scraper.model.scratch import Scratch
from scraper.source.keys import folded
from scraper.source.nested_keys import DIRECTORIES, NestedKeys

_IN_MEMORY = 250_000  # targets: 35 MB
_CACHE_KIB = 32 * 1024  # beyond a million targets each costs 3 us; with 8 MB it costs 5
_BATCH = 200  # targets inserted by one statement
_SCHEMA = """
CREATE TABLE seen (key INTEGER PRIMARY KEY, url INTEGER, headers INTEGER, line INTEGER,
    number INTEGER)
"""
_PUT = "INSERT OR IGNORE INTO seen VALUES "


class DuplicateFilter:
    """The targets of one run. Used by one thread.

    `ignores_case`: keys are the same if `keys.folded` is (case and normal form do not count).
    `has_directories`: no key can be a directory of another.
    """

    def __init__(self, *, ignores_case: bool = False, has_directories: bool = False) -> None:
        self._fold: Callable[[str], str] | None = folded if ignores_case else None
        schema = (_SCHEMA, DIRECTORIES)
        self._rest = Scratch("the targets of this run", schema, _CACHE_KIB, _BATCH + 2)
        self._count = 0
        self._first: dict[int, int] = {}  # of the hash of a key, the number of its target
        self._urls, self._headers, self._lines = array("q"), array("q"), array("q")  # by number
        self._nested = (
            NestedKeys(self._rest, self._fold, _IN_MEMORY // 2) if has_directories else None
        )

    def judge(self, target: Target) -> Result | None:
        """The Result of a repeat or a clash; None for a target that may be fetched."""
        return self.judge_all([target])[0]

    def judge_all(self, targets: Sequence[Target]) -> list[Result | None]:
        """The same for several targets, in their order, in less time. Raises DestinationError."""
        verdicts: list[Result | None] = []
        for start in range(0, len(targets), _BATCH):
            verdicts += self._judge(targets[start : start + _BATCH])
        return verdicts

    def close(self) -> None:
        """Forget everything."""
        self._rest.close()

    def _judge(self, targets: Sequence[Target]) -> list[Result | None]:
        first, self._count = self._count, self._count + len(targets)
        put = self._put if self._count > _IN_MEMORY else self._put_in_memory
        hashes = self._hashes(targets)
        nested = self._nested
        if put(targets, hashes, first) and (
            nested is None or nested.none_clash(targets, hashes, self._any_taken)
        ):
            return [None] * len(targets)
        return [
            self._compare(target, key, number)
            for number, (target, key) in enumerate(zip(targets, hashes, strict=True), first)
        ]

    def _put_in_memory(self, targets: Sequence[Target], hashes: Sequence[int], first: int) -> bool:
        """Insert the targets whose keys are free. Whether all were."""
        before, put = len(self._first), self._first.setdefault
        for number, key in enumerate(hashes, first):
            put(key, number)
        self._urls.extend([_url_hash(one) if one.userinfo else hash(one.url) for one in targets])
        self._headers.extend(
            [_more_hash(one) if one.headers or one.expected else 0 for one in targets]
        )
        self._lines.extend([target.line for target in targets])
        return len(self._first) - before == len(targets)

    def _put(self, targets: Sequence[Target], hashes: Sequence[int], first: int) -> bool:
        """The same as `_put_in_memory`, in the database."""
        rows: list[int] = []
        for number, (key, target) in enumerate(zip(hashes, targets, strict=True), first):
            rows += key, _url_hash(target), _more_hash(target), target.line, number
        put = self._rest.put(_PUT + ", ".join(["(?, ?, ?, ?, ?)"] * len(targets)), rows)
        return put == len(targets) and self._first.keys().isdisjoint(hashes)

    def _hashes(self, targets: Sequence[Target]) -> list[int]:
        """Hashes of the keys: SipHash with a secret of this process."""
        if (fold := self._fold) is None:
            return [hash(target.key) for target in targets]
        return [hash(fold(target.key)) for target in targets]

    def _find(self, key: int) -> tuple[int, int, int, int] | None:
        """URL hash, headers hash, line and number of the first target with this key."""
        number = self._first.get(key)
        if number is not None:
            return self._urls[number], self._headers[number], self._lines[number], number
        if self._count <= _IN_MEMORY:
            return None
        asked = "SELECT url, headers, line, number FROM seen WHERE key = ?"
        return next(iter(self._rest.rows(asked, (key,))), None)

    def _any_taken(self, names: Sequence[int]) -> bool:
        """Whether any of `names` is the hash of a key."""
        if not self._first.keys().isdisjoint(names):
            return True
        if self._count <= _IN_MEMORY:
            return False
        asked = f"SELECT 1 FROM seen WHERE key IN ({', '.join('?' * len(names))}) LIMIT 1"  # noqa: S608
        return bool(self._rest.rows(asked, names))

    def _compare(self, target: Target, key: int, number: int) -> Result | None:
        def taken(name: int) -> int | None:
            found = self._find(name)
            return found[2] if found is not None and found[3] < number else None

        found = self._find(key)
        assert found is not None, "it was put"
        url, headers, line, had = found
        if had == number:
            clash = self._nested.clash(target, taken) if self._nested is not None else None
            return self._clashing(target, clash) if clash else None
        if url != _url_hash(target):
            clash = f"key {target.key!r} is taken by another URL in line {line}"
        elif headers != _more_hash(target):
            other = "digests" if target.expected else "headers"
            clash = f"key {target.key!r} is taken by the same URL with other {other} in line {line}"
            target = _line_alone(target)
        else:
            return Result(target, Duplicate(of_line=line))
        return self._clashing(target, clash)

    def _clashing(self, target: Target, clash: str) -> Result:
        if self._fold is not None:
            clash += " (case does not count in this destination)"
        return Result(target, Failed(Failure(Kind.BAD_URL, clash, transient=False)))


def _line_alone(target: Target) -> Target:
    """The line of `target`, without URL and key: its record is no word about who has these."""
    return Target(target.listed, "", "", "", target.line, target.source)


def _url_hash(target: Target) -> int:
    """A hash of the whole URL. Another user may get another body."""
    return hash((target.url, target.userinfo)) if target.userinfo else hash(target.url)


def _more_hash(target: Target) -> int:
    """A hash of the headers and of the expected body that its line gives it, 0 without any.

    Case of names is nothing.
    """
    if not (target.headers or target.expected):
        return 0
    headers = frozenset((name.lower(), value) for name, value in target.headers.items())
    return hash((headers, target.expected))
