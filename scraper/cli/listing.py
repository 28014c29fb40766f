"""`scraper list DEST`: what is stored, by the manifest.

Owns: the command's options and output. Does not know: which objects these are
(`scraper.manifest.stored`), which of them lists name (`cli/listed.py`), and whether they are as
they were (`scraper verify` looks).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from scraper.cli.commands import COMMANDS
from scraper.cli.options import HELP, PATH, SectionOption
from scraper.cli.place import Place, opened, place_options
from scraper.model.errors import UsageError
from scraper.model.urls import redact

if TYPE_CHECKING:
    from scraper.manifest.key_set import KeySet

EXIT_MISSING = 1
_COLUMNS = ("key", "size", "url", "date")


@click.command(
    "list",
    context_settings=HELP,
    short_help=COMMANDS["list"],
)
@place_options
@click.argument("urls", metavar="[URL]...", nargs=-1)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["tsv", "json", "keys"]),
    default="tsv",
    show_default=True,
    help="tsv: key, size, URL and date of the fetch; json: records, a line each.",
)
@click.option(
    "--unlisted",
    "lists",
    type=PATH,
    multiple=True,
    metavar="LIST",
    help="Only objects whose keys no line of LIST names any more. May be repeated.",
)
@click.option(
    "--key",
    "template",
    cls=SectionOption,  # a TOML file for fetch may have it
    section="Other",
    metavar="TEMPLATE",
    default=None,
    help="The rule by which the run with LIST made keys: url, hash, or a template.  [default: url]",
)
def listing(destination: str, urls: Sequence[str], **options: Any) -> int:
    """Print what the manifest of DEST says is stored there, in the order of its records.

    With URLs: only what is stored of these. The exit status is 1 if there is nothing of one.
    """
    from scraper.manifest.stored import stored

    _check(options)
    asked = _Asked(urls)
    with opened(destination, options) as place, _named(options, place) as named:
        records: Iterable[Mapping[str, Any]] = stored(place.lines, place.reading)
        if named is not None:
            records = _unlisted(records, named)
        if urls:
            records = filter(asked.has, records)
        _show(records, options["format_"])
    for url in asked.missing:
        click.echo(f"scraper: nothing is stored of {url}", err=True)
    return EXIT_MISSING if asked.missing else 0


class _Asked:
    """The URLs that are asked for. Each spelling of a URL means the same one, as in a list.

    The manifest has no secrets, so a URL with one means every record that differs in it alone.
    """

    def __init__(self, urls: Iterable[str]) -> None:
        self._shown = {_plain(url): redact(url) for url in urls}
        self._found: set[str] = set()

    def has(self, record: Mapping[str, Any]) -> bool:
        """Whether `record` is of one of them. It counts as found then."""
        try:
            url = _plain(record["url"])
        except UsageError:
            return False
        if url in self._shown:
            self._found.add(url)
        return url in self._shown

    @property
    def missing(self) -> list[str]:
        """Those that no record was of, as they may be shown."""
        return [shown for url, shown in self._shown.items() if url not in self._found]


def _plain(url: str) -> str:
    from scraper.model.errors import BadTarget
    from scraper.model.urls import parse, redact_wreck

    try:
        return parse(redact(url)).href
    except BadTarget as error:
        raise UsageError(f"{redact_wreck(url)!r}: {error.message}") from None


def _check(options: Mapping[str, Any]) -> None:
    source = click.get_current_context().get_parameter_source("template")
    if source is ParameterSource.COMMANDLINE and not options["lists"]:
        raise UsageError("--key says how the targets of a list are named: give --unlisted LIST")


@contextmanager
def _named(options: Mapping[str, Any], place: Place) -> Iterator["KeySet | None"]:
    """The keys that lists name. None without lists."""
    template: str | None = options["template"]
    if not options["lists"]:
        yield None
        return
    from scraper.cli.listed import listed

    with listed(options["lists"], template or "url", place.reading) as found:
        if found.bad:
            lines = "1 line names" if found.bad == 1 else f"{found.bad:,} lines name"
            click.echo(f"scraper: {lines} no target", err=True)
        yield found.keys


def _unlisted(records: Iterable[Mapping[str, Any]], named: "KeySet") -> Iterator[Mapping[str, Any]]:
    """Those whose keys are not `named`. It is said if these are all: a wrong --key does that."""
    any_named = any_left = False
    for record in records:
        if record["key"] in named:
            any_named = True
        else:
            any_left = True
            yield record
    if any_left and not any_named:
        text = "no line of the lists has the key of anything stored: was --key another in the run?"
        click.echo(f"scraper: {text}", err=True)


def _show(records: Iterable[Mapping[str, Any]], format_: str) -> None:
    from scraper.cli.table import flush, row, say
    from scraper.manifest import as_json

    if format_ == "tsv":
        say(row(_COLUMNS))
    for record in records:
        if format_ == "json":
            say(as_json(record))
        elif format_ == "keys":
            say(row([record["key"]]))
        else:
            say(row((record["key"], record["size"], record["url"], record.get("started"))))
    flush()
