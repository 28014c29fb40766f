"""`scraper list DEST --unlisted LIST --prune`: delete what no list names any more.

Owns: the question, when it is refused, the lock, signals, and what is said. Does not know: which
objects these are and how they are deleted (`scraper.manifest.prune`).

The lock is held from before the question on: what was asked is what is deleted. In doubt it is
refused unless --yes is given twice. One --yes stands in a script, and the script runs on the day
too when the list or --key is wrong. The second one is typed by who has read the refusal. rsync does
not delete either after an error of its source.
"""

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

import click

from scraper.cli.held import held
from scraper.cli.listed import Listed
from scraper.cli.place import Place
from scraper.cli.signals import STOPPING
from scraper.cli.table import flush
from scraper.manifest.prune import Extent, Fate, Pruned, Unlisted, prune
from scraper.model.errors import EXIT_FAILED, ScraperError, UsageError
from scraper.model.urls import printable, redact
from scraper.report.units import human_size
from scraper.sinks.base import ReadableSink
from scraper.sinks.home import is_archive

if TYPE_CHECKING:
    from scraper.manifest.prune import Record

_SHOWN = 5  # keys in the question
_STAYS = {Fate.CHANGED, Fate.FAILED}


def may_ask() -> bool:
    """Whether there is a terminal for the question."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def prune_unlisted(
    place: Place,
    listed: Listed,
    options: Mapping[str, Any],
    writer: "Callable[[], Callable[[Record], None]]",
) -> int:
    """Delete what `listed` does not have. `writer` makes what prints each object that was deleted.

    Returns the exit status.

    Raises Held, DestinationError, and UsageError in doubt.
    """
    assert isinstance(place.sink, ReadableSink)
    if is_archive(place.destination):
        raise UsageError("--prune: nothing is deleted from an archive")
    with _Signals() as signals:
        try:
            with (
                held(place, options["manifest"]) as destination,
                Unlisted(place.lines, place.reading, place.sink, listed.keys) as unlisted,
            ):
                extent = unlisted.extent()
                _refuse_in_doubt(extent, listed.bad, options["yes"])
                if extent.objects and not (options["yes"] or _is_agreed(unlisted, extent, place)):
                    click.echo("scraper: nothing was deleted", err=True)
                    return EXIT_FAILED
                signals.interrupt = False  # a group of objects is brought to its end

                def may_go_on() -> bool:
                    destination.check()
                    return signals.number is None

                found = prune(unlisted, place.sink, destination.store, may_go_on)
                counts = _tell(found, writer())
                left = extent.objects - counts.total()
        except _Interrupted:
            click.echo("\nscraper: nothing was deleted", err=True)
            counts, left = Counter(), 0
        if signals.number is not None:
            if left > 0:
                click.echo(f"scraper: stopped: {left:,} are left", err=True)
            return 128 + signals.number
    return EXIT_FAILED if any(counts[fate] for fate in _STAYS) else 0


def _refuse_in_doubt(extent: Extent, bad: int, yes: int) -> None:
    """Raise UsageError if the lists are probably not those that are meant."""
    if yes > 1 or not extent.objects:
        return
    if not extent.named:
        raise UsageError(
            "--prune: no line of the lists has the key of anything stored, so everything would be"
            " deleted: was --key another in the run?",
            hint="--yes --yes deletes it all the same",
        )
    if bad:
        lines = "1 line of the lists names" if bad == 1 else f"{bad:,} lines of the lists name"
        raise UsageError(
            f"--prune: {lines} no target, and what was meant would be deleted",
            hint="correct the lists, or give --yes twice",
        )


def _is_agreed(unlisted: Unlisted, extent: Extent, place: Place) -> bool:
    """Ask on the terminal."""
    objects = "this object" if extent.objects == 1 else f"these {extent.objects:,} objects"
    what = f"no list names {objects} in {redact(place.destination)}, {human_size(extent.size)}:"
    lines = [what, *(f"  {printable(record['key'])}" for record in islice(unlisted, _SHOWN))]
    if extent.objects > _SHOWN:
        lines.append(f"  and {extent.objects - _SHOWN:,} more")
    click.echo("\n".join(lines), err=True)
    click.echo("delete? [y/N] ", nl=False, err=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _tell(found: Iterator[Pruned], show: "Callable[[Record], None]") -> Counter[Fate]:
    """Tell what became of each object, and at the end of all. Raises ScraperError, OSError."""
    counts: Counter[Fate] = Counter()
    size = 0
    try:
        for record, fate, detail in found:
            counts[fate] += 1
            if fate is Fate.DELETED:
                size += record["size"]
                show(record)
            elif fate in _STAYS:
                text = f"not deleted: {printable(record['key'])}: {printable(detail)}"
                click.echo(f"scraper: {text}", err=True)
        flush()
    except BrokenPipeError:
        raise ScraperError(f"stdout was closed; {_counted(counts, size)}") from None
    click.echo(f"scraper: {_counted(counts, size)}", err=True)
    return counts


def _counted(counts: Counter[Fate], size: int) -> str:
    deleted = counts[Fate.DELETED]
    parts = [f"{deleted:,} object{'' if deleted == 1 else 's'} deleted, {human_size(size)}"]
    if absent := counts[Fate.ABSENT]:
        parts.append(f"{absent:,} not there any more")
    if changed := counts[Fate.CHANGED]:
        parts.append(f"{changed:,} changed since and not deleted")
    if failed := counts[Fate.FAILED]:
        parts.append(f"{failed:,} failed")
    return "; ".join(parts)


class _Interrupted(BaseException):
    """A signal came before anything was deleted."""


class _Signals:
    """STOPPING signals meanwhile. `number` is None until one came; a second one ends at once.

    While `interrupt` is true, the first one raises _Interrupted.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.interrupt = True
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in STOPPING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.number is not None:
            os._exit(128 + number)
        self.number = number
        if self.interrupt:
            raise _Interrupted
