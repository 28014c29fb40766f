"""scraper: a list of URLs in, one object per URL out, an account of every line.

    for result in scraper.run(["https://example.com/"], to="./out"):
        print(result.status, result.target.key)

The map of the house. Imports point downwards only.

    __main__.py     `python -m scraper`
    cli/            Click: options.py (all options), fetch.py, dry_run.py, verify.py, demo.py,
                    title.py (what `ps` shows)
    loop.py         the one loop; `run` and `Run`
    holding.py      what a run holds: its destination, lock, manifest
    build.py        the engine and the plan of a run
    verify.py       the manifest held against what is really there
    remote.py       lists at http(s) and s3 URLs
    gate.py         --robots: targets that wait for their robots.txt
    frontier.py     which target may start now; everything known about a host
    turns.py        whose turn it is
    intake.py       the thread that reads lists
    sieve.py        which lines need a request
    engines/        base.py (the seam), guard.py, heads.py, pace.py, proxies.py, lookups.py,
                    descriptors.py;
                    threads.py (requests), connections.py (urllib3's);
                    curl.py (libcurl), curl_carrier.py (one handle), curl_options.py,
                    curl_errors.py, relay.py (sinks that block), crew.py (its threads)
    aftermath.py    what follows a failed attempt
    stopping.py     a run that is told to stop, and its grace
    outage.py       a destination that takes nothing for a while
    lock.py         one run at a time holds a destination
    resume.py       what earlier runs make unnecessary
    journal.py      where the manifest's lines are kept: a file, or segments in a sink
    index.py        what they say, found by target
    manifest.py     Results as JSON Lines
    log.py          what happens, a line each
    progress.py     the live display
    streams.py      where log and results are written
    summary.py      counts and the closing words
    plan.py         what transfers have in common; the headers of requests
    transfer.py     one attempt: hops, conditions, which body is stored
    allowance.py    bytes, seconds and disk that the whole run may use
    exchange.py     what engine and transfer say to each other
    partial.py      a body that broke off, to be continued
    body.py         a body on its way into the sink: coding, lengths, digest, commit
    decode.py       content codings
    robots.py       what a robots.txt means
    retry.py        whether a failed attempt gets another, and when
    sinks/          base.py (the seam), directory.py, directories.py (kept open) and
                    workspace.py (temporary files);
                    s3.py, bucket.py (boto3), objectstore.py (obstore), s3errors.py, spool.py
    testing.py      the conformance suite for sinks, for plugin authors too
    demo.py         a small site and an S3 endpoint on loopback
    lists.py        lines to targets
    plain.py        lines that are a plain URL to targets, at once
    seen.py         repeats and clashes, in bounded memory
    keys.py         a target's key
    dates.py        dates of HTTP, read; of ours, written
    addresses.py    which ones are public
    urls.py         URLs: parsed, compared, redacted
    settings.py     everything a run can be told
    records.py      what travels: Target, Attempt, Response, Result
    errors.py       the error tree and the kinds of failure

A newcomer reads this, records.py, loop.py, frontier.py, engines/threads.py and
sinks/directory.py, and knows the program.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scraper.errors import DestinationError, Kind, ListError, ScraperError, UsageError
    from scraper.loop import run
    from scraper.records import Result, Target

__version__ = "0.1.0"
__all__ = [
    "DestinationError",
    "Kind",
    "ListError",
    "Result",
    "ScraperError",
    "Target",
    "UsageError",
    "__version__",
    "run",
]


def __getattr__(name: str) -> Any:
    """Public names, imported when asked for: `scraper --help` needs none of them."""
    from importlib import import_module

    if name == "run":
        return import_module("scraper.loop").run
    for module in ("scraper.records", "scraper.errors"):
        if name in __all__ and hasattr(found := import_module(module), name):
            return getattr(found, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
