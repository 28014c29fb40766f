"""NestedKeys: keys that are directories of other keys, found in bounded memory.

`docs` and `docs/a.html` can't both be files in a directory. In S3 they are two objects, and nobody
asks here.

64 bits stand for a directory. The first ones are in a dict, the rest in a table of the database
that the filter of duplicates has. Most keys of a list share the directory of a key before them,
and cost one look into the dict.

Owns: the directories of all keys so far. Does not know: the keys themselves (`duplicates.py`).
Rejected: all keys in order, whose neighbours would tell it; a list would have to end first.
"""

from collections.abc import Callable, Mapping, Sequence

from scraper.model.records import Target
from scraper.model.scratch import Scratch

DIRECTORIES = "CREATE TABLE directories (name INTEGER PRIMARY KEY, line INTEGER)"

Taken = Callable[[int], int | None]
AnyTaken = Callable[[Sequence[int]], bool]


class NestedKeys:
    """See the module. `rest` has the table DIRECTORIES. `fold` makes keys alike, if given.

    `most` directories are in memory, 140 bytes each.
    """

    def __init__(self, rest: Scratch, fold: Callable[[str], str] | None, most: int) -> None:
        self._rest, self._fold, self._most = rest, fold, most
        self._lines: dict[int, int] = {}  # of a directory: the line of its first key
        self._spilled = False

    def clash(self, target: Target, taken: Taken) -> str:
        """What `target` clashes with, "" if nothing. Else its directories are remembered.

        `taken` gives the line of the earlier target whose key has this hash, None if there is none.
        """
        key = target.key if self._fold is None else self._fold(target.key)
        if (line := self._find(hash(key))) is not None:
            return f"key {target.key!r} is the directory of a key in line {line}"
        above, new = key, dict[int, int]()
        while above := above.rpartition("/")[0]:
            name = hash(above)
            if self._find(name) is not None:
                break
            if (line := taken(name)) is not None:
                return f"key {target.key!r} is below {above!r}, the key of line {line}"
            new[name] = target.line
        self._remember(new)
        return ""

    def none_clash(
        self, targets: Sequence[Target], hashes: Sequence[int], any_taken: AnyTaken
    ) -> bool:
        """Whether none of `targets` clashes for sure. Then their directories are remembered.

        `hashes` are those of their keys. `any_taken` says whether any key so far has one of these
        hashes. It takes a fraction of the time of `clash`.
        """
        lines = self._lines
        new: dict[int, int] = {}
        for target in targets:
            above = target.key if self._fold is None else self._fold(target.key)
            while above := above.rpartition("/")[0]:
                name = hash(above)
                if name in lines or name in new:
                    break
                new[name] = target.line
        if not (lines.keys().isdisjoint(hashes) and new.keys().isdisjoint(hashes)):
            return False
        if self._spilled:
            known = self._known([*new, *hashes])
            if not known.isdisjoint(hashes):
                return False
            new = {name: line for name, line in new.items() if name not in known}
        if new:
            if any_taken([*new]):
                return False
            self._remember(new)
        return True

    def _known(self, names: Sequence[int]) -> set[int]:
        """Those of `names` that are in the database."""
        asked = f"SELECT name FROM directories WHERE name IN ({', '.join('?' * len(names))})"  # noqa: S608
        return {name for (name,) in self._rest.rows(asked, names)}

    def _find(self, name: int) -> int | None:
        line = self._lines.get(name)
        if line is not None or not self._spilled:
            return line
        found = self._rest.rows("SELECT line FROM directories WHERE name = ?", (name,))
        return int(found[0][0]) if found else None

    def _remember(self, new: Mapping[int, int]) -> None:
        if len(self._lines) + len(new) <= self._most:
            self._lines.update(new)
        elif new:
            self._spilled = True
            self._rest.put_each("INSERT OR IGNORE INTO directories VALUES (?, ?)", new.items())
