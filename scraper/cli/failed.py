"""`scraper failed DEST`: the targets that are not done, as a list, as a table or as records.

Owns: the command's options and output. Does not know: which targets these are
(`scraper.manifest.not_done`). The exit status is 0 whether there are any or not: `scraper status`
tells that by its own.
"""

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from scraper.cli.commands import COMMANDS
from scraper.cli.options import HELP
from scraper.cli.place import opened, place_options
from scraper.model.errors import Kind, UsageError
from scraper.model.urls import redact

if TYPE_CHECKING:
    from scraper.manifest.not_done import Missing, Wanted

_COLUMNS = ("url", "key", "status", "http_code", "kind", "attempts", "started", "message")


@click.command(context_settings=HELP, short_help=COMMANDS["failed"])
@place_options
@click.option(
    "--code",
    "codes",
    multiple=True,
    metavar="CODE,...",
    help="Only these statuses of HTTP: 404,5xx. May be repeated.",
)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="KIND,...",
    help="Only these kinds of failure: dns,timeout. May be repeated.",
)
@click.option(
    "--host",
    "hosts",
    multiple=True,
    metavar="HOST,...",
    help="Only these hosts: example.com,*.example.org. May be repeated.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["urls", "tsv", "json"]),
    default="urls",
    show_default=True,
    help="urls: a list that scraper can fetch; tsv: also code, kind and message, which say why; "
    "json: records, a line each.",
)
def failed(destination: str, **options: Any) -> int:
    """Print the targets of DEST that are not done, by the last record of each.

    As they come they are a list for scraper, with the same keys: a URL a line, and URL<TAB>key
    where that is needed. --format tsv says why each is not done.
    """
    from scraper.manifest.not_done import form_of, not_done

    wanted = _wanted(options)
    as_line = _FORMATS[options["format_"]]
    left_out: Counter[Missing] = Counter()
    forms: set[str] = set()
    any_told = False
    with opened(destination, options) as place:
        from scraper.cli.table import flush, row, say

        if options["format_"] == "tsv":
            say(row(_COLUMNS))
        for record in not_done(place.lines, place.reading):
            if wanted.has(record):
                line = as_line(record)
                if isinstance(line, bytes):
                    say(line)
                    any_told = True
                    forms.add(form_of(record))
                else:
                    left_out[line] += 1
        flush()
    for text in left_out_of_list(left_out, destination):
        click.echo(f"scraper: {text}", err=True)
    if options["format_"] == "urls":
        for text in _forms_of_list(forms):
            click.echo(f"scraper: {text}", err=True)
    if any_told and options["format_"] == "urls" and sys.stdout.isatty():  # no pipe needs a hint
        click.echo(f"hint: why: scraper failed --format tsv {quote(redact(destination))}", err=True)
    return 0


def _wanted(options: Mapping[str, Any]) -> "Wanted":
    from scraper.manifest.not_done import Wanted

    codes, kinds = _values(options["codes"]), _values(options["kinds"])
    for code in codes:
        if not re.fullmatch(r"[1-9](?:\d\d|xx)", code):
            raise UsageError(f"--code {code!r} is not a status like 404, or a class like 5xx")
    for kind in kinds - set(Kind):
        raise UsageError(f"--kind {kind!r} is none of {', '.join(Kind)}")
    return Wanted(codes, kinds, _values(options["hosts"]))


def _values(given: Iterable[str]) -> frozenset[str]:
    return frozenset(value.strip().lower() for one in given for value in one.split(",")) - {""}


def _as_list(record: Mapping[str, Any]) -> "bytes | Missing":
    from scraper.manifest.not_done import form_of, list_line

    return list_line(record, form_of(record))


def _as_row(record: Mapping[str, Any]) -> bytes:
    from scraper.cli.table import row
    from scraper.manifest import status_of

    given = record.get("error")
    error = given if isinstance(given, dict) else {}
    cells = {
        **record,
        "status": status_of(record),
        "kind": error.get("kind"),
        "message": error.get("message"),
    }
    return row(cells.get(column) for column in _COLUMNS)


def _as_json(record: Mapping[str, Any]) -> bytes:
    from scraper.manifest import as_json, status_of

    return as_json({**record, "status": status_of(record)})


_FORMATS: Mapping[str, "Callable[[Mapping[str, Any]], bytes | Missing]"] = {
    "urls": _as_list,
    "tsv": _as_row,
    "json": _as_json,
}


def _forms_of_list(forms: set[str]) -> Iterable[str]:
    """What to say of a list whose targets were stored compressed: a list can't say it."""
    for form in sorted(forms - {""}):
        more = " some of" if len(forms) > 1 else ""
        yield f"for{more} these give --store-compressed {form} again"


def left_out_of_list(left_out: "Counter[Missing]", destination: str) -> Iterable[str]:
    """What to say of targets that no line of a list can name: a line each."""
    from scraper.manifest.not_done import Missing

    again = f"scraper LIST --to {redact(destination)} --retry-failed"
    if count := left_out[Missing.SECRET]:
        why = "their secrets or headers are not in the manifest"
        yield f"{count:,} left out, since {why}; with their list: {again}"
    if count := left_out[Missing.KEY]:
        yield f"{count:,} left out, since no list can give their keys; with their list: {again}"
    for missing in (Missing.PLAIN, Missing.GZIP, Missing.ZSTD):
        if count := left_out[missing]:
            given = f"--store-compressed {missing.value}" if missing.value else ""
            had = f"had {given}: give it again" if given else "had no --store-compressed"
            yield f"{count:,} left out, since their run {had}"
    if count := left_out[Missing.TARGET]:
        yield f"{count:,} left out, since they name no target (bad_url): see --format tsv"
