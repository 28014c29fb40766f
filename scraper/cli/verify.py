"""`scraper verify DEST`: which objects are missing, changed or unknown.

Owns: the command's output, a line for each object that differs from its record, and its exit
status. Does not know: how objects are compared (`scraper.manifest.verify`).
"""

from typing import Any

import click

from scraper.cli.options import HELP, SectionOption
from scraper.cli.place import opened, place_options

EXIT_DIFFERENT = 1


@click.command(
    context_settings=HELP,
    short_help="Compare a manifest with the objects that are really there.",
)
@place_options
@click.option(
    "-c",
    "--max-concurrency",
    cls=SectionOption,  # a TOML file for fetch may have it
    section="Other",
    type=click.IntRange(1),
    default=16,
    metavar="N",
    show_default=True,
    help="Objects read at once, at most.",
)
@click.option(
    "-q",
    "--quiet",
    cls=SectionOption,
    section="Other",
    is_flag=True,
    help="Tell nothing if all is as it should be.",
)
def verify(destination: str, **options: Any) -> int:
    """Read the manifest of DEST and every object there, and compare.

    Prints VERDICT<TAB>KEY<TAB>DETAIL for each object that is missing, changed, unreadable
    or unknown (no record explains it). Exit status 1 if there is any. Replaced ones are told
    too: another URL was stored under the same key since.
    """
    from scraper.manifest.verify import GOOD, Finding, Verdict, count, findings
    from scraper.model.urls import printable
    from scraper.sinks.base import ReadableSink

    at_once = options["max_concurrency"]

    def tell(finding: Finding) -> None:
        if finding.verdict is Verdict.REPLACED and options["quiet"]:
            return
        click.echo(f"{finding.verdict}\t{printable(finding.key)}\t{printable(finding.detail)}")

    with opened(destination, options, objects=True, at_once=at_once) as place:
        assert isinstance(place.sink, ReadableSink)
        counts = count(findings(place.lines, place.sink, at_once, place.reading), tell)
    objects = counts.total() - counts[Verdict.REPLACED]
    bad = counts.total() - sum(counts[verdict] for verdict in GOOD)
    if bad or not options["quiet"]:
        told = [f"{counts[v]:,} {v}" for v in Verdict if counts[v] or v is not Verdict.REPLACED]
        click.echo(f"{objects:,} objects: {', '.join(told)}", err=True)
    return EXIT_DIFFERENT if bad else 0
