"""ToldLines: the lines of lists that a run has recorded already.

A shard of a cluster that was lost with its worker is run again, as a part of the same run. What the
first one recorded is final, also where the run would ask for it again: without `--resume`, or after
a failure. Only targets that were not reached are tried.

Owns: which lines these are, in a bit for each. Does not know: why a shard is run again.
"""

from collections.abc import Iterable, Sequence

from scraper.manifest.codec import status_of
from scraper.manifest.run_records import records_of_run
from scraper.model.records import PreviousRecord, Skipped, Target

_TOLD = Skipped("done in this run, before its worker was lost")


class ToldLines:
    """The lines that `run` has recorded in `lines` of a manifest."""

    def __init__(self, lines: Iterable[bytes], run: str) -> None:
        self._bits: dict[str, bytearray] = {}
        for record in records_of_run(lines, run):
            number = record.get("line")
            if isinstance(number, int):
                is_final = status_of(record) != "not_reached"
                self._set(str(record.get("source")), number, is_final=is_final)

    def has(self, target: Target) -> bool:
        """Whether the line of `target` is told."""
        place, bit = divmod(target.line or 0, 8)
        bits = self._bits.get(target.source or "", b"")
        return place < len(bits) and bool(bits[place] >> bit & 1)

    def over(
        self, targets: Sequence[Target], decisions: Sequence[Skipped | PreviousRecord | None]
    ) -> list[Skipped | PreviousRecord | None]:
        """`decisions`, but for targets that are told."""
        both = zip(targets, decisions, strict=True)
        return [_TOLD if self.has(target) else decision for target, decision in both]

    def _set(self, source: str, number: int, *, is_final: bool) -> None:
        place, bit = divmod(number, 8)
        bits = self._bits.setdefault(source, bytearray())
        if len(bits) <= place:
            bits.extend(bytes(place + 1 - len(bits)))
        if is_final:
            bits[place] |= 1 << bit
        else:
            bits[place] &= ~(1 << bit)
