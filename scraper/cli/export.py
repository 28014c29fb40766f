"""`scraper export DEST --format F`: how each target stands, or what is stored, for other programs.

Owns: the command's options, and where the output goes. Does not know: which records these are
(`manifest/last_state.py`, `manifest/stored.py`), how a format is written (`report/export_*.py`).
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from scraper.cli.commands import COMMANDS
from scraper.cli.options import FILE, HELP
from scraper.cli.place import opened, place_options
from scraper.model.errors import UsageError
from scraper.sinks.home import is_archive

if TYPE_CHECKING:
    from scraper.cli.place import Place

EXIT_LEFT_OUT = 1
_STDOUT = "-"


@click.command(
    context_settings=HELP,
    short_help=COMMANDS["export"],
)
@place_options
@click.option(
    "--format",
    "format_",
    type=click.Choice(["jsonl", "csv", "parquet", "sha256sum", "bagit", "wacz"]),
    required=True,
    help="jsonl, csv, parquet: a row for each target; sha256sum, bagit: what is stored; "
    "wacz: a web archive (warc:) as one file.",
)
@click.option(
    "-o",
    "--output",
    type=FILE,
    metavar="FILE",
    help="Where to write; a file is replaced when all is there. bagit: a directory, by default"
    " DEST.  [default: stdout]",
)
def export(destination: str, format_: str, output: str | None, **options: Any) -> int:
    """Write the last state of each target of DEST, by its manifest.

    csv, jsonl and parquet have a row for each target, with its last record. sha256sum has a line
    for each object, for `sha256sum -c` in DEST. bagit writes the files beside data/ that make DEST
    a bag. The exit status is 1 if an object was left out: nobody knows its digest, or its archive
    file is not finished (wacz).
    """
    if format_ in {"parquet", "wacz"} and output is None:
        raise UsageError(f"--format {format_} is not for a terminal or a pipe: give -o FILE")
    if format_ == "wacz" and not is_archive(destination):
        raise UsageError("--format wacz is for web archives: --to warc:DIR makes one")
    with opened(destination, options, objects=format_ == "wacz") as place:
        if format_ == "bagit":
            return _bag(place, output)
        with _open(output) as file:
            return _write(format_, place, file)


def _write(format_: str, place: "Place", file: BinaryIO) -> int:
    if format_ == "sha256sum":
        from scraper.manifest.stored import stored
        from scraper.report.export_sums import write_sums

        unknown = write_sums(stored(place.lines, place.reading), file)
        if not unknown:
            return 0
        why = "as no digest is known (verify --repair records it)"
        text = f"scraper: {_objects(unknown)} left out, {why}"
        click.echo(text, err=True)
        return EXIT_LEFT_OUT
    from scraper.manifest.last_state import last_states

    records = last_states(place.lines, place.reading)
    if format_ == "wacz":
        return _write_wacz(place, records, file)
    if format_ == "csv":
        from scraper.report.export_csv import write_csv

        write_csv(records, file)
    elif format_ == "parquet":
        from scraper.report.export_parquet import write_parquet

        write_parquet(records, file)
    else:
        _write_jsonl(records, file)
    return 0


def _write_wacz(place: "Place", records: Iterable[Mapping[str, Any]], file: BinaryIO) -> int:
    from scraper.report.export_wacz import write_wacz
    from scraper.sinks.exchanges import finished_files

    written = write_wacz(finished_files(place.sink), records, file)
    if not written.files:
        raise UsageError(f"{place.destination!r} has no finished archive file yet")
    if not written.left_out:
        return 0
    text = f"scraper: {_objects(written.left_out)} left out, as a run has not finished their file"
    click.echo(f"{text} (the next run does, if that one was killed)", err=True)
    return EXIT_LEFT_OUT


def _objects(number: int) -> str:
    return "1 object was" if number == 1 else f"{number:,} objects were"


def _write_jsonl(records: Iterable[Mapping[str, Any]], file: BinaryIO) -> None:
    from scraper.manifest import as_json

    file.writelines(as_json(record) + b"\n" for record in records)


def _bag(place: "Place", output: str | None) -> int:
    from scraper.manifest.stored import stored
    from scraper.report.export_bag import write_bag
    from scraper.sinks.base import scheme_of
    from scraper.sinks.directory import path_of

    if output is None and scheme_of(place.destination) != "file":
        raise UsageError("--format bagit writes several files: give -o DIRECTORY, and upload them")
    directory = path_of(place.destination) if output is None else Path(output)
    with _told(str(directory)):
        write_bag(stored(place.lines, place.reading), directory)
    return 0


@contextmanager
def _open(output: str | None) -> Iterator[BinaryIO]:
    if output is None or output == _STDOUT:
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    from scraper.report.export_bag import replaced

    with _told(output), replaced(Path(output)) as file:
        yield file


@contextmanager
def _told(path: str) -> Iterator[None]:
    """An output that can't be written is wrong usage."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"-o: can't write {path!r}: {error.strerror or error}") from None
