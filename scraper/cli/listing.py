"""`scraper list DEST`: what is stored, by the manifest.

Owns: the command's options and output. Does not know: which objects these are
(`scraper.manifest.stored`), and whether they are as they were (`scraper verify` looks).
"""

from typing import Any

import click

from scraper.cli.options import HELP
from scraper.cli.place import opened, place_options

_COLUMNS = ("key", "size", "url", "date")


@click.command("list", context_settings=HELP, short_help="Tell what is stored: key, size, URL.")
@place_options
@click.option(
    "--format",
    "format_",
    type=click.Choice(["tsv", "json", "keys"]),
    default="tsv",
    show_default=True,
    help="tsv: key, size, URL and date of the fetch; json: records, a line each.",
)
def listing(destination: str, **options: Any) -> int:
    """Print what the manifest of DEST says is stored there, in the order of its records."""
    from scraper.manifest import as_json
    from scraper.manifest.stored import stored

    format_ = options["format_"]
    with opened(destination, options) as place:
        from scraper.cli.table import flush, row, say

        if format_ == "tsv":
            say(row(_COLUMNS))
        for record in stored(place.lines, place.reading):
            if format_ == "json":
                say(as_json(record))
            elif format_ == "keys":
                say(row([record["key"]]))
            else:
                cells = record["key"], record["size"], record["url"], record.get("started")
                say(row(cells))
        flush()
    return 0
