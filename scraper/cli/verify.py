"""`scraper verify DEST`: which objects are missing, changed or unknown.

Owns: the command's output, a line for each object that differs from its record, and its exit
status. Does not know: how objects are compared (`scraper.manifest.verify`).
"""

from functools import partial
from typing import Any

import click

from scraper.model.errors import UsageError

EXIT_DIFFERENT = 1


@click.command(short_help="Compare a manifest with the objects that are really there.")
@click.argument("destination", metavar="DEST")
@click.option("--manifest", metavar="PATH", help="The manifest, if it is not kept in DEST.")
@click.option(
    "-c",
    "--max-concurrency",
    type=click.IntRange(1),
    default=16,
    metavar="N",
    show_default=True,
    help="Objects read at once, at most.",
)
@click.option("--s3-endpoint", metavar="URL", help="Another S3 than Amazon's.")
@click.option("--s3-profile", metavar="NAME", help="Profile of ~/.aws/config.")
@click.option("-q", "--quiet", is_flag=True, help="Tell nothing if all is as it should be.")
def verify(destination: str, **options: Any) -> int:
    """Read the manifest of DEST and every object there, and compare.

    Prints VERDICT<TAB>KEY<TAB>DETAIL for each object that is missing, changed, unreadable
    or unknown (no record explains it). Exit status 1 if there is any. Replaced ones are told
    too: another URL was stored under the same key since.
    """
    from scraper.manifest import read_lines, reading_of
    from scraper.manifest.verify import GOOD, Finding, Verdict, count, findings
    from scraper.model.settings import S3
    from scraper.model.urls import printable
    from scraper.sinks.base import ReadableSink, SinkOptions, find_sink

    at_once = options["max_concurrency"]
    s3 = S3(endpoint=options["s3_endpoint"], profile=options["s3_profile"])
    sink = find_sink(destination, SinkOptions(at_once, s3))
    if not isinstance(sink, ReadableSink):
        raise UsageError(f"{destination!r} can't be read back")

    def tell(finding: Finding) -> None:
        if finding.verdict is Verdict.REPLACED and options["quiet"]:
            return
        click.echo(f"{finding.verdict}\t{printable(finding.key)}\t{printable(finding.detail)}")

    try:
        sink.reach()
        lines = partial(read_lines, options["manifest"], destination, sink)
        reading = reading_of(options["manifest"], destination, sink)
        counts = count(findings(lines, sink, at_once, reading), tell)
    finally:
        sink.close()
    objects = counts.total() - counts[Verdict.REPLACED]
    bad = counts.total() - sum(counts[verdict] for verdict in GOOD)
    if bad or not options["quiet"]:
        told = [f"{counts[v]:,} {v}" for v in Verdict if counts[v] or v is not Verdict.REPLACED]
        click.echo(f"{objects:,} objects: {', '.join(told)}", err=True)
    return EXIT_DIFFERENT if bad else 0
