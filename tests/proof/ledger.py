"""The manifest as a stranger reads it: its lines, and the last word of each target."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

DONE = {"stored", "not_modified"}
Target = tuple[str, str]  # key and URL
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ledger:
    """`lines` oldest first; `torn`: the numbers of those that are no JSON."""

    lines: Sequence[bytes] = ()
    records: dict[int, Record] = field(default_factory=dict)  # by the number of the line
    torn: tuple[int, ...] = ()

    @classmethod
    def of(cls, lines: Sequence[bytes]) -> "Ledger":
        """Read them."""
        records, torn = {}, []
        for number, line in enumerate(lines):
            try:
                records[number] = json.loads(line)
            except ValueError:
                torn.append(number)
        return cls(lines, records, tuple(torn))

    def last(self, *statuses: str, but: str = "") -> dict[Target, tuple[int, Record]]:
        """The last record of each target that has a key, and its line's number."""
        found = {}
        for number, record in self.records.items():
            if "key" not in record or record["status"] == "duplicate":  # of no object
                continue
            if record["status"] == but:
                continue
            if not statuses or record["status"] in statuses:
                found[record["key"], record["url"]] = number, record
        return found

    def done(self) -> set[Target]:
        """The targets that are done by their last word."""
        return {target for target, (_, record) in self.last().items() if record["status"] in DONE}

    def since(self, earlier: "Ledger") -> list[Record]:
        """The records that came after those of `earlier`."""
        return [record for number, record in self.records.items() if number >= len(earlier.lines)]
