"""`scraper man`: the manual page, wherever it was installed.

pip puts the pages below the prefix of the environment (share/man/man1), where `man` looks only if
the environment is on the PATH. This command always finds them. Owns: where a page is. Does not
know: what it says; the pages are made from the options, and a test holds them to these. Rejected:
to make the page here, since that needs a library which nothing else needs.
"""

import os
import sys

import click

from scraper.model.errors import ScraperError


class NoManual(ScraperError):
    """The page can't be found or shown."""


@click.command(short_help="Show the manual page, of the whole or of COMMAND.")
@click.option("--path", is_flag=True, help="Print where the page is, and show nothing.")
@click.argument("command", default="", metavar="[COMMAND]")
def man(command: str, *, path: bool) -> int:
    """Show the manual page, of the whole or of COMMAND."""
    name = f"scraper-{command}.1" if command else "scraper.1"
    page = _installed(name) or _beside(name)
    if page is None:
        if _installed("scraper.1") or _beside("scraper.1"):
            raise click.UsageError(f"there is no manual page of {command!r}")
        raise NoManual("the manual page was not installed: scraper --help")
    if path:
        click.echo(page)
        return 0
    sys.stdout.flush()
    try:
        os.execvp("man", ["man", page])  # noqa: S606, S607 - the user's own man
    except FileNotFoundError:
        raise NoManual(
            f"there is no 'man' here; the page is {page}, --help says the same"
        ) from None


def _installed(name: str) -> str | None:
    """The page that was installed with this program."""
    from importlib.metadata import PackageNotFoundError, files

    try:
        found = [file for file in files("scraper") or () if file.name == name]
    except PackageNotFoundError:
        return None
    pages = [os.path.realpath(str(file.locate())) for file in found]
    return next(filter(os.path.isfile, pages), None)


def _beside(name: str) -> str | None:
    """The page beside the package: of `pip install --target`, or of a tree that is no install."""
    place = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
    pages = [os.path.join(place, folder, name) for folder in ("share/man/man1", "docs/man")]
    return next(filter(os.path.isfile, pages), None)
