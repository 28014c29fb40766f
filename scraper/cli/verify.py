"""`scraper verify DEST`: which objects are missing, changed or unknown.

Owns: the command's output, a line for each object that differs from its record, its exit status,
and the records that `--repair` appends. Does not know: how objects are compared
(`scraper.manifest.verify`). Rejected: a repair that fetches. It would need the options of `fetch`,
and the next run fetches what is not done anyway.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from scraper.cli.options import HELP, SectionOption
from scraper.cli.place import Place, opened, place_options

if TYPE_CHECKING:
    from collections import Counter

    from scraper.manifest.verify import Finding, Verdict

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
@click.option(
    "--repair",
    is_flag=True,
    help="Record what is missing or changed as not done, so that the next run fetches it whole; "
    "and the digests of objects that were taken over.",
)
def verify(destination: str, **options: Any) -> int:
    """Read the manifest of DEST and every object there, and compare.

    Prints VERDICT<TAB>KEY<TAB>DETAIL for each object that is missing, changed, unreadable
    or unknown (no record explains it). Exit status 1 if there is any. Replaced ones are told
    too: another URL was stored under the same key since. So are those that --skip-existing took
    over, until --repair has recorded their digests.
    """
    at_once = options["max_concurrency"]
    with opened(destination, options, objects=True, at_once=at_once) as place:
        if not options["repair"]:
            return _compare(place, options, lambda _: None)
        from scraper.cli.held import held
        from scraper.manifest.verify import Verdict

        marked = 0
        with held(place, options["manifest"]) as ours:

            def repair(finding: "Finding") -> None:
                nonlocal marked
                if (record := finding.repairing(ours.store.run)) is not None:
                    ours.check()
                    ours.store.append(record)
                    ours.store.flush()
                    marked += finding.verdict is not Verdict.TAKEN_OVER

            status = _compare(place, options, repair)
        if marked:
            click.echo(f"{marked:,} recorded as not done: the next run fetches them", err=True)
        return status


def _compare(place: Place, options: Mapping[str, Any], repair: "Callable[[Finding], None]") -> int:
    """Compare, and tell. `repair` gets each object that is not whole. The exit status."""
    from scraper.cli.table import mute
    from scraper.manifest.verify import GOOD, Finding, count, findings
    from scraper.model.urls import printable
    from scraper.sinks.base import ReadableSink

    assert isinstance(place.sink, ReadableSink)

    def tell(finding: Finding) -> None:
        repair(finding)
        if finding.verdict in GOOD and options["quiet"]:
            return
        try:
            click.echo(f"{finding.verdict}\t{printable(finding.key)}\t{printable(finding.detail)}")
        except BrokenPipeError:  # `| head`: all are compared, and repaired, all the same
            mute()

    at_once = options["max_concurrency"]
    counts = count(findings(place.lines, place.sink, at_once, place.reading), tell)
    bad = counts.total() - sum(counts[verdict] for verdict in GOOD)
    if bad or not options["quiet"]:
        _sum_up(counts)
    return EXIT_DIFFERENT if bad else 0


def _sum_up(counts: "Counter[Verdict]") -> None:
    from scraper.manifest.verify import Verdict

    objects = counts.total() - counts[Verdict.REPLACED]
    seldom = {Verdict.TAKEN_OVER, Verdict.REPLACED}
    told = [f"{counts[v]:,} {v.replace('_', ' ')}" for v in Verdict if counts[v] or v not in seldom]
    click.echo(f"{objects:,} objects: {', '.join(told)}", err=True)
