"""`scraper list DEST`: what is stored, by the manifest.

Owns: the command's options and output. Does not know: which objects these are
(`scraper.manifest.stored`), which of them lists name (`cli/listed.py`), how those that they do not
name are deleted (`cli/prune.py`), and whether objects are as they were (`scraper verify` looks).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from scraper.cli.commands import COMMANDS
from scraper.cli.options import GRAMMAR_OPTIONS, HELP, LIST_OPTIONS, PATH, SectionOption
from scraper.cli.place import Place, opened, place_options
from scraper.model.errors import UsageError
from scraper.model.urls import redact

if TYPE_CHECKING:
    from scraper.cli.listed import Listed
    from scraper.manifest.key_set import KeySet

F = TypeVar("F", bound=Callable[..., Any])

EXIT_MISSING = 1
_COLUMNS = ("key", "size", "url", "date")
_FIELDS = ("key", "size", "url", "started")


def _list_options(command: F) -> F:
    """The options that say how LIST is read."""
    for option in reversed(GRAMMAR_OPTIONS):
        command = option(command)
    return command


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
@click.option(
    "--store-compressed",
    cls=SectionOption,
    section="Other",
    type=click.Choice(["gzip", "zstd"]),
    default=None,
    help="As for fetch: the run with LIST gave keys the ending .gz or .zst.",
)
@_list_options
@click.option(
    "--prune",
    is_flag=True,
    help="Delete these objects, after a question on the terminal, and print those that were.",
)
@click.option(
    "--yes",
    count=True,
    help="Answer the question. Given twice, delete even if the lists seem to be the wrong ones.",
)
@click.option(
    "--dry-run",
    cls=SectionOption,
    section="Other",
    is_flag=True,
    default=False,
    help="With --prune: only print what would be deleted.",
)
def listing(destination: str, urls: Sequence[str], **options: Any) -> int:
    """Print what the manifest of DEST says is stored there, in the order of its records.

    The body is at DEST/KEY.

    With URLs: only what is stored of these. The exit status is 1 if there is nothing of one.
    """
    _check(options, urls)
    asked = _Asked(urls)
    prunes = options["prune"] and not options["dry_run"]
    with (
        opened(destination, options, objects=prunes) as place,
        _named(options, place) as named,
    ):
        writer = partial(_writer, options["format_"])
        if prunes:
            from scraper.cli.prune import prune_unlisted

            assert named is not None
            return prune_unlisted(place, named, options, writer)
        records = _records(place, named)
        _show(filter(asked.has, records) if urls else records, writer())
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


def _check(options: Mapping[str, Any], urls: Sequence[str]) -> None:
    context = click.get_current_context()
    if (
        context.get_parameter_source("template") is ParameterSource.COMMANDLINE
        and not options["lists"]
    ):
        raise UsageError("--key says how the targets of a list are named: give --unlisted LIST")
    for name in LIST_OPTIONS:
        if (
            context.get_parameter_source(name) is ParameterSource.COMMANDLINE
            and not options["lists"]
        ):
            said = f"--{name.replace('_', '-')}"
            raise UsageError(f"{said} says how a list is read: give --unlisted LIST")
    if options["yes"] and not options["prune"]:
        raise UsageError("--yes answers the question of --prune: give that too")
    if not options["prune"]:
        return
    if not options["lists"]:
        raise UsageError("--prune deletes what no list names: give --unlisted LIST")
    if urls:
        raise UsageError("--prune deletes what no list names: leave the URLs out")
    if not (options["yes"] or options["dry_run"]):
        from scraper.cli.prune import may_ask

        if not may_ask():
            raise UsageError(
                "--prune asks before it deletes, and there is no terminal",
                hint="--yes answers; --dry-run prints what would be deleted",
            )


@contextmanager
def _named(options: Mapping[str, Any], place: Place) -> Iterator["Listed | None"]:
    """The keys that lists name. None without lists."""
    template: str | None = options["template"]
    if not options["lists"]:
        yield None
        return
    from scraper.cli.listed import listed

    grammar = {name: options[name] for name in LIST_OPTIONS}
    asked = options["lists"], template or "url", place.reading, grammar
    with listed(*asked, options["store_compressed"]) as found:
        yield found


def _records(place: Place, named: "Listed | None") -> Iterable[Mapping[str, Any]]:
    """What is stored, and what of it the lists do not name."""
    from scraper.manifest.stored import stored

    records = stored(place.lines, place.reading)
    if named is None:
        return records
    if named.bad:
        lines = "1 line names" if named.bad == 1 else f"{named.bad:,} lines name"
        click.echo(f"scraper: {lines} no target", err=True)
    return _unlisted(records, named.keys)


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


def _show(records: Iterable[Mapping[str, Any]], show: Callable[[Mapping[str, Any]], None]) -> None:
    from scraper.cli.table import flush

    for record in records:
        show(record)
    flush()


def _writer(format_: str) -> Callable[[Mapping[str, Any]], None]:
    """What prints a record in this format. The header of a table is printed now."""
    from scraper.cli.table import row, say
    from scraper.manifest import as_json

    if format_ == "json":
        return lambda record: say(as_json(record))
    if format_ == "keys":
        return lambda record: say(row([record["key"]]))
    say(row(_COLUMNS))
    return lambda record: say(row([record.get(name) for name in _FIELDS]))
