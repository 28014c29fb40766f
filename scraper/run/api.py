"""The Python entry point: `scraper.run`.

Owns: how options in Python become Settings, and that the run ends with the iteration. Paths
are made absolute, since the program may change its directory while it iterates. Does not know:
how a run goes (`loop.py`).
"""

import os
from collections.abc import Generator, Iterable
from typing import Any

from scraper.model.errors import UsageError
from scraper.model.records import Result
from scraper.model.settings import Settings
from scraper.run.loop import Run
from scraper.source.sources import from_iterable

_FILE = "file://"


def run(
    urls: Iterable[str | bytes],
    *,
    to: str | os.PathLike[str] = "./out",
    max_concurrency: int = 16,
    **options: Any,
) -> Generator[Result, None, None]:
    """Fetch every target of `urls` into `to`, and yield each Result when the manifest has it.

    `urls` are lines of the list's grammar. They are taken lazily, on a thread of their own.
    `to` is a directory, `s3://bucket/prefix` or a URL of any scheme that a sink serves.
    `options` are those of the command line, with underscores: `per_host=8`,
    `max_size=1_000_000` (bytes), `headers={"X": "y"}`. At most `max_concurrency` transfers are
    in flight. The run stops when the iteration is left early. Relative paths are meant from the
    directory that is current at the call.

    Raises UsageError at once for a bad option, or for a string in the place of `urls`. While
    iterating, it raises DestinationError when the destination can't be used, Held when another
    run holds it, and whatever `urls` raises.
    """
    if isinstance(urls, str | bytes):  # it could be iterated: over its characters
        raise UsageError("urls is one string: give a list of URLs, [url]")
    if options.get("manifest") is not None:
        options["manifest"] = _absolute(options["manifest"])
    settings = Settings.of(to=_absolute(to), max_concurrency=max_concurrency, **options)
    return _results(Run(settings, [from_iterable(urls)]))


def _absolute(path: str | os.PathLike[str]) -> str:
    """`path` from the root on; a URL of another scheme than `file` as it is."""
    place = os.fspath(path)
    if place.startswith(_FILE):
        return _FILE + os.path.join(os.getcwd(), place.removeprefix(_FILE))
    return place if "://" in place or not place else os.path.join(os.getcwd(), place)


def _results(run_: Run) -> Generator[Result, None, None]:
    with run_:
        yield from run_
