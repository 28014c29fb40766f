"""A destination that a command reads: `failed`, `status`, `list`.

    @click.command()
    @place_options
    def failed(destination, **options):
        with opened(destination, options) as place: ...

Owns: the options that say where it is, and that a destination without a manifest is wrong usage.
Nothing is made there. Does not know: what is read. Everything heavy is imported when it is used.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from scraper.cli.options import FILE, PATH, SectionOption, read_config
from scraper.model.errors import UsageError

if TYPE_CHECKING:
    from scraper.manifest import Reading
    from scraper.sinks.base import Sink

F = TypeVar("F", bound=Callable[..., Any])
_SECTION = "Other"  # their help has no sections


class Place(NamedTuple):
    """A destination. `lines` gives its manifest from the start, and may be called again."""

    destination: str
    sink: "Sink"
    lines: Callable[[], Iterator[bytes]]
    reading: "Reading"


def _option(*names: str, **kwargs: Any) -> Callable[[F], F]:
    return click.option(*names, cls=SectionOption, section=_SECTION, default=None, **kwargs)


_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.argument("destination", type=PATH, metavar="DEST"),
    _option("--manifest", type=FILE, metavar="PATH", help="The manifest, if it is not in DEST."),
    _option("--s3-endpoint", metavar="URL", help="Another S3 than Amazon's."),
    _option("--s3-profile", metavar="NAME", help="Profile of ~/.aws/config."),
    _option("--config", type=FILE, metavar="FILE", is_eager=True, expose_value=False,
            callback=read_config,
            help="TOML as for fetch; names that this command does not have are passed over."),
)  # fmt: skip


def place_options(command: F) -> F:
    """DEST, and the options that say where it and its manifest are."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@contextmanager
def opened(
    destination: str, options: Mapping[str, Any], *, objects: bool = False, at_once: int = 16
) -> Iterator[Place]:
    """The destination, ready to be read. `objects`: not only its manifest.

    Raises UsageError if there is no manifest, and DestinationError.
    """
    from scraper.manifest import exists, lines_from, reading_of
    from scraper.model.settings import S3
    from scraper.model.urls import redact
    from scraper.sinks.base import ReadableSink, SinkOptions, find_sink
    from scraper.sinks.beginning import insist
    from scraper.sinks.home import home_of, is_archive

    s3 = S3(endpoint=options["s3_endpoint"], profile=options["s3_profile"])
    manifest: str | None = options["manifest"]
    sink = find_sink(destination, SinkOptions(at_once, s3))
    try:
        readable = sink if isinstance(sink, ReadableSink) else None
        is_far = home_of(destination) is None
        if readable is None and (objects or manifest is None):
            raise UsageError(f"{redact(destination)!r} can't be read back")
        if readable is not None and is_far:
            insist(readable.reach)
        if not exists(manifest, destination, sink):
            shown = redact(destination) if manifest is None else manifest
            raise UsageError(f"there is no manifest in {shown!r}: no run has stored anything there")
        if readable is not None and objects and not is_far:
            readable.reach()
        lines = lines_from(manifest, destination, sink)
        if objects and is_archive(destination):
            from scraper.manifest.adoption import archived_objects
            from scraper.sinks.exchanges import learn

            learn(sink, lambda: archived_objects(lines()))
        yield Place(destination, sink, lines, reading_of(manifest, destination, sink))
    finally:
        sink.close()
