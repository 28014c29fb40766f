"""A simulation: `python -m tests.scale --urls 1_000_000`, a minute or so.

It compares ways to divide one list over many workers, and prints a table in Markdown. It is no test
and no part of CI. Each row has a process of its own, as many at once as there are cores. 1,000,000
URLs take 0.25 GB in each; 10,000,000 ten times as long and as much.
"""

import argparse
import gc
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from scraper.schedule.shard_plan import Pace
from tests.scale import world as worlds
from tests.scale.cluster import Cluster, Setup
from tests.scale.judge import Judge
from tests.scale.plans import Plan, plans
from tests.scale.world import World

HEADER = (
    "| plan | shards | of the ideal | 99 % done after | all after | worker-seconds paid |"
    " of them used | asked twice | impolite | CPU s |"
)
_SIMULATED: dict[str, Any] = {}  # for the processes that are forked
_LATENCY_S = 0.2  # what `scraper plan` assumes


def main(arguments: Sequence[str] | None = None) -> int:
    """The table."""
    given = parse(arguments)
    setup = Setup(
        given.workers,
        given.slots,
        given.per_host,
        given.delay,
        given.dispatch,
        given.lasts,
        given.lease,
        given.forgotten,
        given.restart,
    )
    most = given.most or given.urls
    world = worlds.make(given.urls, given.hosts or given.urls // 10, given.zipf, most, given.seed)
    print(*header(world, setup), sep="\n", flush=True)
    pace = Pace(setup.slots, setup.per_host, setup.delay_s, _LATENCY_S)
    made = plans(world, pace, setup.workers, given.open, given.threads)
    wanted = [plan for number, plan in enumerate(made) if number in (given.plans or range(100))]
    _SIMULATED.update(world=world, plans=wanted, setup=setup, seed=given.seed)
    # Forked, since a world of millions is not sent to a process in a moment.
    with ProcessPoolExecutor(mp_context=get_context("fork")) as pool:
        for row in pool.map(_row, range(len(wanted))):
            print(row, flush=True)
    return 0


def _row(number: int) -> str:
    plan = _SIMULATED["plans"][number]
    return simulate(_SIMULATED["world"], plan, _SIMULATED["setup"], _SIMULATED["seed"])


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m tests.scale", description=__doc__)
    add = parser.add_argument
    add("--urls", type=int, default=1_000_000)
    add("--hosts", type=int, help="a tenth of the URLs")
    add("--zipf", type=float, default=1.0, help="the exponent")
    add("--most", type=int, help="lines of one host at most; without: no bound")
    add("--workers", type=int, default=1_000)
    add("--slots", type=int, default=16, help="of a worker (-c)")
    add("--per-host", type=int, default=4)
    add("--delay", type=float, default=0.0)
    add("--open", type=int, default=8, help="shards open in a worker, where they share its slots")
    add("--threads", type=int, default=4, help="shards open in a worker, where each has its own")
    add("--dispatch", type=float, default=0.002, help="seconds of the scheduler, for each shard")
    add(
        "--lasts",
        type=float,
        default=1_000,
        help="seconds that a worker lasts in the mean, last row",
    )
    add("--lease", type=float, default=60, help="seconds until its shards are given out again")
    add("--forgotten", type=float, default=5, help="seconds whose records are lost with it")
    add("--restart", type=float, default=10, help="seconds until another one begins")
    add("--seed", type=int, default=1)
    add("--plans", type=int, nargs="*", help="rows of the table, from 0; without: all")
    return parser.parse_args(arguments)


def header(world: World, setup: Setup) -> list[str]:
    """What is simulated, and the least time of any plan."""
    work_s, slowest_s = bounds(world, setup)
    giant = max(world.lines)
    size = f"{sum(world.lines):,} URLs of {len(world.lines):,} hosts (at most {giant:,} of one)"
    workers = f"{setup.workers:,} workers of {setup.slots}"
    limits = f"{setup.per_host} at once to a host, {setup.delay_s:g} s apart"
    return [
        f"{size}, {workers}, {limits}.",
        f"All work: {work_s:,.0f} s; the slowest host: {slowest_s:,.0f} s.",
        "",
        HEADER,
        "| --- |" + " ---: |" * (HEADER.count("|") - 2),
    ]


def bounds(world: World, setup: Setup) -> tuple[float, float]:
    """The least time by all slots, and by the slowest host."""
    work_s = sum(world.work_s(host) for host in range(len(world.lines)))
    slowest_s = world.slowest_s(setup.per_host, setup.delay_s)
    return work_s / (setup.workers * setup.slots), slowest_s


def simulate(world: World, plan: Plan, setup: Setup, seed: int) -> str:
    """One row."""
    began = time.process_time()
    judge = Judge(world.lines, setup.per_host, setup.delay_s)
    cluster = Cluster(world, plan, setup, judge, seed)
    cluster.run()
    if not judge.is_complete:
        raise AssertionError(f"{plan.name}: not every URL was fetched once")
    work_s, slowest_s = bounds(world, setup)
    used = work_s * setup.workers / cluster.paid_s
    paid = "-" if plan.is_one else f"{cluster.paid_s:,.0f}"
    twice = f"{judge.asked_twice:,}"
    if judge.asked_twice:
        twice += f" ({judge.asked_twice / sum(world.lines):.2%})"
    name = plan.name + (f" ({cluster.lost:,})" if cluster.lost else "")
    cells = (
        name,
        f"{len(plan.shards):,}",
        f"{max(work_s, slowest_s) / judge.end_s:.2f}",
        f"{judge.most_done_s:,.0f} s",
        f"{judge.end_s:,.0f} s",
        paid,
        "-" if plan.is_one else f"{used:.2f}",
        twice,
        f"{judge.violations:,}",
        f"{time.process_time() - began:.0f}",
    )
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    gc.disable()  # millions of objects, and no circles
    sys.exit(main())
