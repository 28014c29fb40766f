"""What a list of a billion URLs takes: `python -m tests.scale.paper`.

Measured figures, and formulas that anybody can redo. Other lists and prices: `--help`. The page
docs/scale.md has what it prints, and `test_paper.py` holds that.

Owns: these formulas. Does not know: how a cluster behaves (`cluster.py`).
"""

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from scraper.manifest.sink_store import SEGMENT_BYTES, SEGMENT_S
from scraper.schedule.shard_plan import MOST_LINES, PER_WORKER
from scraper.sinks.lease import LEASE_S
from scraper.sinks.lease_watch import RENEWALS

# Measured with the program on 2026-11-30, seconds of CPU. The page says how.
PLAN_S, PLAN_SHARD_S = 5.0e-6, 0.5e-3  # `scraper plan`, for each line and for each shard
LOOK_S = 1 / 600_000  # a run of `--shard`, for each line of another shard
TASK_S = 1.4e-3  # the scheduler of Dask 2026.8, for each task
RECORD_BYTES = 766  # in the manifest, of a URL of 68 bytes


class Way(NamedTuple):
    """What one shard sends to S3 beside bodies, segments and renewals; HEAD counts as GET.

    `stop_s`: between looks at `stop.json`.
    """

    puts: int
    lists: int
    gets: int
    stop_s: float = math.inf


WAYS = {"cluster": Way(7, 9, 18, stop_s=4.0), "shard": Way(5, 5, 14)}


class Job(NamedTuple):
    """A list, and who works it off. Prices are USD for 1,000 requests."""

    urls: int
    workers: int
    rate: float  # URLs a second of a worker
    shards: int
    way: str
    put_price: float
    get_price: float


class Figures(NamedTuple):
    """What it comes to: seconds of CPU but for `run_s`, and requests."""

    plan_s: float
    look_s: float  # each shard
    tasks_s: float
    run_s: float
    bodies: int
    segments: int
    renewals: int
    of_shards: int
    gets: int
    record_bytes: int


def shards_of(urls: int, workers: int) -> int:
    """As many as `scraper plan` makes."""
    return max(PER_WORKER * workers, -(-urls // MOST_LINES))


def work_out(job: Job) -> Figures:
    """The figures of `job`."""
    way = WAYS[job.way]
    worker_s = job.urls / job.rate
    return Figures(
        plan_s=job.urls * PLAN_S + job.shards * PLAN_SHARD_S,
        look_s=job.urls * LOOK_S,
        tasks_s=job.shards * TASK_S,
        run_s=worker_s / job.workers,
        bodies=job.urls,
        segments=round(max(worker_s / SEGMENT_S, job.urls * RECORD_BYTES / SEGMENT_BYTES)),
        renewals=round(worker_s / (LEASE_S / RENEWALS)),
        of_shards=job.shards * (way.puts + way.lists + 1),  # its list
        gets=job.shards * way.gets + round(worker_s / way.stop_s),
        record_bytes=job.urls * RECORD_BYTES,
    )


def told(job: Job) -> Iterator[str]:
    """The figures as a table in Markdown."""
    found = work_out(job)
    yield f"| {job.urls:,} URLs, {job.shards:,} shards, {job.workers:,} at once | | USD |"
    yield "| --- | ---: | ---: |"
    yield f"| planning, on one core | {found.plan_s:,.0f} s | |"
    if job.way == "cluster":
        yield f"| the scheduler | {found.tasks_s:,.0f} s | |"
    else:
        yield f"| the look at lines of other shards, each shard | {found.look_s:,.0f} s | |"
        yield f"| the same, all shards | {found.look_s * job.shards / 3600:,.0f} h | |"
    yield f"| the run, at {job.rate:g} URLs/s each | {found.run_s / 3600:.1f} h | |"
    yield f"| records | {found.record_bytes / 1e9:,.0f} GB | |"
    for what, count, price in (
        ("PUT of bodies", found.bodies, job.put_price),
        ("PUT of segments of the manifest", found.segments, job.put_price),
        ("PUT of leases", found.renewals, job.put_price),
        ("PUT and LIST of shards that begin and end", found.of_shards, job.put_price),
        ("GET and HEAD", found.gets, job.get_price),
    ):
        yield f"| {what} | {count:,} | {count / 1000 * price:,.2f} |"


def parse(arguments: Sequence[str] | None) -> Job:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m tests.scale.paper", description=__doc__)
    add = parser.add_argument
    add("--urls", type=int, default=1_000_000_000)
    add("--way", choices=list(WAYS), default="cluster", help="--cluster, or --shard")
    add("--workers", type=int, default=100, help="shards that are run at once")
    add("--rate", type=float, default=500.0, help="URLs a second of each")
    add("--shards", type=int, help="without: as many as `scraper plan` makes")
    add("--put-price", type=float, default=0.005, help="USD for 1,000 requests PUT or LIST")
    add("--get-price", type=float, default=0.0004, help="USD for 1,000 requests GET")
    given = parser.parse_args(arguments)
    shards = given.shards or shards_of(given.urls, given.workers)
    prices = given.put_price, given.get_price
    return Job(given.urls, given.workers, given.rate, shards, given.way, *prices)


def main(arguments: Sequence[str] | None = None) -> int:
    """The table."""
    print(*told(parse(arguments)), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
